"""The contract of an objective: `read` is the network, once an image; `score` is arithmetic, once a row and task."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError
from amiss.task import Task

__all__ = ["Objective", "Scaled", "Sum", "View", "leaves"]

View: TypeAlias = dict[str, Any]
"""What was read of R images: tensors [R, ...] by name, nested where objectives are."""


class Objective:
    """What is wanted, per row. Losses are never reduced over rows.

    Attributes:
        layers: What one pass must bring: names of layers, "answer" for the logits.
        looks: Images that one reading costs at the most.
        keeps: Which of two successes is the better one: the "smallest" change, or the one of the "lowest" loss.
        relative: Whether success is told by the sample's own image, such as a distance from it: then another image
            is another piece of work.
    """

    layers: tuple[str, ...] = ("answer",)
    looks: int = 1
    keeps: Literal["smallest", "lowest"] = "smallest"
    relative: bool = False

    @property
    def one_pass(self) -> bool:
        """Whether `read` is one plain pass, which a sum can share."""
        return type(self).read is Objective.read

    def cost(self, draw: int | Tensor | None) -> int:
        """Images that one reading with this draw costs; a judgement alone (None) may cost less than others."""
        return self.looks

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Compute once what every score needs (a guide's features, the number of a named class)."""
        return task

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Show the images to the network, once.

        Args:
            classifier: Who is asked.
            x: Images [R, C, H, W].
            task: The rows' samples: their keys are what random draws are folded from.
            draw: The rows' turn; None asks for the judgement alone.
        """
        return self.view(classifier.outputs(x, self.layers))

    def view(self, outputs: View) -> View:
        """What a pass brought, once an image: softmax and orderings belong here, not in `score`."""
        return outputs

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """Loss and success of each row.

        Args:
            y: What was read, leaves [..., features]; the leading shape is free.
            task: The rows' samples, fields of the same leading shape.

        Returns:
            Losses and whether the objective is met, both of the leading shape.
        """
        raise NotImplementedError

    def margins(self, y: View, task: Task) -> Tensor:
        """Margins [R, m], each 0 at its own boundary, for optimizers that want a Jacobian."""
        raise ContractError(
            f"{type(self).__name__} has no margins, which the optimizer wants.",
            slug="contract-margins",
            hint="Use Avoid or Become with an optimizer that wants a Jacobian.",
        )

    def slack(self, y: View, task: Task) -> Tensor:
        """How much there is to spare before `met` is lost [R]: >= 0 where met, and lacking below that.

        A loss may be 0 wherever the objective is met; the slack goes on, so that a success can be made smaller.

        Raises:
            ContractError: The objective is judged in another way than by a margin.
        """
        raise ContractError(
            f"{type(self).__name__} has no slack, which the optimizer wants.",
            slug="contract-slack",
            needed="an objective that is met by a margin: Become, Avoid, Confidence, or a sum of such",
            hint="Search with an optimizer that stops at the first success or descends the loss, such as Adam.",
        )

    def odds(self, y: View, task: Task) -> Tensor:
        """Log-odds of success [R], a smooth relative of the slack for searches that climb it: all classes pull.

        Where an objective has none of its own it is the slack.
        """
        return self.slack(y, task)

    def __add__(self, other: "Objective") -> "Sum":
        return Sum(self, other)

    def __mul__(self, factor: float) -> "Scaled":
        return Scaled(self, factor)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        given = ", ".join(
            f"{k}={v!r}"
            for k, v in vars(self).items()
            if isinstance(v, int | float | str | None) and k[0] != "_" and not hasattr(Objective, k)
        )
        return f"{type(self).__name__}({given})"


class Sum(Objective):
    """Objectives that are all wanted: losses add, met where all are met, one pass where each needs but one."""

    def __init__(self, *parts: Objective) -> None:
        self.parts: tuple[Objective, ...] = tuple(
            q for part in parts for q in (part.parts if isinstance(part, Sum) else (part,))
        )
        self.layers = tuple(dict.fromkeys(name for part in self.parts for name in part.layers))
        self._own = [part for part in self.parts if not part.one_pass]
        self.looks = self._shared + sum(part.looks for part in self._own)
        self.keeps = "lowest" if any(part.keeps == "lowest" for part in self.parts) else "smallest"
        self.relative = any(part.relative for part in self.parts)

    @property
    def one_pass(self) -> bool:
        """Whether every part needs no more than a pass, so that a larger sum can share it."""
        return not self._own

    @property
    def _shared(self) -> int:
        return int(len(self._own) < len(self.parts))

    def cost(self, draw: int | Tensor | None) -> int:
        """The pass that is shared, and what the other parts cost."""
        return self._shared + sum(part.cost(draw) for part in self._own)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Prepare every part."""
        for part in self.parts:
            task = part.prepare(classifier, task)
        return task

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """One pass for all parts that need no more than a pass, and the others' own readings."""
        outputs = classifier.outputs(x, self.layers) if self._shared else {}
        return {
            str(i): part.read(classifier, x, task, draw) if part in self._own else part.view(outputs)
            for i, part in enumerate(self.parts)
        }

    def view(self, outputs: View) -> View:
        """View every part."""
        return {str(i): part.view(outputs) for i, part in enumerate(self.parts)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """Losses added, met where all are."""
        loss, met = self.parts[0].score(y["0"], task)
        for i, part in enumerate(self.parts[1:], 1):
            more, also = part.score(y[str(i)], task)
            loss, met = loss + more, met & also
        return loss, met

    def margins(self, y: View, task: Task) -> Tensor:
        """The margins of the parts that have some, each no higher than the slack of the others [R, m]."""
        own = [type(part).margins is not Objective.margins for part in self.parts]
        if not any(own):
            return super().margins(y, task)
        parts = zip(self.parts, own, strict=True)
        told = [
            part.margins(y[str(i)], task) if has else part.slack(y[str(i)], task).unsqueeze(-1)
            for i, (part, has) in enumerate(parts)
        ]
        least = told[0]
        for more in told[1:]:
            least = torch.minimum(least, more)
        return least

    def slack(self, y: View, task: Task) -> Tensor:
        """The least of the parts' slacks."""
        least = self.parts[0].slack(y["0"], task)
        for i, part in enumerate(self.parts[1:], 1):
            least = torch.minimum(least, part.slack(y[str(i)], task))
        return least

    def odds(self, y: View, task: Task) -> Tensor:
        """The least of the parts' log-odds."""
        return torch.stack([part.odds(y[str(i)], task) for i, part in enumerate(self.parts)]).amin(0)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))


class Scaled(Objective):
    """An objective whose loss is multiplied; when it is met does not change."""

    def __init__(self, part: Objective, factor: float) -> None:
        self.part, self.factor = part, factor
        self.layers, self.looks, self.keeps, self.relative = part.layers, part.looks, part.keeps, part.relative

    @property
    def one_pass(self) -> bool:
        """Whether the part's `read` is one plain pass."""
        return self.part.one_pass

    def cost(self, draw: int | Tensor | None) -> int:
        """What the part costs."""
        return self.part.cost(draw)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Prepare the part."""
        return self.part.prepare(classifier, task)

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Read the part."""
        return self.part.read(classifier, x, task, draw)

    def view(self, outputs: View) -> View:
        """View the part."""
        return self.part.view(outputs)

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """The part's loss times the factor."""
        loss, met = self.part.score(y, task)
        return self.factor * loss, met

    def slack(self, y: View, task: Task) -> Tensor:
        """The part's slack: a factor moves no boundary."""
        return self.part.slack(y, task)

    def odds(self, y: View, task: Task) -> Tensor:
        """The part's log-odds."""
        return self.part.odds(y, task)

    def __repr__(self) -> str:
        return f"{self.factor} * ({self.part!r})" if isinstance(self.part, Sum) else f"{self.factor} * {self.part!r}"


def leaves(y: View, change: Callable[[Tensor], Tensor]) -> View:
    """The same view with every tensor changed."""
    return {name: leaves(v, change) if isinstance(v, dict) else change(v) for name, v in y.items()}
