"""What a probe hands back: a `Result` of one `Outcome` a sample, with its best image and, if wanted, its path."""

import base64
import html
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from amiss.task import P, Task

__all__ = ["STATUSES", "Outcome", "Recorder", "Result", "Status", "Trajectory"]

Status = Literal[
    "met",
    "exhausted",
    "stuck",
    "unreachable",
    "no-gradient",
    "not-finite",
    "already-met",
    "out-of-memory",
    "unreadable",
    "interrupted",
]
STATUSES: tuple[Status, ...] = Status.__args__  # type: ignore[attr-defined]
"""The closed set of outcomes; their counts add up to the samples."""


@dataclass(frozen=True)
class Outcome:
    """How one sample ended.

    Attributes:
        status: One of `STATUSES`.
        size: Size of its best attempt, by the probe's constraint.
        loss: Loss of its best attempt.
        steps: Turns it took part in.
        queries: Images shown to the network on its behalf.
        first: The turn of its first success, or -1.
        reason: Why it stopped, in words.
    """

    status: Status
    size: float
    loss: float
    steps: int
    queries: int
    first: int
    reason: str

    @property
    def met(self) -> bool:
        """Whether the objective is met."""
        return self.status in ("met", "already-met")


@dataclass(frozen=True)
class Trajectory:
    """The path of one sample.

    Attributes:
        turns: Turns [T].
        loss: Loss of the foremost row at each [T].
        met: Its success [T].
        size: Its size [T].
        frames: Images along the way [F, C, H, W], uint8; the last is the best attempt.
        frame_turns: Their turns [F]; beside the best attempt stands the turn at which its search ended.
    """

    turns: Tensor
    loss: Tensor
    met: Tensor
    size: Tensor
    frames: Tensor
    frame_turns: Tensor


@dataclass(frozen=True)
class Result:
    """One outcome a sample, in the order of the task.

    Attributes:
        task: The samples.
        images: Best attempts [n, C, H, W] in [0, 1].
        p: Their parameters: a tensor [n, ...] or n genomes.
        outcomes: How each ended.
        trajectories: Their paths, where frames were wanted.
        probe: The probe, in words that construct it.
        seconds: Wall time.
    """

    task: Task
    images: Tensor
    p: P
    outcomes: tuple[Outcome, ...]
    trajectories: tuple[Trajectory, ...] = ()
    probe: str = ""
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def met(self) -> Tensor:
        """Whether each sample's objective is met [n]."""
        return torch.tensor([outcome.met for outcome in self.outcomes], dtype=torch.bool)

    @property
    def counts(self) -> dict[str, int]:
        """How many samples ended how; adds up to the samples."""
        return dict(Counter(outcome.status for outcome in self.outcomes))

    @property
    def size(self) -> Tensor:
        """Sizes of the best attempts [n]."""
        return torch.tensor([outcome.size for outcome in self.outcomes])

    @cached_property
    def l2(self) -> Tensor:
        """Euclidean length of each change in pixels [n]; NaN where the task had no image."""
        return self._change(lambda d: d.norm(dim=1))

    @cached_property
    def linf(self) -> Tensor:
        """Largest change of a pixel [n]; NaN where the task had no image."""
        return self._change(lambda d: d.abs().amax(1))

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a sample, of plain values: `pandas.DataFrame(result.table)`."""
        label, target = self.task.label, self.task.target
        l2, linf = self.l2.tolist(), self.linf.tolist()
        return [
            {
                "sample": i,
                "label": None if label is None else int(label[i]),
                "target": None if target is None else int(target[i]),
                "status": o.status,
                "size": o.size,
                "l2": l2[i],
                "linf": linf[i],
                "loss": o.loss,
                "first": o.first,
                "steps": o.steps,
                "queries": o.queries,
                "reason": o.reason,
            }
            for i, o in enumerate(self.outcomes)
        ]

    @classmethod
    def join(cls, parts: Sequence["Result"]) -> "Result":
        """Results of batches, as one."""
        if len(parts) == 1:
            return parts[0]
        tensors = [part.p for part in parts if isinstance(part.p, Tensor)]
        genomes = [genome for part in parts if isinstance(part.p, list) for genome in part.p]
        return cls(
            task=Task.join([part.task for part in parts]),
            images=torch.cat([part.images for part in parts]),
            p=genomes or torch.cat(tensors),
            outcomes=tuple(o for part in parts for o in part.outcomes),
            trajectories=tuple(t for part in parts for t in part.trajectories),
            probe=parts[0].probe,
            seconds=sum(part.seconds for part in parts),
        )

    def pick(self, rows: Sequence[int]) -> "Result":
        """The result of some of its samples, in the order of `rows`."""
        index = torch.tensor(list(rows), dtype=torch.int64)
        return replace(
            self,
            task=self.task.rows(index.to(self.task.key.device)),
            images=self.images[index.to(self.images.device)],
            p=self.p[index.to(self.p.device)] if isinstance(self.p, Tensor) else [self.p[i] for i in rows],
            outcomes=tuple(self.outcomes[i] for i in rows),
            trajectories=tuple(self.trajectories[i] for i in rows) if self.trajectories else (),
        )

    def _change(self, measure: Callable[[Tensor], Tensor]) -> Tensor:
        if self.task.image is None:
            return torch.full((len(self),), torch.nan)
        # A few at a time: all of them in float64 would take many times the memory of the images.
        pairs = zip(self.images.split(64), self.task.image.split(64), strict=True)
        return torch.cat([measure((a.cpu().double() - b.cpu().double()).flatten(1)) for a, b in pairs])

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        return f"Result({len(self)} samples: {counts or 'none'})"

    def _repr_html_(self) -> str:
        """Counts, and the first cases as original | result, for notebooks."""
        rows = []
        for i, o in enumerate(self.outcomes[:12]):
            pair = [self.task.image[i], self.images[i]] if self.task.image is not None else [self.images[i]]
            shown = " ".join(f'<img width="64" alt="sample {i}" src="{_data_uri(x)}">' for x in pair)
            cells = (shown, html.escape(o.status), f"{o.size:.3g}", str(o.queries), html.escape(o.reason))
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        head = "".join(f"<th>{name}</th>" for name in ("images", "outcome", "size", "queries", "why it stopped"))
        caption = html.escape(repr(self))
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"


@dataclass
class Recorder:
    """Keeps the path of every sample of a walk; frames are thinned on the way, to about `frames` a sample.

    Its fields are tensors and plain values: `Recorder(**vars(recorder))` goes on from where it was saved.
    """

    frames: int
    rows: list[list[Any]] = field(default_factory=list)
    images: list[list[Any]] = field(default_factory=list)
    stride: int = 1

    def add(self, turn: int, rows: Tensor, met: Tensor, size: Tensor, loss: Tensor, images: Tensor) -> None:
        """Note the foremost row of every sample at a turn: row numbers [n] (-1: none), values [n], images."""
        self.rows.append([turn, *(part.cpu() for part in (rows, met, size, loss))])
        if turn % self.stride == 0:
            kept = (images[rows.clamp_min(0)] * 255).round().to(torch.uint8).cpu()
            self.images.append([turn, rows.cpu(), kept])
        if len(self.images) > 4 * self.frames:
            self.images, self.stride = self.images[::2], self.stride * 2

    def paths(self, best: Tensor) -> tuple[Trajectory, ...]:
        """The trajectories; `best` [n, C, H, W] closes each."""
        last = (best * 255).round().to(torch.uint8).cpu()
        if not self.rows:  # a budget that allowed no turn
            none, start = torch.zeros(0), torch.zeros(1, dtype=torch.int64)
            return tuple(Trajectory(none.long(), none, none.bool(), none, x[None], start) for x in last)
        turns = torch.tensor([turn for turn, *_ in self.rows])
        columns: list[list[Tensor]] = [list(column) for column in zip(*(row[1:] for row in self.rows), strict=True)]
        rows, met, size, loss = (torch.stack(column).cpu() for column in columns)
        paths = []
        for i in range(len(best)):
            there = rows[:, i] >= 0
            seen = [(turn, images[i]) for turn, at, images in self.images if int(at[i]) >= 0]
            places = torch.linspace(0, len(seen) - 1, min(self.frames - 1, len(seen))).round().long().tolist()
            kept = [seen[k] for k in dict.fromkeys(places)]
            frames = torch.stack([image for _, image in kept] + [last[i]])
            marks = torch.tensor([turn for turn, _ in kept] + [int(turns[there].amax()) if there.any() else 0])
            paths.append(Trajectory(turns[there], loss[there, i], met[there, i], size[there, i], frames, marks))
        return tuple(paths)


def _data_uri(image: Tensor) -> str:
    from PIL import Image

    rounded = (image.detach().cpu() * 255).round().to(torch.uint8)
    pixels = rounded.permute(1, 2, 0).numpy() if len(rounded) == 3 else rounded[0].numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
