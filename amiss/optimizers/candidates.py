"""Codes to look at once, all of them: a grid over the plane, and the ways to other images of the class."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Left, Optimizer
from amiss.task import Answer, Level, Query, State

__all__ = ["Grid", "Segments"]


class _Candidates(Optimizer):
    """Looks once at many codes of each sample; whoever follows goes on from the one of lowest loss."""

    wants: Level = "loss"
    also_met: bool = False

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Nothing has been looked at."""
        self._codes(domain)  # what does not fit is refused at once
        return {"p": domain.best["p"], "turn": 0, "read": torch.zeros_like(domain.best["met"])}

    def ask(self, state: State, domain: Domain) -> Query:
        """All candidates of the samples that are not met, in one turn; their loss alone."""
        p, wanted = self._rows(domain)
        asks = wanted & (state["turn"] == 0)
        if not self.also_met:
            asks = asks & ~domain.best["met"][:, None]
        owner = torch.where(asks, domain.everyone[:, None], -1).flatten()
        return Query(domain.project(p, domain.everyone.repeat_interleave(asks.shape[1])), owner, "loss", draw=0)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Keep the candidate of lowest loss, for whoever follows."""
        assert isinstance(query.owner, Tensor) and isinstance(query.p, Tensor)  # noqa: S101, PT018 - as asked
        n = len(domain.task)
        asked = query.owner.view(n, -1) >= 0
        loss = torch.where(asked & ~answer.loss.view(n, -1).isnan(), answer.loss.view(n, -1), torch.inf)
        lowest, place = loss.min(1)
        each = query.p.view(n, asked.shape[1], -1)[domain.everyone, place]
        p = torch.where((lowest < torch.inf)[:, None], each, domain.best["p"])
        # A budget may have allowed none of a sample's rows: then nothing was found out about it.
        return {"p": p, "turn": state["turn"] + 1, "read": state["read"] | asked.any(1)}

    def _rows(self, domain: Domain) -> tuple[Tensor, Tensor]:
        """Changes [n * k, d] that lead to the candidates, and which of them are wanted [n, k]."""
        codes = self._codes(domain)
        change = codes - domain.task.extra["z"][:, None]
        return change.flatten(0, 1), torch.ones(change.shape[:2], dtype=torch.bool, device=change.device)

    def _codes(self, domain: Domain) -> Tensor:
        """The candidates of every sample [n, k, d]."""
        raise NotImplementedError


class Grid(_Candidates):
    """The nodes of a square grid over a code of two numbers: what the plane holds, whatever the gradient says.

    All n x n nodes of a sample are looked at in one turn. They are codes z', wherever the sample's own code z is, so
    each is a change z' - z. A sample that no node and nothing after it solves is called unreachable.

    Args:
        n: Nodes along each side.
        reach: The grid covers [-reach, reach] in both numbers.
        cap: Longest change that is looked at, in code units; None: all of them.
        also_met: Whether samples that are met already are looked at too, for a smaller change.

    Raises:
        UsageError: Fewer than two nodes along a side, or a reach or cap that is not above 0.
    """

    def __init__(self, n: int = 11, reach: float = 3.0, cap: float | None = None, also_met: bool = False) -> None:
        if n < 2 or not reach > 0 or (cap is not None and not cap > 0):
            raise UsageError(
                "There is no such grid.",
                slug="grid-options",
                seen=f"n={n}, reach={reach}, cap={cap}",
                needed="two nodes along a side or more, a reach above 0, and a cap above 0 or none",
                hint="Grid(n=11, reach=3.0)",
            )
        self.n, self.reach, self.cap, self.also_met = n, reach, cap, also_met

    def nodes(self, like: Tensor) -> Tensor:
        """The codes of the nodes [n * n, 2], of the type of `like` and where it is."""
        axis = torch.linspace(-self.reach, self.reach, self.n, dtype=like.dtype, device=like.device)
        return torch.cartesian_prod(axis, axis)

    def left(self, state: State) -> Left:
        """Unreachable, where the whole grid was read."""
        far = "" if self.cap is None else f", no further than {self.cap:g} from its own code,"
        where = f"No point of the {self.n} x {self.n} grid within {self.reach:g} of the origin{far}"
        return state["read"], "unreachable", f"{where} holds the answer."

    def _rows(self, domain: Domain) -> tuple[Tensor, Tensor]:
        change, wanted = super()._rows(domain)
        if self.cap is not None:
            wanted = change.norm(dim=1).view(wanted.shape) <= self.cap
        return change, wanted

    def _codes(self, domain: Domain) -> Tensor:
        z = codes_of(domain, self)
        if z.shape[1] != 2:
            raise ContractError(
                "A grid covers a plane, and the code is none.",
                slug="contract-plane",
                seen=f"codes of {z.shape[1]} numbers",
                needed="codes of 2 numbers",
                why="n points along each of many sides would be too many to look at",
                hint="Leave the grid out, or train a decoder with latent=2.",
            )
        return self.nodes(z).expand(len(z), -1, -1)


class Segments(_Candidates):
    """Points on the straight ways from a sample's code to the nearest codes of the class that it should be.

    Where the gradient is stuck, other images of the class say in which direction it lies.

    Args:
        codes: Codes [m, d] of images, as the decoder's encoder gives them.
        labels: Their classes [m].
        k: Nearest codes of the class.
        points: Points on each way, evenly spaced, the code of the other image the last.

    Raises:
        UsageError: Codes and labels that do not fit, or no ways or points.
    """

    def __init__(self, codes: Tensor, labels: Tensor, k: int = 8, points: int = 8) -> None:
        if codes.ndim != 2 or labels.shape != codes.shape[:1] or not len(codes) or k < 1 or points < 1:
            raise UsageError(
                "These are no ways to other codes.",
                slug="segments-options",
                seen=f"codes {tuple(codes.shape)}, labels {tuple(labels.shape)}, k={k}, points={points}",
                needed="codes [m, d] with a label each, k and points of 1 or more",
                hint="Segments(decoder.encode(x), y), with labeled images x that the decoder knows",
            )
        self.codes, self.labels, self.k, self.points = codes, labels, k, points

    def _rows(self, domain: Domain) -> tuple[Tensor, Tensor]:
        """Where a class has fewer than k codes, those that are missing are not wanted."""
        change, wanted = super()._rows(domain)
        target = _target(domain)
        there = (self.labels.to(target)[None] == target[:, None]).sum(1, keepdim=True)
        return change, torch.arange(wanted.shape[1], device=wanted.device) // self.points < there

    def _codes(self, domain: Domain) -> Tensor:
        z, target = codes_of(domain, self), _target(domain)
        codes, labels = self.codes.to(z), self.labels.to(target)
        if codes.shape[1] != z.shape[1]:
            raise ContractError(
                "The codes are those of another decoder.",
                slug="contract-codes",
                seen=f"codes of {codes.shape[1]} numbers",
                needed=f"codes of {z.shape[1]} numbers",
                hint="Encode the images with the decoder that the search uses.",
            )
        # Not by way of a matrix product, whose rounding would depend on the batch.
        far = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist").masked_fill(
            labels[None] != target[:, None], torch.inf
        )
        near = codes[far.topk(min(self.k, len(codes)), largest=False).indices]
        share = torch.arange(1, self.points + 1, dtype=z.dtype, device=z.device) / self.points
        ways = z[:, None, None] + share[:, None] * (near - z[:, None])[:, :, None]
        return ways.flatten(1, 2)


def codes_of(domain: Domain, asker: Optimizer) -> Tensor:
    """The samples' own codes [n, d].

    Raises:
        ContractError: The space has none.
    """
    if "z" not in domain.task.extra or domain.space.images:
        name = type(asker).__name__
        raise ContractError(
            f"{name} looks at codes, and {type(domain.space).__name__} has none.",
            slug="contract-codeless",
            seen=f"{name} with {type(domain.space).__name__}",
            needed="a space of codes that begin at an image's own",
            hint="Use Latent(decoder), or an optimizer for pixels.",
        )
    return domain.task.extra["z"]


def _target(domain: Domain) -> Tensor:
    """The class that each sample should be [n]."""
    target = domain.task.target if domain.task.target is not None else domain.task.label
    if target is None:
        raise ContractError(
            "Ways to a class need to know the class.",
            slug="contract-no-target",
            seen="a task without targets",
            hint="Give a task with targets: images.misclassified(classifier).",
        )
    return target
