"""Ever again over the nearest of the linearized boundaries: the quickest way out of a class."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Level, Query, State

__all__ = ["DeepFool"]

_PATIENT, _DOUBLINGS = 4, 6  # turns with steps as long as they should be, and how often their length doubles then


class DeepFool(Optimizer):
    """Steps to the nearest linearized boundary, until one is crossed.

    Each turn every class k has a margin m_k, below 0, and its gradient w_k: were the network linear, |m_k| / |w_k|
    were the distance to that class. The nearest one is chosen, and the change grows by

        r = (|m_k| / |w_k|^2) w_k

    What is read next is the start and (1 + overshoot) times all of the change, inside the set. A sample that is met
    asks no more. Where four turns did not do, steps get twice as long with each turn, up to 64 times: of a step that
    is short beside a gray level nothing is left in a file, and others like it would follow.

    It is for objectives that are met as soon as any margin is 0, such as `Avoid`; toward one class there is one
    boundary, and `Linearized` steps to it.

    Args:
        overshoot: How much further than the boundary, as a share of the change, >= 0.
        among: Classes that are looked at, those that are least behind: each costs a backward pass.

    Raises:
        UsageError: A number outside its range.

    References:
        Moosavi-Dezfooli, Fawzi and Frossard (2016), DeepFool, algorithm 2. Theirs chooses between ten classes,
        their margin is 0, and none of their steps is longer than to the boundary.
    """

    wants: Level = "jacobian"

    def __init__(self, overshoot: float = 0.02, among: int = 10) -> None:
        if not overshoot >= 0 or among < 1:
            raise UsageError(
                "No boundary can be stepped over like this.",
                slug="deepfool-options",
                seen=f"overshoot={overshoot}, among={among}",
                needed="an overshoot of 0 or more, and a class or more to choose from",
                hint="DeepFool(overshoot=0.02, among=10)",
            )
        self.overshoot, self.among = overshoot, among

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the start, or where the optimizer before ended."""
        start, p = domain.start(), domain.best["p"] if warm is None else warm["p"]
        if not isinstance(start, Tensor):
            raise ContractError(
                f"DeepFool steps along gradients, and {type(domain.space).__name__} has none.",
                slug="contract-gradient",
                hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
            )
        p = p if len(p) == len(start) else domain.best["p"]
        return {"p": p, "change": p - start, "turn": 0}

    def ask(self, state: State, domain: Domain) -> Query:
        """The points of the samples that are not met, with the margins of their nearest classes."""
        turn = state["turn"]
        asks = ~domain.best["met"] if turn <= domain.steps else torch.zeros_like(domain.best["met"])
        owner = torch.where(asks, domain.everyone, -1)
        if turn == domain.steps:
            return Query(state["p"], owner, "loss")
        return Query(state["p"], owner, "jacobian", None, turn, nearest=self.among)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """One more step, and a little further."""
        if answer.grad is None or answer.margins is None or query.owner is None:
            return {**state, "turn": state["turn"] + 1}
        start, p, change = domain.start(), state["p"], state["change"]
        assert isinstance(start, Tensor)  # noqa: S101 - `init` has refused genomes
        slope, lack = answer.grad.flatten(2), answer.margins.abs()
        length = slope.norm(dim=2)
        far = torch.where(lack.isfinite() & (length > 0), lack / length, torch.inf)
        least, near = far.min(1)
        at = torch.arange(len(near), device=near.device)
        longer = 2 ** min(max(state["turn"] - _PATIENT, 0), _DOUBLINGS)
        step = (longer * least / length[at, near])[:, None] * slope[at, near]
        fit = (query.owner >= 0) & step.isfinite().all(1)
        grown = change + torch.where(fit[:, None], step, 0).view_as(change)
        moved = domain.project(start + (1 + self.overshoot) * grown, domain.everyone)
        like = fit.reshape(-1, *[1] * (p.ndim - 1))
        return {"p": torch.where(like, moved, p), "change": grown, "turn": state["turn"] + 1}
