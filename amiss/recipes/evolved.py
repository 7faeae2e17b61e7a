"""Presets that evolve nonsense: images and pictures that a classifier is sure of, found by asking it alone."""

from collections.abc import Sequence
from typing import Literal

from amiss.constraints import Unconstrained
from amiss.errors import UsageError
from amiss.objectives import Confidence
from amiss.optimizers import MapElites
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import CPPN, Genome
from amiss.spaces.cppn import CPPN_QUIRKS
from amiss.spaces.genome import GENOME_QUIRKS
from amiss.spaces.graphs import Rates

__all__ = ["fool_cppn", "fool_direct"]

Preset = Literal["modern", "paper-2015"]

_CLIMB = 0.05  # of the range of a pixel, a step of Adam
_HALVED = 200_000  # children after which the rate is halved: a thousand generations of 2015


@enter("classes", "nguyen2015", "mouret2015", "deb1995", "deb1996")
def fool_direct(
    shape: Sequence[int],
    *,
    preset: Preset = "modern",
    confidence: float = 0.99,
    generations: int | None = None,
    children: int | None = None,
    quirks: str = "preset",
    gradient: bool = False,
    until: Literal["met", "budget"] = "met",
    seed: int = 0,
    batch: int = 100,
    levels: int | None = 256,
) -> Probe:
    """Images evolved pixel by pixel, one elite a class, until the classifier is sure of each.

    Run it over `classes(classifier)`: every child competes for every class. It asks for logits alone.

    Args:
        shape: Shape (C, H, W) of an image.
        preset: "paper-2015" has the operators and the quirks of the code of 2015: crossover, parents from all cells,
            no halving of the mutation rate. "modern" has small generations, takes parents from the classes that are
            left, and does not cross them, which was measured to cost more than it brings.
        confidence: Softmax probability to reach.
        generations: After the first, which is noise. 200 in 2015, 2000 in "modern".
        children: Images a generation, shown to the network once each. 200 in 2015, 20 in "modern".
        quirks: Names out of `amiss.spaces.genome.GENOME_QUIRKS`, commas between; "none"; or those of the preset.
        gradient: Whether the elites of the classes that are left climb along gradients as well, by steps of 0.05. Far
            fewer queries, of a classifier that has gradients; "truncated" and the preset of 2015 have none.
        until: "met" ends when all classes are reached; "budget" goes on.
        seed: Of the probe.
        batch: Images a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: A preset or a quirk that is none.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, sections 2 and 3.1.
    """
    old = _old(preset)
    names = _quirks(quirks, GENOME_QUIRKS if old else ())
    born, turns = (200, 200) if old else (20, 2000)
    born, turns = born if children is None else children, turns if generations is None else generations
    halve = None if old else max(1, _HALVED // max(1, born))
    space = Genome(shape, crossover=0.5 if old else 0.0, halve=halve, quirks=names)
    search = MapElites(born, parents="all" if old else "unsolved", gradient=_CLIMB if gradient else None)
    constraint = on_file(Unconstrained(), levels)
    return Probe(space, Confidence(confidence), constraint, search, until, Budget(turns), seed, batch)


@enter("classes", "nguyen2015", "mouret2015", "stanley2007", "deb1996")
def fool_cppn(
    shape: Sequence[int],
    *,
    preset: Preset = "modern",
    color: Literal["hls", "rgb"] = "hls",
    confidence: float = 0.99,
    generations: int = 200,
    children: int = 200,
    quirks: str = "preset",
    until: Literal["met", "budget"] = "met",
    seed: int = 0,
    batch: int = 100,
    levels: int | None = 256,
) -> Probe:
    """Pictures drawn by evolved graphs (CPPN), one elite a class, until the classifier is sure of each.

    Run it over `classes(classifier)`: every child competes for every class. It asks for logits alone.

    Args:
        shape: Shape (C, H, W) of an image.
        preset: "paper-2015" has the operators and the quirks of the code of 2015, with x and y in numbers of pixels.
            "modern" has x and y in [-1, 1], and parents are taken from the classes that are left; while these are
            more than the children, most from those of middling confidence. From generation 150 on its children
            differ finely, exchange outputs with their mates, and are made anew where they draw what their parents
            draw.
        color: What the outputs of color images are: "hls" hue, lightness and saturation; "rgb" the channels.
        confidence: Softmax probability to reach.
        generations: After the first, whose graphs have no hidden nodes.
        children: Pictures a generation, shown to the network once each.
        quirks: Names out of `amiss.spaces.cppn.CPPN_QUIRKS`, commas between; "none"; or those of the preset.
        until: "met" ends when all classes are reached; "budget" goes on.
        seed: Of the probe.
        batch: Images a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: A preset, a color or a quirk that is none.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, sections 2 and 3.1; Stanley
        (2007), compositional pattern producing networks.
    """
    old = _old(preset)
    names = _quirks(quirks, CPPN_QUIRKS if old else ())
    space = CPPN(shape, color, rates=Rates() if old else None, quirks=names)
    search = MapElites(children, parents="all" if old else "unsure")
    constraint = on_file(Unconstrained(), levels)
    return Probe(space, Confidence(confidence), constraint, search, until, Budget(generations), seed, batch)


def _old(preset: str) -> bool:
    """Whether the preset is that of 2015."""
    if preset not in ("modern", "paper-2015"):
        raise UsageError(
            f"There is no preset {preset!r}.",
            slug="recipe-preset",
            seen=f"preset={preset!r}",
            needed="'modern' or 'paper-2015'",
            hint="Leave it out for the modern one.",
        )
    return preset == "paper-2015"


def _quirks(said: str, own: Sequence[str]) -> Sequence[str]:
    """The preset's own quirks, or those named instead."""
    if said == "preset":
        return own
    return () if said == "none" else [name.strip() for name in said.split(",")]
