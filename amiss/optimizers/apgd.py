"""Steps that choose their own length, in runs for several losses and classes, each sample until it is broken."""

from typing import Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["APGD"]

_FIRST, _FEWER, _LEAST = 0.22, 0.03, 0.06  # parts of a run between checkpoints: the first, less each time, at least
_RISES = 0.75  # share of the steps between two checkpoints that must have gained
_ALPHA = 0.75  # share of a step that is new; the rest goes on as the step before


class APGD(Optimizer):
    """Projected gradient ascent whose steps are halved when they stop gaining, in runs one after the other.

    A run has `steps` looks. It steps 2 eps at first, three quarters along the gradient (by its sign for "linf") and
    one quarter as the step before. At checkpoints, ever closer to each other, the step is halved and the run goes
    back to its best point, if no more than three quarters of the steps since the last checkpoint gained, or if the
    best and the step stand as they stood there.

    The first run climbs the slack, a margin of logits, from the image; the second the log-odds of success, in which
    all classes pull; then one run climbs the margin of each class, the likeliest at the image first. All but the
    first begin at a random point of the ball. One row a sample, a look a turn: a probe with until="met" lets a sample
    go at its first success.

    Args:
        eps: Radius of the ball, in pixel values of [0, 1]: that of `Linf` or `L2`.
        norm: "linf" steps by the gradient's sign, "l2" along it.
        steps: Looks of a run, one or more.
        classes: Runs toward single classes; as many as there are, where there are fewer. Of two classes the slack is
            all there is.

    Raises:
        UsageError: A norm that there is none of, or numbers outside their range.

    References:
        Croce and Hein (2020), reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks, algorithm 1 and section 5. Their second loss divides the margin by that of the first
        logit to the third; steps by sign or of unit length heed no scale, so the margin itself does here.
    """

    def __init__(self, eps: float, norm: Literal["linf", "l2"] = "linf", steps: int = 100, classes: int = 9) -> None:
        if norm not in ("linf", "l2") or steps < 1 or classes < 0:
            raise UsageError(
                "There are no such runs.",
                slug="apgd-options",
                seen=f"norm={norm!r}, steps={steps}, classes={classes}",
                needed="norm 'linf' or 'l2', a step or more, and 0 classes or more",
                hint="APGD(8 / 255, 'linf', steps=100, classes=9)",
            )
        self.eps, self.norm, self.steps, self.classes = eps, norm, steps, classes

    @property
    def turns(self) -> int:
        """Looks of all runs together: one at the image, and those of each run."""
        return 1 + (2 + self.classes) * self.steps

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the image, or where the optimizer before ended."""
        if not domain.space.images:
            raise ContractError(
                f"APGD steps in a ball of images, and the parameters of {type(domain.space).__name__} are none.",
                slug="contract-pixels",
                seen=f"APGD with {type(domain.space).__name__}",
                needed="a space whose parameters are the images themselves",
                hint="Search in Pixels(), or use Adam(0.02) on codes.",
            )
        p = _start(domain) if warm is None or len(warm["p"]) != len(domain.task) else warm["p"]
        none = p.new_zeros(len(p))
        return {
            "turn": 0,
            "ranks": domain.everyone.new_zeros(
                len(p), 0
            ),  # classes by their margin at the image, the likeliest first
            "p": p,
            "before": p,
            "length": none,
            "best": {"p": p, "f": none, "g": torch.zeros_like(p)},  # of the run
            "last": none,  # what the look before told
            "rises": none,  # looks since the checkpoint that told more than the one before
            "then": none,  # the best at the checkpoint
            "halved": none > 0,  # and whether the step was halved there
        }

    def ask(self, state: State, domain: Domain) -> Query:
        """The standing points: the margins at the image, then the gradient of what the run climbs."""
        turn, everyone, toward = state["turn"], domain.everyone, None
        if turn == 0:
            return Query(state["p"], everyone, "loss", of="margin", toward=torch.zeros_like(everyone))
        run = (turn - 1) // self.steps
        if run >= 2 + state["ranks"].shape[1] or turn > domain.steps:
            return Query(state["p"], torch.full_like(everyone, -1), "loss")
        if run >= 2:
            toward = state["ranks"][:, run - 2]
        return Query(
            state["p"], everyone, "grad", None, turn, ("slack", "odds")[run] if run < 2 else "margin", toward
        )

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """A step of the run, or the first point of the next."""
        turn, told = state["turn"], {**state, "turn": state["turn"] + 1}
        if turn == 0:
            if answer.margins is not None:
                told["ranks"] = self._ranks(answer.margins)
            return told
        if answer.grad is None or answer.value is None:
            return told
        run, look = divmod(turn - 1, self.steps)
        told, p, g = self._looked(told, look, answer.value, answer.grad)
        if look + 1 == self.steps:
            over = run + 1 == 2 + state["ranks"].shape[1]
            told["p"] = domain.best["p"] if over else self._scattered(domain, turn)
        else:
            told |= self._step(told, domain, p, g)
        fit = told["p"].flatten(1).isfinite().all(1)
        told["p"] = torch.where(_like(fit, told["p"]), told["p"], state["p"])
        return told

    def _ranks(self, margins: Tensor) -> Tensor:
        """The likeliest classes of each sample, without its own [n, k]; none of two, for there the slack is it."""
        others = margins.shape[1] - 1
        return margins.topk(min(self.classes, others) if others > 1 else 0, dim=1).indices

    def _looked(self, state: State, look: int, f: Tensor, g: Tensor) -> tuple[State, Tensor, Tensor]:
        """What is remembered of a look, where the next step begins, and its gradient: a checkpoint may go back."""
        p, best = state["p"], state["best"]
        if look == 0:
            none = torch.zeros_like(f)
            told = {"best": {"p": p, "f": f, "g": g}, "before": p, "last": f, "then": f, "rises": none}
            return {**state, **told, "halved": none == 0, "length": none + 2 * self.eps}, p, g
        ahead = f > best["f"]
        best = {
            "p": torch.where(_like(ahead, p), p, best["p"]),
            "f": torch.where(ahead, f, best["f"]),
            "g": torch.where(_like(ahead, g), g, best["g"]),
        }
        told = {**state, "best": best, "last": f, "rises": state["rises"] + (f > state["last"])}
        since = _checkpoint(look, self.steps)
        if not since:
            return told, p, g
        halved = (told["rises"] <= _RISES * since) | (~state["halved"] & (best["f"] <= state["then"]))
        back = _like(halved, p)
        told |= {"halved": halved, "then": best["f"], "rises": torch.zeros_like(f)}
        told["length"] = torch.where(halved, state["length"] / 2, state["length"])
        told["before"] = torch.where(back, best["p"], state["before"])
        return told, torch.where(back, best["p"], p), torch.where(back, best["g"], g)

    def _step(self, state: State, domain: Domain, p: Tensor, g: Tensor) -> State:
        """Along the gradient, and on as before."""
        toward = g.sign() if self.norm == "linf" else _unit(g)
        aim = domain.project(p + _like(state["length"], p) * toward, domain.everyone)
        on = p + _ALPHA * (aim - p) + (1 - _ALPHA) * (p - state["before"])
        return {"p": domain.project(on, domain.everyone), "before": p}

    def _scattered(self, domain: Domain, turn: int) -> Tensor:
        """Random points of the ball: all over the cube, or on the sphere."""
        start = _start(domain)
        luck = domain.noise(domain.everyone, turn, tuple(start.shape[1:]), start.dtype)
        luck = 2 * torch.special.ndtr(luck) - 1 if self.norm == "linf" else _unit(luck)
        return domain.project(start + self.eps * luck, domain.everyone)


def _checkpoint(look: int, steps: int) -> int:
    """How many looks the checkpoint at this look is after the one before; 0 where there is none."""
    gap, fewer, least = (max(int(part * steps), 1) for part in (_FIRST, _FEWER, _LEAST))
    at = gap
    while at < look:
        gap = max(gap - fewer, least)
        at += gap
    return gap if at == look else 0


def _start(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - images are tensors
    return start


def _unit(v: Tensor) -> Tensor:
    """Rows [n, ...] of length 1; a row of zeros stays one."""
    return v / _like(v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny), v)


def _like(value: Tensor, p: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (p.ndim - 1))
