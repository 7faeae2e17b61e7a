"""Recipes that reach known figures, and recipes for images that nobody has seen before."""

from amiss.training.preset import Preset
from amiss.training.presets.classifiers import (
    attributes_for,
    cifar_classifier,
    classifier_for,
    faces_classifier,
    mnist_classifier,
    weak_classifier,
)
from amiss.training.presets.flow import flow_for
from amiss.training.presets.vae import decoder_for, faces_vae, mnist_vae

__all__ = [
    "Preset",
    "attributes_for",
    "cifar_classifier",
    "classifier_for",
    "decoder_for",
    "faces_classifier",
    "faces_vae",
    "flow_for",
    "mnist_classifier",
    "mnist_vae",
    "weak_classifier",
]
