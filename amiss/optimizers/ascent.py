"""Gradient ascent on a probability, by steps that aim at a certain rise of it, and with what keeps images plain."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.gradient import FirstOrder
from amiss.task import Answer, Query, State

__all__ = ["MARKS", "Ascent"]

MARKS = (0.5, 0.99, 0.999, 0.9999)
"""Probabilities whose first step is noted."""

_TINY = torch.finfo(torch.float32).tiny


class Ascent(FirstOrder):
    """Steps along the gradient of p = exp(-loss), each as long as p is to rise by a certain amount.

    With `Confidence` p is the softmax probability. A step is lr * grad p, and to first order p rises by
    lr * ||grad p||^2. That is set to min(early, late * (1 - p)). After the step four things may keep the image plain,
    in this order. All of them measure it from where the search starts before any noise: from gray, or from the
    sample's image.

    - decay: the image goes back by this share of its distance.
    - blur: it is blurred by a Gaussian.
    - small_norm: pixels that are near, over their channels, go back all the way.
    - small_benefit: so do pixels that p hardly depends on: those of small |sum over channels of gradient * distance|.

    The state's `marks` [n, 4] are the steps at which p was first above each of `MARKS`, -1: never. An image of the
    state after k steps was read at step k.

    Args:
        early: Rise of p that a step aims at.
        late: And at most this share of what is missing to 1.
        decay: Share of the distance that is taken back after each step, in [0, 1).
        blur: Standard deviation of the blur in pixels; 0: none.
        blur_every: Steps between two blurs.
        small_norm: Share of the pixels that go back for their norm, in [0, 1).
        small_benefit: Share of those that go back for their benefit, in [0, 1).
        max_lr: Bound of lr, for pixels in [0, 1]. It is what counts where p is next to nothing.
        spread: Standard deviation of the noise that the search starts with.

    Raises:
        UsageError: A number outside its range.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 3.3, and their code; the
        blur and the pixels that go back: Yosinski, Clune, Nguyen, Fuchs and Lipson (2015), understanding neural
        networks through deep visualization, section 3.
    """

    def __init__(
        self,
        early: float = 0.03,
        late: float = 0.1,
        *,
        decay: float = 0.01,
        blur: float = 0.0,
        blur_every: int = 1,
        small_norm: float = 0.0,
        small_benefit: float = 0.0,
        max_lr: float = 1e7 / 255**2,
        spread: float = 1 / 255,
    ) -> None:
        self.early, self.late, self.decay = early, late, decay
        self.blur, self.blur_every = blur, blur_every
        self.small_norm, self.small_benefit = small_norm, small_benefit
        self.max_lr, self.spread = max_lr, spread
        shares = (decay, small_norm, small_benefit)
        if not (
            min(early, late, max_lr) > 0
            and all(0 <= share < 1 for share in shares)
            and blur >= 0
            and spread >= 0
            and blur_every >= 1
        ):
            raise UsageError(
                "A probability cannot be climbed like this.",
                slug="ascent-options",
                seen=f"early={early}, late={late}, decay={decay}, blur={blur}, blur_every={blur_every}, "
                f"small_norm={small_norm}, small_benefit={small_benefit}, max_lr={max_lr}, spread={spread}",
                needed="early, late and max_lr above 0; decay and the shares of pixels in [0, 1); a blur and a "
                "spread of 0 or more, and 1 step or more between two blurs",
                hint="Ascent(early=0.03, late=0.1, decay=0.01)",
            )

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin like any first-order search, in images alone."""
        if not domain.space.images:
            raise ContractError(
                f"Ascent blurs and clips images, and the parameters of {type(domain.space).__name__} are none.",
                slug="contract-pixels",
                seen=f"Ascent with {type(domain.space).__name__}",
                needed="a space whose parameters are the images themselves",
                hint="Search in Pixels(shape), or use Adam.",
            )
        state = super().init(domain, warm)
        return {**state, "marks": domain.everyone.new_full((len(domain.task), len(MARKS)), -1)}

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Note the marks, step, and keep the image plain."""
        assert query.owner is not None  # noqa: S101 - as `ask` made it
        asked, step = query.owner >= 0, state["step"]
        fresh = (answer.loss[:, None] < answer.loss.new_tensor([-math.log(p) for p in MARKS])) & (state["marks"] < 0)
        marks = torch.where(fresh & asked[:, None], step, state["marks"])
        told = {**state, "step": step + 1, "marks": marks}
        if answer.grad is None:
            return told
        start = domain.start()
        assert isinstance(start, Tensor)  # noqa: S101 - images are tensors
        away = state["p"] + self._rise(answer) - start
        away = self._plain(away * (1 - self.decay), answer.grad, step)
        p = torch.where(asked[:, None, None, None], domain.project(start + away, domain.everyone), state["p"])
        return {**told, "p": p}

    def _rise(self, answer: Answer) -> Tensor:
        """The step [n, C, H, W]."""
        assert answer.grad is not None  # noqa: S101 - else there is no step
        p, missing = (-answer.loss).exp(), -(-answer.loss).expm1()
        # grad p = -p * grad loss. The step is lr * grad p, and lr = aim / ||grad p||^2.
        square = answer.grad.flatten(1).square().sum(1)
        aim = (self.late * missing).clamp(max=self.early)
        along = torch.minimum(aim / (p * square).clamp_min(_TINY), self.max_lr * p)
        return -along[:, None, None, None] * answer.grad

    def _plain(self, away: Tensor, grad: Tensor, step: int) -> Tensor:
        """The distance from the start, blurred, and 0 where pixels go back."""
        if self.blur > 0 and step % self.blur_every == 0:
            away = _blurred(away, self.blur)
        if self.small_norm > 0:
            away = _without_least(away, away.norm(dim=1, keepdim=True), self.small_norm)
        if self.small_benefit > 0:
            away = _without_least(away, (grad * away).sum(1, keepdim=True).abs(), self.small_benefit)
        return away


def _without_least(x: Tensor, size: Tensor, share: float) -> Tensor:
    """Images with 0 in the pixels whose size [n, 1, H, W] is below that quantile of their image's."""
    bound = size.flatten(1).quantile(share, dim=1)
    return torch.where(size < bound[:, None, None, None], 0.0, x)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """Images after a Gaussian blur; beyond their edges they go on as the pixels at the edge."""
    reach = max(1, math.ceil(3 * sigma))
    place = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = (-0.5 * (place / sigma).square()).exp()
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = conv2d(pad(x, (reach, reach, 0, 0), mode="replicate"), kernel, groups=x.shape[1])
    return conv2d(pad(x, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=x.shape[1])
