"""What to record: frames of a movie, and light for a scene, learned with the model that reads them."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from amiss.bench.bench import Bar, Bench
from amiss.bench.frames_masks import caption, mask
from amiss.bench.frames_picker import picker

__all__ = ["BENCH"]


def merged(raw: Mapping[str, Any]) -> dict[str, float]:
    """The share of seeds in which exactly the frames that show something were found.

    Args:
        raw: What the parts measured, by seed.
    """
    found = [parts["picker"]["figures"]["found"] for parts in raw.values() if "picker" in parts]
    return {"frames_found": fmean(found)} if found else {}


BENCH = Bench(
    "frames",
    {"picker": picker, "mask": mask, "caption": caption},
    {
        "frames_found": Bar(">=", 0.9, seeds=10),
        "frames_kept": Bar("==", 3, quick=3),
        "frames_accuracy_loss": Bar("<=", 0.02),
        "frames_over_evenly": Bar(">", 0),
        "mask_gain": Bar(">=", 0.05),
        "mask_gain_caption": Bar(">=", 0.05),
    },
    merged,
)
"""Seeds 0 to 9."""
