"""The table of everything that `amiss train` can train."""

from amiss.training.kind import Kind
from amiss.training.presets.adversarial import DCGAN, GAN, INVERTER
from amiss.training.presets.autoencoders import AUTOENCODER, CONDITIONAL_VAE, CONV_AUTOENCODER, DENOISER
from amiss.training.presets.captioner import CAPTIONER
from amiss.training.presets.classifiers import ATTRIBUTES, CLASSIFIER
from amiss.training.presets.codec import CODEC
from amiss.training.presets.densities import FVBN, GATED_PIXELCNN, MADE, PIXELCNN
from amiss.training.presets.flow import FLOW
from amiss.training.presets.label_sequences import LABEL_SEQUENCE
from amiss.training.presets.recurrent_densities import DIAGONAL_BILSTM, RASTER_LSTM, ROW_LSTM
from amiss.training.presets.sequences import SEQUENCE_CLASSIFIER
from amiss.training.presets.stackgan import STACKGAN
from amiss.training.presets.text import TEXT
from amiss.training.presets.vae import VAE

__all__ = ["KINDS"]

_ROWS = (
    CLASSIFIER,
    ATTRIBUTES,
    VAE,
    CONDITIONAL_VAE,
    AUTOENCODER,
    CONV_AUTOENCODER,
    DENOISER,
    CODEC,
    FLOW,
    FVBN,
    MADE,
    PIXELCNN,
    GATED_PIXELCNN,
    ROW_LSTM,
    DIAGONAL_BILSTM,
    RASTER_LSTM,
    GAN,
    DCGAN,
    INVERTER,
    STACKGAN,
    TEXT,
    CAPTIONER,
    SEQUENCE_CLASSIFIER,
    LABEL_SEQUENCE,
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ROWS}
"""Kinds by name, in the order in which they are listed."""
