"""Other people's models: what MODEL names becomes a classifier, and no file of theirs is believed to be harmless."""

from amiss.loading.checkpoint import open_decoder
from amiss.loading.describer import Describer, open_captioner
from amiss.loading.fit import check_fit
from amiss.loading.open import open_classifier
from amiss.loading.weights import load_weights

__all__ = ["Describer", "check_fit", "load_weights", "open_captioner", "open_classifier", "open_decoder"]
