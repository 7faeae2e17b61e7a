"""What must hold before a figure is believed: files that hold successes, decoders that fit, and the trust flags."""

from amiss.trust.decoder import DecoderGate, decoder_gate
from amiss.trust.interval import wilson
from amiss.trust.names import refuse_other_order
from amiss.trust.verify import Verified, verify

__all__ = ["DecoderGate", "Verified", "decoder_gate", "refuse_other_order", "verify", "wilson"]
