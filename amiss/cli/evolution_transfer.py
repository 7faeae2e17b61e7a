"""`amiss run fooling MODEL --transfer MODELS`: what other models call the champions, kept in transfer.json."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.classifier import Classifier
from amiss.cli.others import keep_matrix, kept_matrix
from amiss.errors import Interrupted

if TYPE_CHECKING:
    from amiss.audit.evolution import Evolved

__all__ = ["champions_shown"]


def champions_shown(
    found: "Evolved",
    models: Mapping[str, Classifier],
    out: Path,
    tell: Callable[[str, int, int], None],
    stop: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """What other models call the champions, measured or as the folder keeps it, as tables of the page: one, or none.

    What the folder holds of these very champions and models is not measured again.

    Args:
        found: The experiment.
        models: Whom the champions are shown to, by name, first the model that was fooled; without others, nobody.
        out: Run folder.
        tell: Told what is being done.
        stop: Asked after each model.

    Raises:
        Interrupted: `stop` said so; what the models before it said is kept.
    """
    from amiss.audit.evolution_transfers import champions_matrix, read_champions_matrix, transfer_table

    kept = read_champions_matrix(kept_matrix(out), found)
    if len(models) == 1:
        return [] if kept is None else [transfer_table(found, kept["rows"])]
    known = [] if kept is None else kept["rows"]
    asked: dict[str, Classifier] = {}
    for name, model in models.items():
        asked[name] = model
        made = champions_matrix(found, asked, tell, known)
        keep_matrix(out, made)
        known = made["rows"]
        if stop is not None and stop():
            raise Interrupted(
                "The experiment was stopped while other models were asked; what they said so far is kept.",
                slug="interrupted",
                seen=f"{len(asked)} of {len(models)} models",
                hint="The same command goes on from here.",
            )
    return [transfer_table(found, known)]
