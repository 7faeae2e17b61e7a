"""What the experiment before a camera asks: how far a pixel may move, where the camera stands, how many views."""

from dataclasses import dataclass, replace

from torch import Tensor

from amiss.constraints import Constraint, Linf, Mask, Quantized
from amiss.errors import UsageError
from amiss.objectives import EOT
from amiss.objectives.expectation import Transform
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.recipes import pgd
from amiss.recipes.recipe import wanted
from amiss.recipes.views import photographed
from amiss.repro import digest
from amiss.spaces import Pixels
from amiss.transforms import View

__all__ = ["MARGIN", "Camera"]

MARGIN = 3.0
"""How far ahead the wanted logit must be in a view that is searched: what is just met there fails in the next one."""


@dataclass(frozen=True)
class Camera:
    """What the experiment asks.

    Attributes:
        eps: L_inf radius, in pixel values of [0, 1].
        target: Name or number of the class that images shall become; empty for any but the true one.
        images: Images to change, drawn by the seed among those named rightly; fewer where there are no more.
        views: Photographs of each that judge, and that no search has seen.
        steps: Steps of the search over views.
        drawn: Views of each step, and as many others that tell the search whether it is met.
        scale: Least and greatest apparent size, 1 over the distance.
        rotation: Most degrees in the plane, either way.
        tilt: Most degrees about the vertical axis, either way.
        printed: Whether ink, lens, light, sensor and file change the photographs too.
        mask: Which pixels may change [H, W], bool; None for all.
        batch: Images a pass.
        seed: Of everything drawn.
    """

    eps: float
    target: str = ""
    images: int = 20
    views: int = 100
    steps: int = 100
    drawn: int = 8
    scale: tuple[float, float] = (0.5, 1.5)
    rotation: float = 30.0
    tilt: float = 45.0
    printed: bool = False
    mask: Tensor | None = None
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("images", "views", "steps", "drawn", "batch")}
        low = [name for name, value in counts.items() if value < 1]
        if low or self.eps == 0:
            raise UsageError(
                "The experiment before a camera needs a change, and something to show.",
                slug="camera-counts",
                seen=f"{low[0]}={counts[low[0]]}" if low else "eps=0",
                needed="1 or more" if low else "a number above 0 and at most 1, in pixel values of [0, 1]",
                hint="Camera(eps=0.1, images=20, views=100); on the command line --eps 0.1.",
            )
        _ = Linf(self.eps), self.view  # each refuses what it cannot mean

    @property
    def view(self) -> View:
        """Where the camera stands."""
        turn, side = (-self.rotation, self.rotation), (-self.tilt, self.tilt)
        return View(self.scale, turn, side, shift=(-0.05, 0.05), wall=(0.2, 0.9), over=2)

    @property
    def bound(self) -> Constraint:
        """What may change: no pixel by more than `eps`, nothing outside the mask, to what a file can hold."""
        ball: Constraint = Linf(self.eps)
        ball = ball if self.mask is None else ball & Mask(self.mask)
        return ball & Quantized(256, inward=True)

    def photographs(self, view: View | None = None) -> tuple[Transform, ...]:
        """All that lies between a picture and its photograph, taken from `view` where that is given."""
        return photographed(view or self.view, printed=self.printed)

    def probes(self, target: int | None) -> dict[str, tuple[str, Probe]]:
        """Recipe and probe of each kind of adversary, by its name.

        Args:
            target: Number of the class to become, or None.
        """
        single = pgd(self.eps, target=target, seed=self.seed, batch=self.batch)
        goal = EOT(wanted(target, MARGIN), self.photographs(), self.drawn, share=1.0)
        rows = max(1, self.batch // self.drawn)  # each shows so many views
        search = Probe(Pixels(), goal, self.bound, Adam(max(self.eps / 10, 1e-4)), "budget", Budget(self.steps))
        return {
            "single": ("pgd", replace(single, constraint=self.bound)),
            "eot": ("eot", replace(search, seed=self.seed, batch=rows)),
        }

    def __repr__(self) -> str:
        said = {name: value for name, value in vars(self).items() if name != "mask"}
        mask = "none" if self.mask is None else digest(self.mask)
        return f"Camera({', '.join(f'{name}={value!r}' for name, value in said.items())}, mask={mask})"
