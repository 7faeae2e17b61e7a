"""What many searches say together: maps of the latent space, paths across it, and findings."""

from amiss.analysis.atlas import atlas_record
from amiss.analysis.maps import ClassMap, Plane, class_map, differ, plane_2d, plane_through
from amiss.analysis.paths import Path, around, trace
from amiss.analysis.reach import Reach, tell_apart

__all__ = [
    "ClassMap",
    "Path",
    "Plane",
    "Reach",
    "around",
    "atlas_record",
    "class_map",
    "differ",
    "plane_2d",
    "plane_through",
    "tell_apart",
    "trace",
]
