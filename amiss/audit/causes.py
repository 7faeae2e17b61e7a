"""What the mistakes of an audit have in common: findings, from the repairs that it made."""

from amiss.analysis.findings import Findings, Settings, find
from amiss.audit.asking import Asked
from amiss.audit.plan import Plan
from amiss.audit.repairs import Repairs
from amiss.spaces.latent import Codec

__all__ = ["causes", "settings_for"]


def settings_for(plan: Plan) -> Settings:
    """How findings are looked for in an audit of this plan."""
    return Settings(cohorts=plan.findings, margin=plan.margin, batch=plan.batch, seed=plan.seed)


def causes(asked: Asked, codec: Codec | None, repairs: dict[str, Repairs]) -> Findings | None:
    """Look for what the mistakes have in common.

    Args:
        asked: The audit.
        codec: The decoder that may speak.
        repairs: What it made of the mistakes.

    Returns:
        None where it was not asked for, or where there is no decoder, no repaired mistake, or one class alone.
    """
    images, plan = asked.images, asked.plan
    if codec is None or not plan.findings or not len(asked.chosen) or len(images.truth.unique()) < 2:
        return None
    made = asked.chosen, repairs["LSE"].result
    return find(asked.classifier, codec, images, settings=settings_for(plan), repairs=made, tell=asked.tell)
