"""Gradients from losses alone: an optimizer that steps along gradients is given estimates of them."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import UsageError
from amiss.optimizers.gradient import FirstOrder
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Level, Query, State

__all__ = ["Estimated"]

_KINDS = ("gaussian", "rademacher", "coordinates")


class Estimated(Optimizer):
    """A first-order optimizer whose gradients are estimated from pairs of losses.

    For each gradient that `inner` asks for, its row p is asked and 2 `pairs` rows p + sigma u and p - sigma u beside
    it, all on the same draw. The estimate is the mean of u (f(p + sigma u) - f(p - sigma u)) / (2 sigma), for u

    - "gaussian", standard normal, each component by itself: natural evolution strategies with antithetic pairs;
    - "rademacher", 1 or -1: simultaneous perturbation;
    - "coordinates", one pixel of the image after the other: central differences, the sum instead of the mean. With
      fewer pairs than numbers in a row, those of the turn are drawn, and the others of the gradient are 0.

    Where the set cuts a pair off, the difference that is left takes the place of 2 sigma u.

    Args:
        inner: Who steps; it wants gradients of the value, such as `Sign`, `Momentum` or `Adam`.
        kind: What the directions u are drawn from.
        pairs: Directions a gradient, one or more; None: one for each number of a row, for "coordinates" alone.
        sigma: How far from the row is looked, in pixel values of [0, 1], above 0. In a file of 256 levels nothing
            is seen below 1 / 255.

    Raises:
        UsageError: Directions of no such kind, no pairs, or a sigma that is not above 0.

    References:
        Ilyas, Engstrom, Athalye and Lin (2018), black-box adversarial attacks with limited queries and information,
        algorithm 1 ("gaussian"); Spall (1992), multivariate stochastic approximation using a simultaneous
        perturbation gradient approximation, eq. 2.2 ("rademacher"); Chen, Zhang, Sharma, Yi and Hsieh (2017), ZOO,
        eq. 6 ("coordinates").
    """

    wants: Level = "loss"

    def __init__(
        self,
        inner: FirstOrder,
        kind: Literal["gaussian", "rademacher", "coordinates"] = "gaussian",
        pairs: int | None = 25,
        sigma: float = 0.01,
    ) -> None:
        numbered = pairs is not None and pairs >= 1
        if kind not in _KINDS or not (numbered or (pairs is None and kind == "coordinates")) or not sigma > 0:
            raise UsageError(
                "A gradient cannot be estimated like this.",
                slug="estimated-options",
                seen=f"kind={kind!r}, pairs={pairs}, sigma={sigma}",
                needed=f"one of {', '.join(_KINDS)}; a pair or more (None: all coordinates); sigma above 0",
                hint="Estimated(Sign(0.01), 'gaussian', pairs=25, sigma=0.01)",
            )
        self.inner, self.kind, self.pairs, self.sigma = inner, kind, pairs, sigma

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin as the inner optimizer does."""
        return {"turn": 0, "inner": self.inner.init(domain, warm)}

    def ask(self, state: State, domain: Domain) -> Query:
        """Each row of the inner optimizer, and the pairs beside it."""
        query = self.inner.ask(state["inner"], domain)
        if query.want != "grad":
            return query
        assert isinstance(query.p, Tensor) and query.owner is not None  # noqa: S101, PT018 - first-order
        p, owner = query.p, query.owner
        steps = self.sigma * self._directions(p, owner, domain, state["turn"])
        rows = torch.cat([p[:, None], p[:, None] + steps, p[:, None] - steps], 1)
        many = rows.shape[1]
        spread = owner.repeat_interleave(many)
        weight = None if query.weight is None else query.weight.repeat_interleave(many)
        return replace(query, p=domain.project(rows.flatten(0, 1), spread), owner=spread, want="loss", weight=weight)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Tell the inner optimizer its rows' answers and the estimates of their gradients."""
        own = self.inner.ask(state["inner"], domain)
        turn = state["turn"] + 1
        if own.want != "grad":
            return {"turn": turn, "inner": self.inner.tell(state["inner"], domain, own, answer)}
        assert isinstance(query.p, Tensor) and query.owner is not None  # noqa: S101, PT018 - as `ask` made them
        assert answer.value is not None  # noqa: S101 - rows that belong to samples have one
        rows, value = query.p.unflatten(0, (len(own), -1)), answer.value.view(len(own), -1)
        pairs = (rows.shape[1] - 1) // 2
        across = (rows[:, 1 : pairs + 1] - rows[:, pairs + 1 :]).flatten(2)
        fall = (value[:, 1 : pairs + 1] - value[:, pairs + 1 :]).to(across.dtype)
        if self.kind == "coordinates":
            length = across.square().sum(2)
            fall = torch.where(length > 0, fall / length.clamp_min(torch.finfo(across.dtype).tiny), 0)
        else:
            fall = fall / (4 * self.sigma**2 * pairs)
        grad = torch.einsum("rk,rkd->rd", fall, across).view_as(rows[:, 0])
        met, size, loss = (part.view(len(own), -1)[:, 0] for part in (answer.met, answer.size, answer.loss))
        owner = query.owner.view(len(own), -1)[:, 0]
        first = Answer(met, size, loss, value[:, 0], grad)
        told = self.inner.tell(state["inner"], domain, replace(own, owner=owner), first)
        return {"turn": turn, "inner": told}

    def _directions(self, p: Tensor, owner: Tensor, domain: Domain, turn: int) -> Tensor:
        """Directions u [R, pairs, *p]."""
        shape, wide = tuple(p.shape[1:]), p[0].numel()
        pairs = self.pairs if self.pairs is not None else wide
        if self.kind != "coordinates":
            u = domain.noise(owner, turn, (pairs, *shape), p.dtype)
            return u if self.kind == "gaussian" else torch.where(u < 0, -1, torch.ones_like(u))
        if pairs >= wide:
            one = torch.eye(wide, dtype=p.dtype, device=p.device).view(wide, *shape)
            return one.expand(len(p), *one.shape)
        chosen = domain.noise(owner, turn, (wide,), p.dtype).argsort(1)[:, :pairs]
        return torch.nn.functional.one_hot(chosen, wide).to(p.dtype).view(len(p), pairs, *shape)
