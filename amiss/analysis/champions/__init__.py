"""What champions show: which genes they stand upon, whether related ones are alike, and where they come from."""

from amiss.analysis.champions.ablation import Ablation, Gene, Occlusion, ablate, genes_of, occlude, without
from amiss.analysis.champions.asking import confidence
from amiss.analysis.champions.kinds import IMAGENET_KINDS, confusion_distance, imagenet_distance, is_imagenet
from amiss.analysis.champions.lineage import (
    Descent,
    Frames,
    Lineage,
    Switches,
    descent,
    follow,
    frames,
    lines,
    switches,
)
from amiss.analysis.champions.recognizing import Agreement, agreement, compressed, nearness, spectral_slope
from amiss.analysis.champions.related import (
    Mantel,
    Related,
    Repeated,
    distinct,
    lineage_distance,
    mantel,
    picture_distance,
    relate,
    repeated,
)

__all__ = [
    "IMAGENET_KINDS",
    "Ablation",
    "Agreement",
    "Descent",
    "Frames",
    "Gene",
    "Lineage",
    "Mantel",
    "Occlusion",
    "Related",
    "Repeated",
    "Switches",
    "ablate",
    "agreement",
    "compressed",
    "confidence",
    "confusion_distance",
    "descent",
    "distinct",
    "follow",
    "frames",
    "genes_of",
    "imagenet_distance",
    "is_imagenet",
    "lineage_distance",
    "lines",
    "mantel",
    "nearness",
    "occlude",
    "picture_distance",
    "relate",
    "repeated",
    "spectral_slope",
    "switches",
    "without",
]
