"""What rejects nonsense? Nine detectors and one's own, shown nonsense of six kinds, one of it made against them."""

from amiss.analysis.rejection.audit import ADAPTIVE, Rejection, Row, audit_rejection, calibrate
from amiss.analysis.rejection.bypass import EVOLVING, SEARCHES, Bypass, Search, bypass, evaluations_each
from amiss.analysis.rejection.features import KNN, FeatureNorm, Mahalanobis, RelativeMahalanobis, ViM
from amiss.analysis.rejection.fitting import DETECTORS, Detectors, fit_detectors
from amiss.analysis.rejection.logits import ODIN, Energy, MaxLogit, MaxSoftmax
from amiss.analysis.rejection.nonsense import KINDS, make_nonsense
from amiss.analysis.rejection.scoring import score_images
from amiss.analysis.rejection.telling import Figure, accepted_share, auroc, false_positives, threshold_at

__all__ = [
    "ADAPTIVE",
    "DETECTORS",
    "EVOLVING",
    "KINDS",
    "KNN",
    "ODIN",
    "SEARCHES",
    "Bypass",
    "Detectors",
    "Energy",
    "FeatureNorm",
    "Figure",
    "Mahalanobis",
    "MaxLogit",
    "MaxSoftmax",
    "Rejection",
    "RelativeMahalanobis",
    "Row",
    "Search",
    "ViM",
    "accepted_share",
    "audit_rejection",
    "auroc",
    "bypass",
    "calibrate",
    "evaluations_each",
    "false_positives",
    "fit_detectors",
    "make_nonsense",
    "score_images",
    "threshold_at",
]
