"""The chain rule, pixel by pixel: what every autoregressive model of images is and can do."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound
from amiss.models.likelihoods import Discrete

__all__ = ["Autoregressive"]

_LARGEST = 2**16  # dimensions: a file that claims more is refused before memory is asked for


class Autoregressive(nn.Module, ABC):
    """A density of images as a product of conditionals, p(x) = prod_t p(x_t | x_0, ..., x_{t-1}).

    Dimensions are ordered row by row, then column by column, then channel by channel:
    t = (row * width + column) * channels + channel, D of them. A network is a member by three methods: `forward`
    gives the parameters of every conditional in one pass, `init_cache` and `step` those of one conditional after the
    other, at the cost of one dimension each. All else is here.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        likelihood: Reads the parameters of one dimension, `likelihood.outputs` numbers.

    Raises:
        UsageError: A size that no image has.

    References:
        Frey, Hinton and Dayan 1996 (fully visible belief networks); van den Oord, Kalchbrenner and Kavukcuoglu 2016,
        pixel recurrent neural networks, equations 1 and 2.
    """

    bound: Bound = "exact"

    def __init__(self, channels: int, size: int, likelihood: Discrete) -> None:
        super().__init__()
        if min(channels, size) < 1 or channels * size**2 > _LARGEST:
            raise UsageError(
                "No image has this size.",
                slug="density-size",
                seen=f"channels={channels}, size={size}",
                needed=f"positive numbers, and at most {_LARGEST} values in an image",
                hint="Pass, for instance, channels=1, size=28.",
            )
        self.channels, self.size, self.likelihood = channels, size, likelihood
        self.dimensions = channels * size**2

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters of every conditional of images `x` [N, C, H, W] in [0, 1]: [N, outputs, D]."""

    @abstractmethod
    def init_cache(self, n: int, c: Tensor | None = None) -> Any:
        """What `step` needs to know of `n` images of which no dimension is known yet."""

    @abstractmethod
    def step(self, previous: Tensor | None, t: int, cache: Any) -> Tensor:
        """Parameters [n, outputs] of dimension `t`.

        Args:
            previous: Values [n] in [0, 1] of dimension t - 1; None where t is 0.
            t: The dimension; steps are taken in order.
            cache: From `init_cache`; it is changed in place.
        """

    def flat(self, x: Tensor) -> Tensor:
        """Images [N, C, H, W] as rows of dimensions [N, D], in their order."""
        return x.permute(0, 2, 3, 1).flatten(1)

    def image(self, rows: Tensor) -> Tensor:
        """Rows of dimensions [N, D] as images [N, C, H, W]."""
        return rows.unflatten(1, (self.size, self.size, self.channels)).permute(0, 3, 1, 2)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Exact log probability [N], nats, of images `x` [N, C, H, W].

        Args:
            x: Images; each value is one of the likelihood's levels in [0, 1].
            c: What the images depend on, for a conditional model.

        Raises:
            ContractError: The images have another shape, or values between the levels.
        """
        self._check(x)
        return self.likelihood.log_prob(self(x, c), self.flat(x).unsqueeze(1))

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `n` images, one dimension after the other, each at the cost of that dimension alone.

        Args:
            n: How many.
            c: What the images depend on [n, ...], for a conditional model.
            given: Images [n or 1, C, H, W] to complete.
            mask: Where `given` is kept: true or false, of a shape that broadcasts to [n, C, H, W]. The other
                dimensions are drawn given those before them, so what lies behind them in the order is not
                looked at: keep a prefix, such as upper rows, for a true conditional sample.
            temperature: Below 1 the likelier values are drawn more often, above 1 less.
            generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.

        Returns:
            Images [n, C, H, W], values of the likelihood's levels in [0, 1].

        Raises:
            UsageError: `n` or `temperature` is not positive, or `given` or `mask` was passed alone.
            ContractError: They do not fit the images.
        """
        with torch.inference_mode():
            cache = self.init_cache(n, c)
        return self._draw(
            n, given, mask, temperature, generator, lambda known, t: self.step(known[t - 1] if t else None, t, cache)
        )

    def sample_naive(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The same as `sample` by a whole pass for each dimension: slow, and what `sample` is checked against."""
        return self._draw(
            n, given, mask, temperature, generator, lambda known, t: self(self.image(known.T), c)[:, :, t]
        )

    def _draw(
        self,
        n: int,
        given: Tensor | None,
        mask: Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        parameters: Callable[[Tensor, int], Tensor],
    ) -> Tensor:
        """The loop over dimensions; `parameters(known [D, n], t)` are those of dimension t."""
        if n < 1 or not temperature > 0:
            raise UsageError(
                "Nothing can be drawn like this.",
                slug="sample-number",
                seen=f"n={n}, temperature={temperature:g}",
                needed="at least one image, and a temperature above 0",
                hint="Pass, for instance, n=16, temperature=1.",
            )
        kept, keep = self._completion(n, given, mask)
        generator = generator or torch.Generator().manual_seed(0)
        weight = next(self.parameters())
        known = torch.zeros(self.dimensions, n, dtype=weight.dtype, device=weight.device)
        with torch.inference_mode():
            for t in range(self.dimensions):
                output = parameters(known, t)
                if temperature != 1:
                    output = self.likelihood.tempered(output, temperature)
                drawn = self.likelihood.sample(output.unsqueeze(2), generator)[:, 0, 0]
                known[t] = drawn if keep is None or kept is None else torch.where(keep[t], kept[t], drawn)
        return self.image(known.T).contiguous()

    def _completion(self, n: int, given: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Given values and where they are kept, [D, n] each."""
        if given is None and mask is None:
            return None, None
        want = (n, self.channels, self.size, self.size)
        if given is None or mask is None:
            raise UsageError(
                "A completion needs an image and a mask.",
                slug="sample-given",
                seen="an image without a mask" if mask is None else "a mask without an image",
                needed="both, given and mask",
                hint="Pass mask=True where the image is to be kept.",
            )
        try:
            given, mask = given.expand(want), mask.expand(want)
        except RuntimeError:
            raise ContractError(
                "Image and mask do not fit what is to be drawn.",
                slug="sample-mask",
                seen=f"given {tuple(given.shape)}, mask {tuple(mask.shape)}",
                needed=f"shapes that broadcast to {want}",
                hint=f"Resize the image (amiss sample: --size {self.size}), and give one mask, or one for each.",
            ) from None
        weight = next(self.parameters())
        return self.flat(given).T.to(weight), self.flat(mask).T.to(weight.device, torch.bool)

    def _check(self, x: Tensor) -> None:
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "The images do not fit this density.",
                slug="density-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or train a density for their size.",
            )
        steps = x.detach() * (self.likelihood.levels - 1)
        if not bool(((steps - steps.round()).abs() < 1e-3).all()):
            levels = self.likelihood.levels
            raise ContractError(
                "The images hold values that this density gives no probability.",
                slug="density-levels",
                seen=f"values between the {levels} levels",
                needed=f"multiples of 1/{levels - 1} in [0, 1]",
                why="gray images were given to a density of black and white ones" if levels == 2 else "",
                hint="Binarize the images first." if levels == 2 else "Pass bytes divided by 255.",
            )
