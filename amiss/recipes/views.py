"""The preset of adversaries that a camera is to see: one change that holds from many places."""

from typing import Literal

from amiss.constraints import Linf
from amiss.errors import UsageError
from amiss.objectives import EOT
from amiss.objectives.expectation import Transform
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file, wanted
from amiss.spaces import Pixels
from amiss.transforms import PRINTED, View

__all__ = ["eot", "photographed"]


@enter("images", "athalye2018")
def eot(
    eps: float,
    steps: int = 100,
    *,
    target: int | str | Literal["task"] | None = None,
    views: int = 8,
    share: float = 0.9,
    distance: float = 1.5,
    rotation: float = 20.0,
    tilt: float = 30.0,
    printed: bool = True,
    margin: float = 0.05,
    seed: int = 0,
    batch: int = 16,
    levels: int | None = 256,
) -> Probe:
    """One change that breaks the answer in most of the photographs of a print, wherever the camera stands.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        steps: Steps a sample, each along the mean gradient of fresh views.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        views: Views a step, and as many others that judge and are never optimized.
        share: Share of those others that must be met, in (0, 1].
        distance: The picture looks up to so many times larger or smaller, 1 or more.
        rotation: Most degrees in the plane, either way.
        tilt: Most degrees about the vertical axis, either way.
        printed: Whether ink, lens, light, sensor and file change it too.
        margin: How far the wanted logit must be ahead in a view.
        seed: Of the probe.
        batch: Rows a pass; each shows `views` images.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Athalye, Engstrom, Ilyas and Kwok (2018), synthesizing robust adversarial examples, eq. 2.
    """
    if not distance >= 1:
        raise UsageError(
            "The picture cannot look smaller at most than at least.",
            slug="recipe-distance",
            seen=f"distance={distance}",
            needed="1 or more: 1.5 is from two thirds of its size to one and a half times",
            hint="eot(0.1, distance=1.5)",
        )
    view = View((1 / distance, distance), (-rotation, rotation), (-tilt, tilt), wall=(0.2, 0.9), over=2)
    goal = EOT(wanted(target, margin), photographed(view, printed=printed), views, share)
    # Signs of a mean over few views are noisy: Adam averages them, and its step is a tenth of the radius.
    search = Adam(max(eps / 10, 1e-4))
    return Probe(Pixels(), goal, on_file(Linf(eps), levels), search, "met", Budget(steps), seed, batch)


def photographed(view: View, *, printed: bool) -> tuple[Transform, ...]:
    """What lies between a picture and its photograph, in order.

    Args:
        view: Where the camera stands.
        printed: Whether ink comes before it, and lens, light, sensor and file after it.
    """
    ink, _, *rest = PRINTED
    return (ink, view, *rest) if printed else (view,)
