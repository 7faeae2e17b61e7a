"""One query read: rows decoded, shown to the network, scored, and differentiated as far as is wanted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.domain import Domain
from amiss.foreign import gradient
from amiss.objectives.objective import Objective, leaves
from amiss.task import ALL, Answer, Query

__all__ = ["Pace", "blank", "read", "take"]

T = TypeVar("T")


@dataclass
class Pace:
    """How many rows a pass may have. Where memory runs out it is halved, and stays so.

    Attributes:
        rows: Rows a pass.
        starved: Whether not even one row fitted.
    """

    rows: int
    starved: bool = False

    def over(self, rows: Tensor, do: Callable[[Tensor], T]) -> Iterator[T]:
        """`do` of the rows, a part at a time, in order.

        Raises:
            torch.OutOfMemoryError: One row alone does not fit.
        """
        at = 0
        while at < len(rows):
            part = rows if len(rows) <= self.rows else rows[at : at + self.rows]
            try:
                done = do(part)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    self.starved = True
                    raise
                self.rows = len(part) // 2
                continue  # outside of the handler, so that what the failed pass held is let go
            at += len(part)
            yield done


def read(
    objective: Objective, classifier: Classifier, domain: Domain, query: Query, pace: Pace, images: bool
) -> tuple[Answer, Tensor | None]:
    """Read the rows that are not idle, as many a pass as fit, and lay the answers out again."""
    owner = query.owner
    everyone = owner is domain.everyone
    if owner is ALL:
        active = torch.arange(len(query))
    else:
        active = domain.everyone if everyone else (owner >= 0).nonzero().flatten()

    def look(rows: Tensor) -> tuple[Answer, Tensor]:
        if rows is active and (everyone or owner is ALL):
            return _look(objective, classifier, domain, query, owner)
        weight = None if query.weight is None else query.weight[rows]
        draw = query.draw[rows] if isinstance(query.draw, Tensor) else query.draw
        toward = None if query.toward is None else query.toward[rows]
        part = replace(query, p=take(query.p, rows), weight=weight, draw=draw, toward=toward)
        return _look(objective, classifier, domain, part, ALL if owner is ALL else owner[rows])

    parts = list(pace.over(active, look))
    if len(parts) == 1 and len(active) == len(query):
        return parts[0]
    rows = active if len(active) < len(query) else None

    def lay(name: str) -> Tensor | None:
        found = [getattr(answer, name) for answer, _ in parts]
        if found[0] is None:
            return None
        value = torch.cat(found)
        if rows is None:
            return value
        return value.new_zeros(len(query), *value.shape[1:]).index_copy(0, rows, value)

    met, size, loss = lay("met"), lay("size"), lay("loss")
    assert met is not None and size is not None and loss is not None  # noqa: S101, PT018
    answer = Answer(met, size, loss, lay("value"), lay("grad"), lay("margins"))
    if not images:
        return answer, None
    seen = torch.cat([x for _, x in parts])
    if rows is not None:
        seen = seen.new_zeros(len(query), *seen.shape[1:]).index_copy(0, rows, seen)
    return answer, seen


def _look(
    objective: Objective, classifier: Classifier, domain: Domain, query: Query, owner: Tensor | None
) -> tuple[Answer, Tensor]:
    """One pass: decode, read, score, and climb as far up the ladder as is wanted."""
    p, want = query.p, query.want
    if owner is ALL:
        return _compete(objective, classifier, domain, query)
    climb = want in ("grad", "jacobian")
    with torch.set_grad_enabled(climb):
        if climb:
            assert isinstance(p, Tensor)  # noqa: S101 - the ladder has refused genomes
            p = p.detach().requires_grad_()
        x = domain.decode(p, owner)
        task = domain.rows(owner)
        y = objective.read(classifier, x, task, query.draw)
        loss, met = objective.score(y, task)
        value = loss
        if query.of == "slack":
            value = objective.slack(y, task)
        elif query.of == "odds":
            value = objective.odds(y, task)
        elif query.weight is not None:
            penalty = query.weight.to(loss.dtype) * domain.penalty(p, x, owner)
            value = torch.where(met, 0.0, loss) + penalty
        margins = objective.margins(y, task) if want == "jacobian" or query.of == "margin" else None
        if margins is not None and query.of == "margin":
            assert query.toward is not None  # noqa: S101 - who wants one margin says of which class
            value = margins.gather(1, query.toward[:, None])[:, 0]
        if margins is not None and query.nearest is not None:
            near = margins.detach().abs().topk(min(query.nearest, margins.shape[1]), largest=False).indices
            margins = margins.gather(1, near)
        grad = None
        if margins is not None and want == "jacobian":
            columns = margins.unbind(1)
            grad = torch.stack([gradient(c, p, j + 1 < len(columns)) for j, c in enumerate(columns)], 1)
        elif climb:
            grad = gradient(value, p)
    with torch.no_grad():
        size = domain.size(p, x, owner)
    out = Answer(met, size, loss.detach(), value.detach(), grad, None if margins is None else margins.detach())
    return out, x.detach()


def _compete(objective: Objective, classifier: Classifier, domain: Domain, query: Query) -> tuple[Answer, Tensor]:
    """Rows that compete in every sample: read once a row, scored once a row and sample, differentiated for one."""
    n, r, p = len(domain.task), len(query), query.p
    climb = query.want == "grad"
    with torch.set_grad_enabled(climb):
        if climb:
            assert isinstance(p, Tensor)  # noqa: S101 - the ladder has refused genomes that are no tensor
            p = p.detach().requires_grad_()
        anyone = domain.everyone[:1].expand(r)
        x = domain.decode(p, anyone)
        y = objective.read(classifier, x, domain.rows(anyone), query.draw)
        y = leaves(y, lambda t: t.unsqueeze(1).expand(r, n, *t.shape[1:]))
        loss, met = objective.score(y, domain.task.grid(r))
        value = grad = None
        if climb:
            assert query.toward is not None  # noqa: S101 - who wants gradients says of which loss
            value = loss.gather(1, query.toward[:, None])[:, 0]
            grad = gradient(value, p)
    with torch.no_grad():
        size = domain.size(p, x, anyone)
    return Answer(met, size, loss.detach(), None if value is None else value.detach(), grad), x.detach()


def blank(query: Query) -> Answer:
    """The answer to a query whose rows are all idle: nothing met, zeros, and nobody's best."""
    rows, device = len(query), query.owner.device if query.owner is not None else None
    zeros = torch.zeros(rows, device=device)
    climbs = query.want in ("grad", "jacobian")
    grad = torch.zeros_like(query.p) if climbs and isinstance(query.p, Tensor) else None
    return Answer(zeros.bool(), zeros, zeros, zeros, grad, won=None)


def take(p: Any, rows: Tensor) -> Any:
    """Rows of parameters, a tensor or a list."""
    return p[rows] if isinstance(p, Tensor) else [p[i] for i in rows.tolist()]
