"""Fooling images: what they cost, whom else they fool, what they show, and what rejects them."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.fooling_champions import champions
from amiss.bench.fooling_imagenet import imagenet

__all__ = ["BENCH"]

BENCH = Bench(
    "fooling",
    {
        "imagenet": imagenet,
        "champions": champions,
    },
    {
        "imagenet_cppn_100k": Bar(">=", 0.42),
        "imagenet_direct_100k": Bar(">=", 0.999),
        "imagenet_direct_99": Bar(">=", 0.97),
        "cppn_above_blind": Bar("==", 1),
        "related_p": Bar("<=", 0.01),
        "ablation_max": Bar(">=", 0.5),
    },
)
"""What nonsense a classifier is certain about."""
