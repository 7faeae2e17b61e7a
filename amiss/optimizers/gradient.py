"""First-order steps: sign, momentum, Adam."""

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["Adam", "FirstOrder", "Momentum", "Schedule", "Sign", "adam"]

Schedule: TypeAlias = Literal["constant", "linear", "cosine"]
"""How the length of a step goes over the budget's steps: as it is, or down to nothing."""


class FirstOrder(Optimizer):
    """One row a sample (or one a restart): look, step, project; after the last step one look without a gradient.

    Attributes:
        restarts: Rows a sample.
        spread: Standard deviation of the furthest start.
        schedule: How the length of a step goes over the budget.
        of: What is followed: the "value" downhill, or the objective's "slack" or "odds" uphill. Those two go on
            where a margin loss is 0, and carry no penalty.
    """

    restarts: int = 1
    spread: float = 0.0
    schedule: Schedule = "constant"
    of: Literal["value", "slack", "odds"] = "value"

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin where the optimizer before ended, or at the start; restarts but the first a way off it."""
        p = domain.start(self.restarts) if warm is None else warm["p"]
        if not isinstance(p, Tensor):
            raise ContractError(
                f"{type(self).__name__} steps along gradients, and {type(domain.space).__name__} has none.",
                slug="contract-gradient",
                hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
            )
        n = len(domain.task)
        fresh = warm is None or len(p) != n * self.restarts
        if len(p) != n * self.restarts:  # the optimizer before had another number of starts
            p = (p if len(p) == n else domain.best["p"]).repeat_interleave(self.restarts, 0)
        if fresh and self.spread > 0:
            p = domain.project(self._scatter(p, domain), self._owner(domain))
        return {"p": p, "step": 0, **self._memory(p)}

    def ask(self, state: State, domain: Domain) -> Query:
        """The standing rows: gradients, or at the end their losses alone."""
        owner = self._owner(domain)
        if state["step"] > domain.steps:
            return Query(state["p"], torch.full_like(owner, -1), "met")
        if state["step"] == domain.steps:
            return Query(state["p"], owner, "loss", domain.weight(owner))
        return Query(state["p"], owner, "grad", domain.weight(owner), state["step"], self.of)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Step along the gradient, downhill or uphill as is wanted, and project."""
        if answer.grad is None:
            return {**state, "step": state["step"] + 1}
        step, memory = self._step(state, answer.grad if self.of == "value" else -answer.grad)
        if self.schedule != "constant":
            step = _share(self.schedule, state["step"] / max(domain.steps, 1)) * step
        if query.owner is not None and query.owner is not domain.everyone:
            # An idle row stays where it is: what was averaged would carry it on, away from where it waits.
            idle = (query.owner < 0).reshape(-1, *[1] * (step.ndim - 1))
            step = torch.where(idle, torch.zeros_like(step), step)
        p = domain.project(state["p"] - step, self._owner(domain))
        return {"p": p, "step": state["step"] + 1, **memory}

    def _owner(self, domain: Domain) -> Tensor:
        return domain.everyone if self.restarts == 1 else domain.everyone.repeat_interleave(self.restarts)

    def _scatter(self, p: Tensor, domain: Domain) -> Tensor:
        """Random starts; with several the first stays put, and the others lie ever further away."""
        owner = self._owner(domain)
        noise = domain.noise(owner, -2, tuple(p.shape[1:]), p.dtype)
        reach = torch.linspace(0, 1, self.restarts, device=p.device, dtype=p.dtype)
        if self.restarts == 1:
            reach = torch.ones_like(reach)
        scale = self.spread * reach.repeat(len(domain.task)).reshape(-1, *[1] * (p.ndim - 1))
        return p + scale * noise

    def _memory(self, p: Tensor) -> State:
        return {}

    def _step(self, state: State, grad: Tensor) -> tuple[Tensor, State]:
        raise NotImplementedError


class Momentum(FirstOrder):
    """Steps of one length along an average of normalized gradients.

    Args:
        step: Length of a step, in the norm.
        momentum: Share of the average that stays, in [0, 1).
        norm: "linf" steps by the sign of the average, "l2" along it.
        restarts: Starts a sample.
        spread: Standard deviation of the random starts; 0 starts at the image.
        schedule: How the length of a step goes over the budget: "constant", "linear" or "cosine" down to 0.
        of: What is followed: the "value" downhill, or the objective's "slack" or "odds" uphill.

    Raises:
        UsageError: No start, a spread below 0, or a schedule of another name.

    References:
        Dong, Liao, Pang et al. (2018), boosting adversarial attacks with momentum, eq. 6 and 7.
    """

    def __init__(
        self,
        step: float,
        momentum: float = 0.9,
        norm: Literal["linf", "l2"] = "linf",
        *,
        restarts: int = 1,
        spread: float = 0.0,
        schedule: Schedule = "constant",
        of: Literal["value", "slack", "odds"] = "value",
    ) -> None:
        if restarts < 1 or not spread >= 0 or schedule not in ("constant", "linear", "cosine"):
            raise UsageError(
                "Steps cannot be taken like this.",
                slug="steps-options",
                seen=f"restarts={restarts}, spread={spread}, schedule={schedule!r}",
                needed="one start or more, a spread of 0 or more, and 'constant', 'linear' or 'cosine'",
                hint="Sign(0.01, restarts=5, spread=0.1, schedule='cosine')",
            )
        self.step, self.momentum, self.norm = step, momentum, norm
        self.restarts, self.spread = restarts, spread
        if schedule != "constant":  # else nothing is said of it, nor of what is followed as a rule
            self.schedule = schedule
        if of != "value":
            self.of = of

    def _memory(self, p: Tensor) -> State:
        return {"average": torch.zeros_like(p)} if self.momentum else {}

    def _step(self, state: State, grad: Tensor) -> tuple[Tensor, State]:
        average, memory = grad, {}
        if self.momentum:
            scale = grad.flatten(1).abs().mean(1).clamp_min(torch.finfo(grad.dtype).tiny)
            average = self.momentum * state["average"] + grad / scale.reshape(-1, *[1] * (grad.ndim - 1))
            memory = {"average": average}
        if self.norm == "linf":
            return self.step * average.sign(), memory
        length = average.flatten(1).norm(dim=1).clamp_min(torch.finfo(grad.dtype).tiny)
        return self.step * average / length.reshape(-1, *[1] * (grad.ndim - 1)), memory


class Sign(Momentum):
    """Steps by the sign of the gradient.

    Args:
        step: How far a pixel moves in one step.
        restarts: Starts a sample.
        spread: Standard deviation of the random starts; 0 starts at the image.
        schedule: How the length of a step goes over the budget: "constant", "linear" or "cosine" down to 0.
        of: What is followed: the "value" downhill, or the objective's "slack" or "odds" uphill.

    Raises:
        UsageError: No start, a spread below 0, or a schedule of another name.

    References:
        Goodfellow, Shlens and Szegedy (2015), section 4; Madry et al. (2018), eq. 2.2.
    """

    def __init__(
        self,
        step: float,
        *,
        restarts: int = 1,
        spread: float = 0.0,
        schedule: Schedule = "constant",
        of: Literal["value", "slack", "odds"] = "value",
    ) -> None:
        super().__init__(step, momentum=0.0, restarts=restarts, spread=spread, schedule=schedule, of=of)

    def __repr__(self) -> str:
        more = {name: value for name, value in vars(self).items() if name in ("schedule", "of")}
        said = "".join(f", {name}={value!r}" for name, value in more.items())
        return f"Sign(step={self.step!r}, restarts={self.restarts!r}, spread={self.spread!r}{said})"


class Adam(FirstOrder):
    """Adam, row by row: element-wise, so a batch of searches is as many independent ones.

    Args:
        lr: Step size.
        betas: Decay of the two averages.
        eps: Added to the denominator.
        restarts: Starts a sample; the first at no change, the others ever further off.
        spread: Standard deviation of the furthest start.

    References:
        Kingma and Ba (2015), algorithm 1.
    """

    def __init__(
        self,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        restarts: int = 1,
        spread: float = 0.0,
    ) -> None:
        self.lr, self.betas, self.eps = lr, betas, eps
        self.restarts, self.spread = restarts, spread

    def _memory(self, p: Tensor) -> State:
        return {"mean": torch.zeros_like(p), "square": torch.zeros_like(p)}

    def _step(self, state: State, grad: Tensor) -> tuple[Tensor, State]:
        averages = state["mean"], state["square"]
        step, mean, square = adam(grad, averages, state["step"] + 1, self.lr, self.betas, self.eps)
        return step, {"mean": mean, "square": square}


def _share(schedule: Schedule, done: float) -> float:
    """Part of the step's length that is left where a part of the budget is done."""
    return 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


def adam(
    grad: Tensor,
    averages: tuple[Tensor, Tensor],
    t: int | Tensor,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of Adam, to be taken from the parameters, and the two averages after it.

    Args:
        grad: The gradient, any shape.
        averages: Of the gradients before, and of their squares.
        t: Number of the step, from 1; a tensor where rows are at different ones, of a shape that `grad` takes.
        lr: Step size.
        betas: Decay of the two averages.
        eps: Added to the denominator.

    References:
        Kingma and Ba (2015), algorithm 1.
    """
    a, b = betas
    mean = averages[0].lerp(grad, 1 - a)
    square = averages[1] * b + (1 - b) * grad.square()
    return (lr / (1 - a**t)) * mean / ((square / (1 - b**t)).sqrt() + eps), mean, square
