"""Feature adversaries: the solver beside its reference, what the paper claims of them, and their geometry."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.features_failures import failures
from amiss.bench.features_geometry import geometry_part
from amiss.bench.features_inversion import inversion
from amiss.bench.features_labels import labels
from amiss.bench.features_linear import linear
from amiss.bench.features_ordering import ordering
from amiss.bench.features_solver import mnist, solver
from amiss.bench.features_transfer import transfer

__all__ = ["BENCH"]

BENCH = Bench(
    "features",
    {
        "solver": solver,
        "mnist": mnist,
        "labels": labels,
        "linear": linear,
        "ordering": ordering,
        "geometry": geometry_part,
        "inversion": inversion,
        "failures": failures,
        "transfer": transfer,
    },
    {
        "speedup_pool": Bar(">=", 3.5),
        "speedup_middle": Bar(">=", 8),
        "speedup_early": Bar(">=", 10),
        "r1_pool_70": Bar("<=", 0.1),
        "r1_pool_500": Bar("<=", 0.03),
        "bound_violation": Bar("==", 0),
        "bound_violation_mnist": Bar("==", 0),
        "bound_violation_8bit": Bar("==", 0),
        "speedup_mnist": Bar(">=", 10),
        "label_is_guide": Bar(">=", 0.95),
        "label_is_guide_8bit": Bar(">=", 0.95),
        "label_is_source": Bar("==", 0),
        "label_is_source_8bit": Bar("==", 0),
        "linear_gap": Bar(">=", 0.5),
        "linear_coincide": Bar("<=", 1e-4),
        "r1_falls_with_delta": Bar("==", 1),
        "r1_rises_to_input": Bar("==", 1),
        "inlier_auc_feature": Bar("<=", 0.65),
        "inlier_auc_label": Bar(">=", 0.8),
        "overlap_lower": Bar("==", 1),
        "inversion_first": Bar(">=", 0.9),
        "inversion_guide": Bar(">=", 0.9),
        "mnist_r1_10": Bar(">=", 0.5),
        "cifar_r1_10": Bar(">=", 0.5),
        "styled_gap": Bar(">=", 0.2),
    },
)
"""What mimics a guide's features: how fast, how near, and what tells it from other adversaries."""
