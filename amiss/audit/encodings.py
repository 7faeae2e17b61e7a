"""What the experiment with fooling images asks: in which encodings, of which classes, and how much is searched."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from amiss.errors import UsageError
from amiss.objectives import Confidence
from amiss.optimizers import MapElites
from amiss.probe import Probe
from amiss.recipes import fool_ascent, fool_cppn, fool_direct, fool_gradient

__all__ = ["ENCODINGS", "RECIPES", "STEEP", "Evolution", "cost"]

ENCODINGS = ("direct", "cppn", "gradient", "direct-gradient", "ascent")
"""Pixels that evolve, pictures of graphs that evolve, gray images that follow the sign of the gradient, pixels that
evolve and climb along gradients, and gray images that ascend the probability with a decay."""

STEEP = ("gradient", "direct-gradient", "ascent")
"""Those that want gradients."""

RECIPES = {
    "direct": "fool_direct",
    "cppn": "fool_cppn",
    "gradient": "fool_gradient",
    "direct-gradient": "fool_direct",
    "ascent": "fool_ascent",
}
"""The recipe of each."""


@dataclass(frozen=True)
class Evolution:
    """What the experiment asks.

    Attributes:
        encodings: Out of `ENCODINGS`, each once.
        classes: To fool, by name or number, each once; none named: all of them.
        generations: Of those that evolve, after the first; where left out as many as the recipe of each makes.
        children: Images a generation; likewise.
        steps: Of the gradient, and of the ascent.
        confidence: Softmax probability that fools.
        preset: Operators of those that evolve.
        color: What the outputs of a graph are in color images: hue, lightness and saturation, or the channels.
        batch: Images a pass.
        seed: Of everything drawn.
        rejection: Whether what rejects the champions is asked in the end, where there are labeled images.
        adaptive: Images to show each rule of rejection in a search against it; 0 searches against none.
    """

    encodings: tuple[str, ...] = ENCODINGS[:3]
    classes: tuple[int | str, ...] = ()
    generations: int | None = None
    children: int | None = None
    steps: int = 100
    confidence: float = 0.99
    preset: Literal["modern", "paper-2015"] = "modern"
    color: Literal["hls", "rgb"] = "hls"
    batch: int = 100
    seed: int = 0
    rejection: bool = True
    adaptive: int = 0

    def __post_init__(self) -> None:
        if not self.encodings or len({*self.encodings}) < len(self.encodings) or {*self.encodings} - {*ENCODINGS}:
            raise UsageError(
                "The experiment needs encodings that it knows, each named once.",
                slug="fooling-encodings",
                seen=f"encodings={self.encodings}",
                needed=f"one or more of {', '.join(ENCODINGS)}",
                hint="Evolution(('direct', 'cppn')); on the command line --encodings direct,cppn.",
            )
        if "direct-gradient" in self.encodings and self.preset == "paper-2015":
            raise UsageError(
                "The operators of 2015 know no gradients.",
                slug="fooling-encodings",
                seen="direct-gradient, and the preset paper-2015",
                needed="direct-gradient with the preset modern, or direct",
                why="images of 2015 are rounded down to gray levels, which has no gradient",
                hint="Leave one of them out.",
            )
        counts = {name: getattr(self, name) for name in ("generations", "children", "steps", "batch")}
        low = [name for name, value in counts.items() if value is not None and value < 1]
        if low := [*low, *(["adaptive"] if self.adaptive < 0 else [])]:
            raise UsageError(
                "A budget of nothing evolves nothing.",
                slug="fooling-counts",
                seen=f"{low[0]}={getattr(self, low[0])}",
                needed="0 or more" if low[0] == "adaptive" else "1 or more",
                hint="Evolution(generations=200, children=200); on the command line --generations 200.",
            )
        Confidence(self.confidence)

    def probe(self, encoding: str, shape: tuple[int, ...]) -> Probe:
        """What searches in an encoding, for images of a shape (C, H, W); to the end of its budget."""
        common: dict[str, Any] = {"confidence": self.confidence, "seed": self.seed, "batch": self.batch}
        if encoding == "gradient":
            return replace(fool_gradient(shape, steps=self.steps, **common), until="budget")
        if encoding == "ascent":
            return fool_ascent(shape, steps=self.steps, until="budget", **common)
        given = {"generations": self.generations, "children": self.children}
        common |= {name: value for name, value in given.items() if value is not None}
        if encoding == "cppn":
            return fool_cppn(shape, preset=self.preset, color=self.color, until="budget", **common)
        climb = encoding == "direct-gradient"
        return fool_direct(shape, preset=self.preset, gradient=climb, until="budget", **common)


def cost(probe: Probe, n: int) -> int:
    """About how many evaluations a search makes; a gradient counts as three.

    Args:
        probe: Of `Evolution.probe`.
        n: Classes.
    """
    search, steps = probe.optimizer, probe.budget.steps
    if not isinstance(search, MapElites):
        return 3 * n * steps
    born = search.children
    return search.first + steps * (born if search.gradient is None else max(born, 3 * min(n, born)))
