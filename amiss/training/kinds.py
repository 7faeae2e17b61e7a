"""The table of everything that `amiss train` can train."""

from amiss.training.kind import Kind
from amiss.training.presets.adversarial import DCGAN, GAN, INVERTER
from amiss.training.presets.autoencoders import AUTOENCODER, CONDITIONAL_VAE, CONV_AUTOENCODER, DENOISER
from amiss.training.presets.classifiers import ATTRIBUTES, CLASSIFIER
from amiss.training.presets.flow import FLOW
from amiss.training.presets.stackgan import STACKGAN
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
    FLOW,
    GAN,
    DCGAN,
    INVERTER,
    STACKGAN,
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ROWS}
"""Kinds by name, in the order in which they are listed."""
