"""What the findings are measured on: faces with shortcuts planted in training, and networks trained on them."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from amiss.bench.bench import Run, Skip
from amiss.classifier import Classifier
from amiss.data import Images, open_data, redraw, sample_faces
from amiss.data.worlds.faces import Faces
from amiss.demo import demo_classifier, demo_decoder
from amiss.spaces.latent import Codec
from amiss.training import load_model, presets, train

__all__ = ["PLANTS", "World", "faces_world", "mirrored", "planted"]

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
        seed: Of the world.
    """

    classifier: Classifier
    decoder: Codec
    test: Images
    plants: tuple[str, ...]
    seed: int


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
        run: Seed and place; quick: the demo's networks, whose faces had hair planted, and nothing else.
        rho: Strength of the shortcut in training; 0 is none.
        two: Whether two shortcuts are planted at once.
    """
    if run.quick:
        if two or rho != 0.8:
            raise Skip("it trains networks for minutes")
        return World(demo_classifier(), demo_decoder(), _asked(0, 1000).images(), PLANTS[:1], 0)
    plants = planted(run.seed, two)
    source = f"faces:rho={rho},seed={run.seed},plant={'+'.join(plants)}"
    made: dict[str, Any] = {}
    for kind, preset, epochs in (
        ("classifier", presets.faces_classifier(run.seed), 6.0),
        ("decoder", presets.faces_vae(run.seed), 12.0),
    ):
        path = run.place / f"{kind}-{rho}{'-two' if two else ''}.safetensors"
        if not path.is_file():
            shorter = replace(preset, training=replace(preset.training, epochs=epochs))
            train(shorter, open_data(source, split="train")).save(path)
        made[kind] = load_model(path)
    network, facts = made["classifier"]
    classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    decoder: Any = made["decoder"][0].eval().requires_grad_(False)
    return World(classifier, decoder, _asked(run.seed, 3000).images(), plants, run.seed)


def mirrored(world: World, rows: Tensor, plant: str) -> Tensor:
    """The truth: the same test faces drawn anew with a plant on its other side.

    Args:
        world: Whose faces.
        rows: Positions [k].
        plant: Its name.

    Returns:
        Images [k, 3, size, size] in [0, 1].
    """
    faces = _asked(world.seed, len(world.test)).pick(rows)
    return redraw(faces, plant, 1 - faces[plant]).float() / 255


def _asked(seed: int, n: int) -> Faces:
    """Test faces of a seed: other faces than those of `open_data("faces:seed=...", split="train")`."""
    return sample_faces(n, 3 * seed + 2)
