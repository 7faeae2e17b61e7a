"""What must hold before a figure is believed: files that hold successes, decoders that fit, and the trust flags."""

from amiss.trust.after import after, tallied
from amiss.trust.before import before
from amiss.trust.decoder import DecoderGate, decoder_gate
from amiss.trust.flags import Flag, combined, votes_for
from amiss.trust.interval import wilson
from amiss.trust.kinds import KINDS, Kind
from amiss.trust.names import refuse_other_order
from amiss.trust.survey import Survey, survey
from amiss.trust.verify import Verified, verify

__all__ = [
    "KINDS",
    "DecoderGate",
    "Flag",
    "Kind",
    "Survey",
    "Verified",
    "after",
    "before",
    "combined",
    "decoder_gate",
    "refuse_other_order",
    "survey",
    "tallied",
    "verify",
    "votes_for",
    "wilson",
]
