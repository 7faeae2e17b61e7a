"""How thorough an audit is, and whom it tells how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from amiss.errors import UsageError

__all__ = ["Plan", "Progress"]

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""

_GRID = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255, 64 / 255)


@dataclass(frozen=True)
class Plan:
    """How thorough an audit is.

    Attributes:
        margin: How far the true label's logit must be ahead in a repair.
        mistakes: At most so many mistakes are repaired; 0 repairs none.
        epsilons: L_inf radii, in pixel values of [0, 1], ascending.
        attacked: At most so many images are attacked; 0 attacks none.
        steps: Gradient steps of an attack.
        fooled: At most so many classes are fooled, evenly spaced; 0 fools none.
        imposters: Pairs of images of which one mimics the other's hidden features; 0 leaves them out.
        findings: At most so many kinds of mistake are asked what they have in common; 0 asks none.
        maps: At most so many cases get maps of the codes around them; 0 draws none.
        decoder_images: Fewest images that a missing decoder is trained on.
        decoder_seconds: Longest that this training may take.
        train_judge: Whether two networks are trained on halves of the images to judge the repairs.
        judge_images: Fewest images that they are trained on.
        gate: Share that a decoder must keep of the images and of the classifier's answers.
        batch: Images a pass.
        seed: Of everything drawn.
    """

    margin: float = 0.5
    mistakes: int = 1000
    epsilons: tuple[float, ...] = _GRID
    attacked: int = 256
    steps: int = 40
    fooled: int = 100
    imposters: int = 24
    findings: int = 4
    maps: int = 4
    decoder_images: int = 2000
    decoder_seconds: float = 90.0
    train_judge: bool = False
    judge_images: int = 1000
    gate: float = 0.7
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        steps = (0.0, *self.epsilons)
        if len(steps) < 2 or any(a >= b for a, b in pairwise(steps)) or steps[-1] > 1:
            raise UsageError(
                "The radii of an audit must ascend from above 0 to at most 1.",
                slug="plan-epsilons",
                seen=f"epsilons={self.epsilons}",
                needed="one radius or more, each larger than the one before, in pixel values of [0, 1]",
                why="radii in units of 0..255" if steps[-1] > 1 else "",
                hint="Plan(epsilons=(2 / 255, 4 / 255, 8 / 255))",
            )
        least = dict.fromkeys(("mistakes", "attacked", "fooled", "imposters", "findings", "maps"), 0)
        least |= {"steps": 1, "batch": 1}
        if low := [name for name, bound in least.items() if getattr(self, name) < bound]:
            raise UsageError(
                "A count of the audit's plan is too low.",
                slug="plan-counts",
                seen=f"{low[0]}={getattr(self, low[0])}",
                needed=f"{least[low[0]]} or more",
                hint="Plan(mistakes=0) leaves the repairs out, attacked=0 the attacks, imposters=0 the imposters.",
            )
