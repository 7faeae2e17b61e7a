"""Defenses: what each withstands under the same attacks, what it costs, and what tells adversaries from images."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.defend_detector import safetynet
from amiss.bench.defend_training import augmentation, pairing, training

__all__ = ["BENCH"]

BENCH = Bench(
    "defend",
    {"training": training, "pairing": pairing, "augmentation": augmentation, "safetynet": safetynet},
    {
        "adv_trained_robust": Bar(">=", 0.85, 0.0),
        "robust_gain": Bar(">=", 0.3, -1.0),
        "adv_trained_minutes": Bar("<=", 20),
        "logit_pairing_error": Bar("<=", 1e-6),
        "safetynet_auc": Bar(">=", 0.9, 0.0),
        "type2_over_linear": Bar(">", 1.0, 0.0),
    },
)
"""What hardens a classifier, on MNIST at eps 0.3, and what that costs."""
