"""Findings: what many mistakes have in common, tested on images that had no part in finding it."""

from amiss.analysis.findings.find import find, halves
from amiss.analysis.findings.moving import Mover
from amiss.analysis.findings.naming import attribute_direction
from amiss.analysis.findings.statistics import Whitening
from amiss.analysis.findings.values import Control, Effect, Finding, Findings, Named, Settings, Share

__all__ = [
    "Control",
    "Effect",
    "Finding",
    "Findings",
    "Mover",
    "Named",
    "Settings",
    "Share",
    "Whitening",
    "attribute_direction",
    "find",
    "halves",
]
