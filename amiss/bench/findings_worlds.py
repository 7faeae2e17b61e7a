"""What the findings are measured on: faces with shortcuts planted in training, and networks trained on them."""

from dataclasses import dataclass, replace
from typing import Any

from amiss.bench.bench import Run
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.spaces.latent import Codec
from amiss.training import load_model, presets, train

__all__ = ["PLANTS", "World", "faces_world", "planted"]

PLANTS = ("hair", "earrings", "glasses")
"""Planted in turn: seed s plants number s mod 3."""


@dataclass(frozen=True)
class World:
    """A classifier and a decoder that saw the same biased faces, and faces that are free of the bias.

    Attributes:
        classifier: To be audited.
        decoder: As a user would train it, on the classifier's own images.
        test: Faces whose plant says nothing about the label.
        plants: What was planted.
        source: Where the test faces come from, for their redrawn truth.
    """

    classifier: Classifier
    decoder: Codec
    test: Images
    plants: tuple[str, ...]
    source: str


def planted(seed: int, two: bool = False) -> tuple[str, ...]:
    """What a seed plants.

    Args:
        seed: Of the world.
        two: Whether the next plant of the list goes beside it.
    """
    return tuple(PLANTS[(seed + i) % len(PLANTS)] for i in range(1 + two))


def faces_world(run: Run, rho: float, *, two: bool = False) -> World:
    """The networks of one world, trained where their files are not there yet.

    Args:
        run: Seed, quickness and place.
        rho: Strength of the shortcut in training; 0 is none.
        two: Whether two shortcuts are planted at once.
    """
    plants = planted(run.seed, two)
    source = f"faces:rho={rho},seed={run.seed},plant={'+'.join(plants)}"
    few = {"limit": 1500} if run.quick else {}
    made: dict[str, Any] = {}
    for kind, preset in (
        ("classifier", presets.faces_classifier(run.seed)),
        ("decoder", presets.faces_vae(run.seed)),
    ):
        path = run.place / f"{kind}-{rho}{'-two' if two else ''}.safetensors"
        if not path.is_file():
            epochs = {"classifier": 6.0, "decoder": 2.0 if run.quick else 12.0}[kind]
            shorter = replace(preset, training=replace(preset.training, epochs=epochs))
            train(shorter, open_data(source, split="train", **few)).save(path)
        made[kind] = load_model(path)
    network, facts = made["classifier"]
    classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    test = f"faces:seed={run.seed},n={1200 if run.quick else 3000}"
    decoder: Any = made["decoder"][0].eval().requires_grad_(False)
    return World(classifier, decoder, open_data(test, split="test"), plants, test)
