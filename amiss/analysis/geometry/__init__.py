"""Geometry of representations: do adversaries lie among natural images, or apart from them?"""

from amiss.analysis.geometry.metrics import (
    Sets,
    active_share,
    active_union,
    angular_consistency,
    distances,
    knn_score,
    nearest,
    percentile_rank,
    ppca_difference,
    r1,
    r2,
    r3,
    reference_sets,
    shared_neighbors,
)
from amiss.analysis.geometry.portrait import Geometry, geometry, nearest_natural, portray
from amiss.analysis.geometry.reference import NEIGHBORS, Population, Reference, read_features, read_reference
from amiss.analysis.geometry.telling import chance_below, ks_distance, spearman, two_sided_auc

__all__ = [
    "NEIGHBORS",
    "Geometry",
    "Population",
    "Reference",
    "Sets",
    "active_share",
    "active_union",
    "angular_consistency",
    "chance_below",
    "distances",
    "geometry",
    "knn_score",
    "ks_distance",
    "nearest",
    "nearest_natural",
    "percentile_rank",
    "portray",
    "ppca_difference",
    "r1",
    "r2",
    "r3",
    "read_features",
    "read_reference",
    "reference_sets",
    "shared_neighbors",
    "spearman",
    "two_sided_auc",
]
