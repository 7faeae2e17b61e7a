"""Models of images: classifiers, a detector, autoencoders, flows, and the contracts they meet."""

import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from amiss.errors import ModelError
from amiss.models.acquired import LitCaptioner, LitClassifier, PickedClassifier
from amiss.models.acquisition import FramePicker, Illumination
from amiss.models.autoencoders import Autoencoder, ConvAutoencoder, DenseAutoencoder
from amiss.models.autoregressive import Autoregressive
from amiss.models.captioner import Captioner
from amiss.models.classifiers import LeNet, ResNet, SmallCNN
from amiss.models.compression import ImageCodec
from amiss.models.density import Density, Implicit, LatentVariable
from amiss.models.detector import Detection, Detector
from amiss.models.diagonal_bilstm import DiagonalBiLSTM
from amiss.models.film_strip import FilmDecoder, FilmStrip
from amiss.models.flow import CodeFlow, Flow, PixelFlow
from amiss.models.fvbn import FVBN
from amiss.models.gan import DCGAN, GAN, Adversarial, arithmetic
from amiss.models.gated_pixelcnn import GatedPixelCNN
from amiss.models.inverter import Inverter
from amiss.models.label_sequence import LabelSequence
from amiss.models.likelihoods import (
    Bernoulli,
    Categorical,
    Discrete,
    Likelihood,
    LogisticMixture,
    Normal,
    Tokens,
    bits_per_dim,
)
from amiss.models.made import MADE
from amiss.models.movies import MovieClassifier
from amiss.models.pixel_density import PixelDensity
from amiss.models.pixelcnn import PixelCNN
from amiss.models.raster_lstm import RasterLSTM
from amiss.models.recurrent import Recurrent
from amiss.models.row_lstm import RowLSTM
from amiss.models.sequence_classifier import SequenceClassifier
from amiss.models.stackgan import StackGAN
from amiss.models.text import TextEncoder
from amiss.models.text_model import TextModel
from amiss.models.token_density import TokenDensity
from amiss.models.unet import Denoiser, UNet
from amiss.models.vae import ELBO, ConvVAE
from amiss.models.variants import fused, reinitialized
from amiss.models.vocabulary import Vocabulary

__all__ = [
    "ARCHITECTURES",
    "DCGAN",
    "ELBO",
    "FVBN",
    "GAN",
    "MADE",
    "Adversarial",
    "Autoencoder",
    "Autoregressive",
    "Bernoulli",
    "Captioner",
    "Categorical",
    "CodeFlow",
    "ConvAutoencoder",
    "ConvVAE",
    "Denoiser",
    "DenseAutoencoder",
    "Density",
    "Detection",
    "Detector",
    "DiagonalBiLSTM",
    "Discrete",
    "FilmDecoder",
    "FilmStrip",
    "Flow",
    "FramePicker",
    "GatedPixelCNN",
    "Illumination",
    "ImageCodec",
    "Implicit",
    "Inverter",
    "LabelSequence",
    "LatentVariable",
    "LeNet",
    "Likelihood",
    "LitCaptioner",
    "LitClassifier",
    "LogisticMixture",
    "MovieClassifier",
    "Normal",
    "PickedClassifier",
    "PixelCNN",
    "PixelDensity",
    "PixelFlow",
    "RasterLSTM",
    "Recurrent",
    "ResNet",
    "RowLSTM",
    "SequenceClassifier",
    "SmallCNN",
    "StackGAN",
    "TextEncoder",
    "TextModel",
    "TokenDensity",
    "Tokens",
    "UNet",
    "Vocabulary",
    "arithmetic",
    "bits_per_dim",
    "build",
    "fused",
    "reinitialized",
]

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "LeNet": LeNet,
    "SmallCNN": SmallCNN,
    "ResNet": ResNet,
    "Detector": Detector,
    "ConvVAE": ConvVAE,
    "DenseAutoencoder": DenseAutoencoder,
    "ConvAutoencoder": ConvAutoencoder,
    "UNet": UNet,
    "Denoiser": Denoiser,
    "CodeFlow": CodeFlow,
    "PixelFlow": PixelFlow,
    "FVBN": FVBN,
    "MADE": MADE,
    "PixelCNN": PixelCNN,
    "GatedPixelCNN": GatedPixelCNN,
    "RowLSTM": RowLSTM,
    "DiagonalBiLSTM": DiagonalBiLSTM,
    "RasterLSTM": RasterLSTM,
    "GAN": GAN,
    "DCGAN": DCGAN,
    "Inverter": Inverter,
    "StackGAN": StackGAN,
    "ImageCodec": ImageCodec,
    "TextModel": TextModel,
    "Captioner": Captioner,
    "MovieClassifier": MovieClassifier,
    "LabelSequence": LabelSequence,
    "SequenceClassifier": SequenceClassifier,
    "PickedClassifier": PickedClassifier,
    "LitClassifier": LitClassifier,
    "LitCaptioner": LitCaptioner,
}
"""What a recipe may name: the class itself, by its own name."""


def build(recipe: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """Build the model that a recipe names, with initial weights drawn from `seed`.

    Args:
        recipe: {"architecture": a name in `ARCHITECTURES`, "arguments": its keyword arguments}.
        seed: Seed of the initial weights; the global generator is left as it was.

    Raises:
        ModelError: The recipe has no such form, or names an unknown architecture or argument.
        UsageError: An argument's value cannot mean anything.
    """
    name, arguments = recipe.get("architecture"), recipe.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise ModelError(
            "The recipe does not describe a model.",
            slug="model-recipe",
            seen=repr(dict(recipe))[:200],
            needed='{"architecture": name, "arguments": {...}}',
            hint="Write the architecture's name and its keyword arguments.",
        )
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=0.4)
        raise ModelError(
            f"There is no architecture named {name!r}.",
            slug="model-unknown",
            seen=name,
            needed=f"one of {', '.join(ARCHITECTURES)}",
            hint=f"Did you mean {close[0]!r}?" if close else "Name one of those.",
        )
    try:
        # Initial weights come from torch's global generator: it is seeded, then given back untouched.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return ARCHITECTURES[name](**arguments)
    except TypeError as error:
        raise ModelError(
            f"{name} cannot be built from these arguments.",
            slug="model-arguments",
            seen=repr(dict(arguments))[:200],
            needed=f"the keyword arguments of {name}",
            why=str(error),
            hint=f"See help(amiss.models.{name}).",
        ) from error
