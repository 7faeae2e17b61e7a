"""What the mistakes of an audit have in common: findings, from the repairs that it made."""

from amiss.analysis.findings import Findings, Settings, find
from amiss.audit.asking import Asked
from amiss.audit.plan import Plan
from amiss.audit.repairs import Repairs
from amiss.errors import DataError, ModelError
from amiss.spaces.latent import Codec

__all__ = ["causes", "settings_for"]


def settings_for(plan: Plan) -> Settings:
    """How findings are looked for in an audit of this plan."""
    return Settings(cohorts=plan.findings, margin=plan.margin, batch=plan.batch, seed=plan.seed)


def causes(asked: Asked, codec: Codec | None, repairs: dict[str, Repairs]) -> tuple[Findings | None, str]:
    """Look for what the mistakes have in common.

    Args:
        asked: The audit.
        codec: The decoder that may speak.
        repairs: What it made of the mistakes.

    Returns:
        The findings, None where they were not asked for, or where there is no decoder, no repaired mistake, or one
        class alone; and what kept them from being looked for, in words: an audit does not end for it.
    """
    images, plan = asked.images, asked.plan
    if codec is None or not plan.findings or not len(asked.chosen) or len(images.truth.unique()) < 2:
        return None, ""
    made = asked.chosen, repairs["LSE"].result
    try:
        found = find(asked.classifier, codec, images, settings=settings_for(plan), repairs=made, tell=asked.tell)
    except (DataError, ModelError) as error:
        return None, f"{error.what} Seen: {error.seen}. {error.hint}"
    return found, ""
