"""Fooling images: what they cost, whom else they fool, what they show, and what rejects them."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.fooling_ascent import ascent
from amiss.bench.fooling_champions import champions
from amiss.bench.fooling_cost import cost
from amiss.bench.fooling_imagenet import imagenet
from amiss.bench.fooling_mnist import mnist
from amiss.bench.fooling_rejection import rejection
from amiss.bench.fooling_retraining import retraining, retraining_cifar, retraining_imagenet
from amiss.bench.fooling_transfer import transfer

__all__ = ["BENCH"]

BENCH = Bench(
    "fooling",
    {
        "mnist": mnist,
        "ascent": ascent,
        "imagenet": imagenet,
        "cost": cost,
        "transfer": transfer,
        "champions": champions,
        "rejection": rejection,
        "retraining": retraining,
        "retraining_cifar": retraining_cifar,
        "retraining_imagenet": retraining_imagenet,
    },
    {
        "direct_over_2015": Bar("<=", 0.85, seeds=5),
        "direct_gradient_over_2015": Bar("<=", 0.15, seeds=5),
        "cppn_raw_over_normalised": Bar(">=", 2, seeds=5),
        "paper_2015_generations": Bar("<=", 200, seeds=5),
        "ascent_norm_cut": Bar(">=", 5),
        "ascent_confidence_drop": Bar(">=", 0.1, 0.0),
        "imagenet_cppn_100k": Bar(">=", 0.42),
        "imagenet_direct_100k": Bar(">=", 0.999),
        "imagenet_direct_99": Bar(">=", 0.97),
        "cppn_above_blind": Bar("==", 1),
        "evolution_overhead_128": Bar("<=", 0.6),
        "evolution_overhead_28": Bar("<=", 0.25),
        "render_speedup": Bar(">=", 100),
        "add_ms": Bar("<=", 2),
        "cppn_transfer": Bar(">=", 0.2),
        "gradient_transfer": Bar("<=", 0.02),
        "related_p": Bar("<=", 0.01),
        "ablation_max": Bar(">=", 0.5),
        "detectors_bypassed": Bar("==", 9),
        "retrain_accuracy_loss": Bar("<=", 0.01),
        "rubbish_recall": Bar(">=", 0.9),
        "rubbish_recall_long": Bar(">=", 0.9),
        "retrain_accuracy_loss_cifar": Bar("<=", 0.01),
        "rubbish_recall_cifar": Bar(">=", 0.9),
    },
)
"""What nonsense a classifier is certain about."""
