"""Fooling images: what they cost, whom else they fool, what they show, and what rejects them."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.fooling_champions import champions
from amiss.bench.fooling_imagenet import imagenet
from amiss.bench.fooling_retraining import retraining, retraining_cifar, retraining_imagenet

__all__ = ["BENCH"]

BENCH = Bench(
    "fooling",
    {
        "imagenet": imagenet,
        "champions": champions,
        "retraining": retraining,
        "retraining_cifar": retraining_cifar,
        "retraining_imagenet": retraining_imagenet,
    },
    {
        "imagenet_cppn_100k": Bar(">=", 0.42),
        "imagenet_direct_100k": Bar(">=", 0.999),
        "imagenet_direct_99": Bar(">=", 0.97),
        "cppn_above_blind": Bar("==", 1),
        "related_p": Bar("<=", 0.01),
        "ablation_max": Bar(">=", 0.5),
        "retrain_accuracy_loss": Bar("<=", 0.01),
        "rubbish_recall": Bar(">=", 0.9),
        "retrain_accuracy_loss_cifar": Bar("<=", 0.01),
        "rubbish_recall_cifar": Bar(">=", 0.9),
    },
)
"""What nonsense a classifier is certain about."""
