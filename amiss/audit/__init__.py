"""The main job: which probes, on which images, in which order."""

from amiss.audit.audit import Audit, audit_studies, read_audit, run_audit, write_answers
from amiss.audit.plan import Plan
from amiss.audit.record import record
from amiss.audit.substitutes import Substitute, substitute

__all__ = [
    "Audit",
    "Plan",
    "Substitute",
    "audit_studies",
    "read_audit",
    "record",
    "run_audit",
    "substitute",
    "write_answers",
]
