"""The chain rule, value by value: what every autoregressive model is and can do, of pixels as of words."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound
from amiss.models.likelihoods import Stepwise

__all__ = ["Autoregressive"]


class Autoregressive(nn.Module, ABC):
    """A density as a product of conditionals, p(x) = prod_t p(x_t | x_0, ..., x_{t-1}), in a fixed order.

    A network is a member by three methods: `forward` gives the parameters of every conditional in one pass,
    `init_cache` and `step` those of one conditional after the other, at the cost of one value each. What kind of
    data the values make up is told by `flat`, `shaped`, `blank` and `check`. All else is here.

    Args:
        likelihood: Reads the parameters of one value, `likelihood.outputs` numbers.

    References:
        Frey, Hinton and Dayan 1996 (fully visible belief networks); van den Oord, Kalchbrenner and Kavukcuoglu 2016,
        pixel recurrent neural networks, equations 1 and 2.
    """

    bound: Bound = "exact"

    def __init__(self, likelihood: Stepwise) -> None:
        super().__init__()
        self.likelihood = likelihood

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters of every conditional of data `x` [N, ...]: [N, outputs, D]."""

    @abstractmethod
    def init_cache(self, n: int, c: Tensor | None = None) -> Any:
        """What `step` needs to know of `n` rows of which no value is known yet."""

    @abstractmethod
    def step(self, previous: Tensor | None, t: int, cache: Any) -> Tensor:
        """Parameters [n, outputs] of value `t`.

        Args:
            previous: Values [n] of place t - 1; None where t is 0.
            t: The place; steps are taken in order.
            cache: From `init_cache`; it is changed in place.
        """

    @abstractmethod
    def flat(self, x: Tensor) -> Tensor:
        """Data [N, ...] as rows of values [N, D], in their order."""

    @abstractmethod
    def shaped(self, rows: Tensor) -> Tensor:
        """Rows of values [N, D] as data [N, ...]: the way back from `flat`."""

    @abstractmethod
    def blank(self, n: int, given: Tensor | None) -> Tensor:
        """Data [n, ...] of zeros, to be drawn into; as long as what is `given`, where length varies."""

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Refuse data that the density gives no probability.

        Raises:
            ContractError: `x` has another shape, or values that there are not.
        """

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Exact log probability [N], nats, of data `x` [N, ...].

        Args:
            x: The data; each value is one of the likelihood's.
            c: What the data depends on, for a conditional model.

        Raises:
            ContractError: The data has another shape, or values that there are not.
        """
        self.check(x)
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
        """Draw `n` rows, one value after the other, each at the cost of that value alone.

        Args:
            n: How many.
            c: What the data depends on [n, ...], for a conditional model.
            given: Data [n or 1, ...] to complete.
            mask: Where `given` is kept: true or false, of a shape that broadcasts to the data's. The other values
                are drawn given those before them, so what lies behind them in the order is not looked at: keep a
                prefix, such as upper rows or the beginning of a text, for a true conditional sample.
            temperature: Below 1 the likelier values are drawn more often, above 1 less.
            generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.

        Returns:
            Data [n, ...].

        Raises:
            UsageError: `n` or `temperature` is not positive, or `given` or `mask` was passed alone.
            ContractError: They do not fit the data.
        """
        return self._draw(n, given, mask, temperature, generator, self._stepwise(n, c))

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
        """The same as `sample` by a whole pass for each value: slow, and what `sample` is checked against."""

        def whole(known: Tensor, t: int) -> Tensor:
            output: Tensor = self(self.shaped(known.T), c)
            return output[:, :, t]

        return self._draw(n, given, mask, temperature, generator, whole)

    def _stepwise(self, n: int, c: Tensor | None) -> Callable[[Tensor, int], Tensor]:
        """Parameters of place t from the values known so far, by `step`."""
        with torch.inference_mode():
            cache = self.init_cache(n, c)
        return lambda known, t: self.step(known[t - 1] if t else None, t, cache)

    def _draw(
        self,
        n: int,
        given: Tensor | None,
        mask: Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        parameters: Callable[[Tensor, int], Tensor],
    ) -> Tensor:
        """The loop over values; `parameters(known [D, n], t)` are those of place t."""
        if n < 1 or not temperature > 0:
            raise UsageError(
                "Nothing can be drawn like this.",
                slug="sample-number",
                seen=f"n={n}, temperature={temperature:g}",
                needed="at least one row, and a temperature above 0",
                hint="Pass, for instance, n=16, temperature=1.",
            )
        blank = self.blank(n, given)
        kept, keep = self._completion(blank, given, mask)
        generator = generator or torch.Generator().manual_seed(0)
        known = self.flat(blank).T.contiguous()
        with torch.inference_mode():
            for t in range(len(known)):
                output = parameters(known, t)
                if temperature != 1:
                    output = self.likelihood.tempered(output, temperature)
                drawn = self.likelihood.sample(output.unsqueeze(2), generator)[:, 0, 0]
                known[t] = drawn if keep is None or kept is None else torch.where(keep[t], kept[t], drawn)
        return self.shaped(known.T).contiguous()

    def _completion(
        self, blank: Tensor, given: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Given values and where they are kept, [D, n] each."""
        if given is None and mask is None:
            return None, None
        want = tuple(blank.shape)
        if given is None or mask is None:
            raise UsageError(
                "A completion needs something given and a mask.",
                slug="sample-given",
                seen="something given without a mask" if mask is None else "a mask and nothing given",
                needed="both, given and mask",
                hint="Pass mask=True where what is given is to be kept.",
            )
        try:
            given, mask = given.expand(want), mask.expand(want)
        except RuntimeError:
            raise ContractError(
                "What is given and its mask do not fit what is to be drawn.",
                slug="sample-mask",
                seen=f"given {tuple(given.shape)}, mask {tuple(mask.shape)}",
                needed=f"shapes that broadcast to {want}",
                hint="Bring an image to this size (amiss sample: --size), and give one mask, or one for each.",
            ) from None
        return self.flat(given).T.to(blank), self.flat(mask).T.to(blank.device, torch.bool)
