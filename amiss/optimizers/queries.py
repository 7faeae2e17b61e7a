"""Search by queries alone: the network is asked for its loss, and never for a gradient."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Level, Query, State

__all__ = ["Square"]

# The parts of the search, in ten thousandths, after which the area of the squares is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


class Square(Optimizer):
    """Random search over squares at the bound: repaint one, and keep it where the loss falls.

    The first look is at the image itself, the second at vertical stripes at the bound, each channel of a column
    with a sign of its own. From then on each look repaints one square of what stands, each channel with a sign of
    its own. The squares shrink on a schedule over the steps of the budget. One row a sample, one query a turn.

    Args:
        eps: How far a painted pixel lies from the original, in pixel values of [0, 1]: the radius of `Linf`.
        share: Share of the image that the first squares cover, in (0, 1].

    Raises:
        UsageError: A share outside (0, 1].

    References:
        Andriushchenko, Croce, Flammarion and Hein (2020), square attack: a query-efficient black-box adversarial
        attack via random search, algorithms 1 and 2.
    """

    wants: Level = "loss"

    def __init__(self, eps: float, share: float = 0.8) -> None:
        if not 0 < share <= 1:
            raise UsageError(
                "A square covers a share of the image.",
                slug="square-share",
                seen=f"share={share}",
                needed="a number above 0, at most 1",
                hint="Square(8 / 255, share=0.8)",
            )
        self.eps, self.share = eps, share

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the image, or paint on where the optimizer before ended."""
        if not domain.space.images:
            raise ContractError(
                f"Square paints on images, and the parameters of {type(domain.space).__name__} are none.",
                slug="contract-pixels",
                seen=f"Square with {type(domain.space).__name__}",
                needed="a space whose parameters are the images themselves",
                hint="Search in Pixels(), or use an optimizer for codes or genomes.",
            )
        p = _origin(domain) if warm is None else warm["p"]
        # Until turn 1 has been read nothing stands, so what it shows stands whatever its loss.
        return {"p": p, "trial": p, "loss": p.new_full((len(p),), torch.inf), "turn": 0 if warm is None else 1}

    def ask(self, state: State, domain: Domain) -> Query:
        """The trials, one a sample, their loss alone; always on the same draw, for they are compared."""
        done = state["turn"] > domain.steps
        return Query(
            state["trial"], torch.full_like(domain.everyone, -1) if done else domain.everyone, "loss", draw=0
        )

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Keep the trials that lower the loss, and paint the next."""
        turn = state["turn"] + 1
        if state["turn"] == 0:
            return {**state, "trial": self._stripes(domain), "turn": turn}
        assert query.owner is not None and isinstance(query.p, Tensor)  # noqa: S101, PT018 - as `ask` made them
        loss = answer.loss.to(state["loss"].dtype)
        ahead = (loss < state["loss"]) & (query.owner >= 0)
        p = torch.where(ahead[:, None, None, None], query.p, state["p"])
        loss = torch.where(ahead, loss, state["loss"])
        return {"p": p, "loss": loss, "trial": self._squares(p, domain, turn), "turn": turn}

    def _stripes(self, domain: Domain) -> Tensor:
        start = _origin(domain)
        signs = domain.noise(domain.everyone, -2, (start.shape[1], 1, start.shape[3]), start.dtype).sign()
        return domain.project(start + self.eps * signs, domain.everyone)

    def _squares(self, p: Tensor, domain: Domain, turn: int) -> Tensor:
        """The standing images, each with one square repainted."""
        channels, height, width = p.shape[1:]
        side = self._side(turn / max(domain.steps, 1), height, width)
        luck = domain.noise(domain.everyone, turn, (2 + channels,), p.dtype)
        where = torch.special.ndtr(luck[:, :2])  # uniform again
        room = torch.tensor([height - side, width - side], device=p.device)
        corner = torch.minimum((where * (room + 1)).floor(), room)[:, :, None]
        down, across = torch.arange(height, device=p.device), torch.arange(width, device=p.device)
        rows, columns = ((corner[:, i] <= at) & (at < corner[:, i] + side) for i, at in ((0, down), (1, across)))
        inside = (rows[:, :, None] & columns[:, None, :])[:, None]
        start, signs = _origin(domain), luck[:, 2:].sign()[:, :, None, None]

        def paint(signs: Tensor) -> Tensor:
            return domain.project(torch.where(inside, start + self.eps * signs, p), domain.everyone)

        trial = paint(signs)
        same = (trial == p).flatten(1).all(1)
        if bool(same.any()):  # a query would be lost on what stands already; the opposite colors are a change
            trial = torch.where(same[:, None, None, None], paint(-signs), trial)
        return trial

    def _side(self, part: float, height: int, width: int) -> int:
        """Side of the squares, in pixels, when this part of the steps is done."""
        share = self.share * 0.5 ** sum(part * 10_000 > at for at in _HALVINGS)
        return max(1, min(round((share * height * width) ** 0.5), height, width))


def _origin(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - images are tensors
    return start
