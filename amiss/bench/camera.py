"""Adversaries before a camera: what a view undoes, and what an expectation over views keeps."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.camera_classifier import classify
from amiss.bench.camera_detector import detect

__all__ = ["BENCH"]

BENCH = Bench(
    "camera",
    {"classifier": classify, "detector": detect},
    {
        "clean_accuracy": Bar(">=", 0.95),
        "design_view_success": Bar(">=", 0.95),
        "single_view_success": Bar("<=", 0.3),
        "eot_success": Bar(">=", 0.9),
        "largest_change": Bar("<=", 0.300001),
        "detector_clean": Bar(">=", 0.95),
        "detector_design_view_success": Bar(">=", 0.95),
        "detector_single_view_success": Bar("<=", 0.3),
        "detector_eot_success": Bar(">=", 0.9),
        "detector_largest_change": Bar("<=", 0.300001),
    },
)
"""Signs, a classifier and a detector of them, and adversaries of both."""
