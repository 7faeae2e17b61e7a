"""The main job: which probes, on which images, in which order."""

from amiss.audit.audit import Audit, run_audit
from amiss.audit.plan import Plan
from amiss.audit.record import record

__all__ = ["Audit", "Plan", "record", "run_audit"]
