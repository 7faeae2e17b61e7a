"""`Images`: a set of labeled images held as the bytes they are, each known by a digest of its content."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from amiss.data.files import read_image, to_bytes, write_png
from amiss.errors import DataError
from amiss.repro import digest, sample_key
from amiss.task import Task

__all__ = ["Images", "Index", "Predicts", "read_image", "to_bytes", "write_png"]

Index: TypeAlias = Tensor | Sequence[int] | slice
"""Which images: positions, a mask, or a slice."""


_MOST = 1_000_000  # classes


class Predicts(Protocol):
    """Anything that gives labels: `predict(x)` of images [k, C, H, W] in [0, 1] gives int64 labels [k]."""

    def predict(self, x: Tensor, /) -> Tensor:
        """Labels [k] of the images."""


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """A set of n images of one size. `Images.of` checks and fills in; prefer it to the bare constructor.

    Attributes:
        pixels: The images [n, C, H, W], uint8, C = 1 (grey) or 3 (RGB).
        labels: True labels [n], int64, or None.
        classes: Name of each label.
        names: Where each image is from: a path relative to its folder, or a name such as "test/00012".
        table: Further knowledge, one tensor [n] for each attribute; may be empty.
        unreadable: (name, reason) of each file that could not be read and is not among the n.
        captions: A sentence for each image, or none at all.
    """

    pixels: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    table: dict[str, Tensor] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()
    captions: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        pixels: Tensor,
        labels: Tensor | Sequence[int] | None = None,
        classes: Sequence[str] = (),
        *,
        names: Sequence[str] = (),
        table: Mapping[str, Tensor] | None = None,
        unreadable: Sequence[tuple[str, str]] = (),
        captions: Sequence[str] = (),
    ) -> "Images":
        """Check that all parts fit together.

        Args:
            pixels: The images [n, C, H, W], uint8.
            labels: True labels [n], whole numbers from 0.
            classes: Name of each label; by default the numbers.
            names: Name of each image; by default its position.
            table: Further knowledge, one tensor [n] for each attribute.
            unreadable: (name, reason) of each file left out.
            captions: A sentence for each image, or none at all.

        Raises:
            DataError: There is no image, or sizes, types or labels do not fit.
        """
        _check_pixels(pixels)
        n = len(pixels)
        label = None if labels is None else torch.as_tensor(labels)
        if label is not None:
            classes = tuple(classes) or _numbers(label)
            _check_labels(label, n, len(classes))
            label = label.to(torch.int64)
        names = tuple(names) or tuple(f"{i:05d}" for i in range(n))
        columns = dict(table or {})
        for what, count in {
            "names": len(names),
            "captions": len(captions) or n,
            **{f"table[{k!r}]": len(v) for k, v in columns.items()},
        }.items():
            if count != n:
                raise DataError(
                    f"There are not as many {what} as images.",
                    slug="data-counts",
                    seen=f"{count} {what}",
                    needed=f"{n}, one for each image",
                    hint="give one for each image, in the same order",
                )
        parts = (tuple(classes), names, columns, tuple(unreadable), tuple(captions))
        return cls(pixels.contiguous(), label, *parts)

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __repr__(self) -> str:
        n, channels, height, width = self.pixels.shape
        parts = [f"{n} x {'grey' if channels == 1 else 'RGB'} {height}x{width}"]
        parts.append(f"{len(self.classes)} classes" if self.labels is not None else "no labels")
        if self.table:
            parts.append(f"table of {', '.join(self.table)}")
        if self.captions:
            parts.append("captions")
        if self.unreadable:
            parts.append(f"{len(self.unreadable)} unreadable")
        return f"Images({'; '.join(parts)})"

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """SHA-256 of each image's type, shape and bytes: `amiss.repro.digest(pixels[i])`, only faster."""
        head = f"{self.pixels.dtype}{tuple(self.pixels.shape[1:])}".encode()
        rows = self.pixels.flatten(1).numpy()
        head = (len(head) + rows.shape[1]).to_bytes(8, "little") + head
        return tuple(hashlib.sha256(head + row.tobytes()).hexdigest() for row in rows)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all ids and labels, in order."""
        return digest(*self.ids, "unlabeled" if self.labels is None else self.labels)

    @property
    def truth(self) -> Tensor:
        """The labels [n], where they are needed.

        Raises:
            DataError: There are none.
        """
        if self.labels is None:
            raise DataError(
                "This needs true labels, and the images have none.",
                slug="data-unlabeled",
                seen=f"{len(self)} images without labels",
                needed="one folder a class, a CSV beside the images, idx files, or an npz with labels",
                why="a folder without sub-folders carries no labels",
                hint="Put the images of each class in a folder of its own, or a CSV with a row for each beside them.",
            )
        return self.labels

    def keys(self) -> Tensor:
        """Keys [n], int64, that randomness is folded from; equal images have equal keys."""
        return torch.tensor([sample_key(name) for name in self.ids], dtype=torch.int64)

    def pick(self, index: Index) -> "Images":
        """The images at `index`, in its order.

        Args:
            index: Positions [k] (a tensor or a sequence), a mask [n] of booleans, or a slice.
        """
        rows = self._rows(index)
        picked = replace(
            self,
            pixels=self.pixels[rows],
            labels=None if self.labels is None else self.labels[rows],
            names=tuple(self.names[i] for i in rows.tolist()),
            table={name: column[rows] for name, column in self.table.items()},
            captions=tuple(self.captions[i] for i in rows.tolist()) if self.captions else (),
        )
        if "ids" in self.__dict__:  # do not hash again what is hashed already
            picked.__dict__["ids"] = tuple(self.ids[i] for i in rows.tolist())
        return picked

    def images(self, index: Index | None = None) -> Tensor:
        """The images, or those at `index`, as float32 [k, C, H, W] in [0, 1]."""
        pixels = self.pixels if index is None else self.pixels[self._rows(index)]
        return pixels.to(torch.float32) / 255

    def task(self, index: Index | None = None) -> Task:
        """A task of all images, or of those at `index`: key, image and label."""
        part = self if index is None else self.pick(index)
        return Task(key=part.keys(), image=part.images(), label=part.labels)

    def guided(self, guides: "Images") -> Task:
        """A task in which each image has a guide to mimic.

        Args:
            guides: As many images of the same size; where they are labeled, their labels are the targets.

        Returns:
            A task with key, image, label, target and guide.

        Raises:
            DataError: There are not as many guides as images, they are of another size, or they are no `Images`.

        References:
            Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1.
        """
        if getattr(guides, "pixels", None) is None:
            raise DataError(
                "Guides are images, as `am.open_data` gives them.",
                slug="guide-images",
                seen=f"a {type(guides).__name__}",
                needed="Images, one for each image",
                why="a tensor",
                hint="images.guided(images.pick(rows)); Task(key, image=..., guide=...) takes tensors in [0, 1].",
            )
        if self.pixels.shape != guides.pixels.shape:
            raise DataError(
                "Each image needs one guide, of its own size.",
                slug="guide-shape",
                seen=f"images {tuple(self.pixels.shape)}, guides {tuple(guides.pixels.shape)}",
                needed="one guide [C, H, W] for each image [C, H, W]",
                hint="Bring both to one size (`size` in am.open_data) and pick as many: guides.pick(range(n)).",
            )
        return replace(self.task(), target=guides.labels, guide=guides.images())

    @torch.no_grad()
    def misclassified(self, classifier: Predicts, batch: int = 256) -> Task:
        """The images that the classifier gets wrong, each with its true label as the target.

        Args:
            classifier: `predict(x)` of images [k, C, H, W] in [0, 1] gives int64 labels [k].
            batch: Images a call.

        Returns:
            A task, empty if no answer is wrong.

        Raises:
            DataError: The images have no labels.
        """
        labels = self.truth
        parts = torch.split(torch.arange(len(self)), batch)
        answers = torch.cat([classifier.predict(self.images(part)).cpu() for part in parts])
        task = self.task(answers != labels)
        return replace(task, target=task.label)

    def _rows(self, index: Index) -> Tensor:
        index = index if isinstance(index, slice) else torch.as_tensor(index)
        if isinstance(index, Tensor) and not index.numel():
            index = index.to(torch.int64)  # an empty list has no type of its own
        return torch.arange(len(self))[index]


def _numbers(labels: Tensor) -> tuple[str, ...]:
    """Names for labels that come without: "0", "1", and so on."""
    count = int(labels.max()) + 1 if labels.numel() else 0
    return tuple(str(i) for i in range(min(count, _MOST)))  # one wild label must not fill the memory


def _check_pixels(pixels: Tensor) -> None:
    seen = f"{pixels.dtype} of shape {tuple(pixels.shape)}"
    if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] not in (1, 3):
        raise DataError(
            "This is not a set of images.",
            slug="data-pixels",
            seen=seen,
            needed="uint8 [n, C, H, W] with C = 1 (grey) or 3 (RGB)",
            why="images are channel-last, or already floats" if pixels.dim() == 4 else "a dimension is missing",
            hint="permute(0, 3, 1, 2) if channels are last; amiss.data.to_bytes(x) if x is a float in [0, 1]",
        )
    if not pixels.numel():
        raise DataError(
            "There is no image.",
            slug="data-empty",
            seen=seen,
            needed="at least one",
            hint="look at the source",
        )


def _check_labels(labels: Tensor, images: int, classes: int) -> None:
    if labels.is_floating_point() or labels.dtype == torch.bool or tuple(labels.shape) != (images,):
        raise DataError(
            "The labels do not fit the images.",
            slug="data-labels",
            seen=f"{labels.dtype} of shape {tuple(labels.shape)}",
            needed=f"whole numbers of shape ({images},), one for each image",
            hint="pass class numbers, not scores; argmax(1) if they are one-hot",
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            "Some labels are out of range.",
            slug="data-label-range",
            seen=f"labels from {low} to {high}, {classes} classes",
            needed=f"labels from 0 to {classes - 1}",
            why="labels count from 1, or a class name is missing" if high == classes else "",
            hint="count labels from 0 and name every class",
        )
