"""A `Classifier` is a network with its preprocessing and its labels: images in [0, 1] in, logits and features out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import AmissError, DataError, LayerError, ModelError, ParityError
from amiss.foreign import Reached, layer_names, listening, refusal
from amiss.heads import column, odds
from amiss.repro import digest
from amiss.scope import untouched
from amiss.task import Level

__all__ = ["Check", "Classifier", "Counts"]


@dataclass
class Counts:
    """What a classifier was asked: `forward` and `backward` passes (calls), `queries` (images seen)."""

    forward: int = 0
    backward: int = 0
    queries: int = 0


@dataclass(frozen=True)
class Check:
    """What `Classifier.check` saw.

    Attributes:
        n: Images.
        right: How many were named correctly.
        low: Lowest logit.
        high: Highest logit.
        predicted: The classifier's answers [n], int64, on the CPU.
    """

    n: int
    right: int
    low: float
    high: float
    predicted: Tensor = field(repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of the images that the classifier names correctly, in [0, 1]."""
        return self.right / self.n


class Classifier:
    """A network, its preprocessing and its labels.

    The network is used as it is: evaluation mode and frozen parameters hold for the length of one pass and are
    restored after it, even when it raises; no hook stays.

    Args:
        network: Module or callable: images [N, C, H, W] to logits [N, m], to one logit [N] or [N, 1] (read as the
            log-odds of class 1 against class 0), or, where `gives` is "met", to labels [N].
        mean: Mean for each channel, subtracted from images in [0, 1].
        std: Standard deviation for each channel, divided by after that.
        labels: Names of the classes; their numbers where left out.
        head: For a network of many labels, sigmoid logits [N, m]: the number or the name of the one column that
            is read, as the log-odds of that attribute. `labels` then names the m attributes, and the classes are
            ("not NAME", NAME).
        answer: Picks the logits from what the network returns, for networks that return tuples or dicts.
        gives: How far up the ladder the network goes: "met" (labels alone), "loss" (logits), "jacobian" (gradients).
        device: Where the network is moved; where its parameters are, if left out.
        size: Side of the square images that it was trained on, where that is known; only the command line heeds it.
        channels: Channels of the images that it takes, where that is known; only the command line heeds it.

    Raises:
        ModelError: A std that is not above 0, no names where labels are all it tells, or a head that is not there.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        labels: Sequence[str] | None = None,
        head: int | str | None = None,
        answer: Callable[[Any], Tensor] | None = None,
        gives: Level = "jacobian",
        device: torch.device | str | None = None,
        size: int | None = None,
        channels: int | None = None,
    ) -> None:
        if gives == "met" and labels is None:
            raise ModelError(
                "A labels-only classifier needs the names of its classes.",
                slug="model-labels",
                seen="gives='met' and no labels",
                needed="one name for each class",
                hint="Classifier(f, gives='met', labels=['cat', 'dog'])",
            )
        if gives == "met" and head is not None:
            raise ModelError(
                "A head is a column of logits, and a labels-only classifier has none.",
                slug="model-head",
                seen=f"gives='met', head={head!r}",
                hint="Return the logits [N, m] and leave gives out, or tell the labels of one attribute.",
            )
        if std is not None and not all(0 < part < inf for part in std):
            raise ModelError(
                "The standard deviation of a channel must be above 0.",
                slug="model-std",
                seen=f"std={tuple(std)}",
                hint="Give the divisor that your training used, for images in [0, 1].",
            )
        self.network, self.gives, self.size, self.channels = network, gives, size, channels
        self._named = None if labels is None else tuple(map(str, labels))
        self._head = None if head is None else column(head, self._named)
        self.labels: tuple[str, ...] | None = self._named
        if self._named is not None and self._head is not None:
            self.labels = (f"not {self._named[self._head]}", self._named[self._head])
        self.counts = Counts()
        self._pick = answer
        self._mean = None if mean is None else torch.tensor(mean, dtype=torch.float64).reshape(-1, 1, 1)
        self._std = None if std is None else torch.tensor(std, dtype=torch.float64).reshape(-1, 1, 1)
        weight = None
        if isinstance(network, nn.Module):
            if device is not None:
                network.to(device)
            weight = next((p for p in network.parameters() if p.is_floating_point()), None)
        self.device = torch.device(device or (weight.device if weight is not None else "cpu"))
        self._dtype = None if weight is None else weight.dtype

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that `outputs` can give, "answer" (the logits) last."""
        return layer_names(self.network)

    @property
    def preprocessing(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation, one a channel or one for all: 0 and 1 where none were given."""
        mean = (0.0,) if self._mean is None else tuple(self._mean.flatten().tolist())
        return mean, (1.0,) if self._std is None else tuple(self._std.flatten().tolist())

    @property
    def fingerprint(self) -> str:
        """Digest of the weights, the preprocessing, the head and the labels that were given.

        Of a callable that is no module its own `fingerprint` stands for the weights, where it has one.
        """
        if isinstance(self.network, nn.Module):
            held = self.network.state_dict().items()
            parts = [
                part for name, value in held for part in (name, value if isinstance(value, Tensor) else repr(value))
            ]
        else:
            parts = [str(getattr(self.network, "fingerprint", ""))]
        stats = [None if stat is None else stat.flatten().tolist() for stat in (self._mean, self._std)]
        return digest(*parts, repr((*stats, self._named, self._head)))

    def outputs(self, x: Tensor, layers: Sequence[str] = ("answer",)) -> dict[str, Tensor]:
        """Logits and features in one pass, which ends at the last layer wanted.

        Args:
            x: Images [N, C, H, W] in [0, 1].
            layers: Names out of `layers`; "answer" is the logits.

        Returns:
            One tensor [N, ...] a name; "answer" is [N, m].

        Raises:
            DataError: Images of whole numbers.
            LayerError: A name that the network does not have, or a layer that returns no single tensor.
            ModelError: The network raises, or its output is no row of logits an image.
        """
        seen: dict[str, Tensor] = {}
        inner = [name for name in layers if name != "answer"]
        inputs = self.shown(x)
        if inputs.requires_grad:
            inputs.register_hook(self._count_backward)
        stop = None if "answer" in layers else len(set(inner))
        with untouched(self.network), listening(self.network, inner, seen, stop):
            self.counts.forward += 1
            self.counts.queries += len(x)
            try:
                out = self.network(inputs)
            except Reached:
                return seen
            except Exception as error:
                if isinstance(error, AmissError | torch.OutOfMemoryError):
                    raise
                raise refusal(error, x) from error
        if "answer" in layers:
            seen["answer"] = self._logits(out, x)
        if missed := set(inner) - set(seen):
            raise LayerError(
                f"The pass never came through layer {sorted(missed)[0]!r}.",
                slug="layer-unused",
                seen=f"layers {sorted(seen)}",
                hint="Choose a layer that the network's forward calls.",
            )
        return seen

    def shown(self, x: Tensor) -> Tensor:
        """What the network is shown of images [N, C, H, W] in [0, 1]: on its device, in its type, normalized.

        Raises:
            DataError: Images of whole numbers.
            ModelError: A mean or std for another number of channels.
        """
        if not x.is_floating_point():
            raise DataError(
                "The classifier is shown images in [0, 1], and these are whole numbers.",
                slug="data-range",
                seen=f"{str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}",
                needed="floating-point images [N, C, H, W] in [0, 1]",
                why="the bytes of images, 0..255",
                hint="Divide by 255, or take images.images() for images.pixels.",
            )
        # A copy wherever nothing else makes one: a network may write into its input, and the hook that counts
        # must not stay on a tensor of the caller's.
        inputs = x.to(self.device, self._dtype, copy=self._mean is None and self._std is None)
        for name, stat in (("mean", self._mean), ("std", self._std)):
            if stat is not None and len(stat) not in (1, x.shape[1]):
                raise ModelError(
                    f"The {name} is for another number of channels than the images have.",
                    slug="model-channels",
                    seen=f"images [N, {x.shape[1]}, H, W], {name} of {len(stat)}",
                    needed=f"one {name} for each channel",
                    hint="Load the images with channels=1 or 3 (--channels), as the model was trained.",
                )
        if self._mean is not None:
            inputs = inputs - self._mean.to(inputs)
        if self._std is None:
            return inputs
        # In place where there is a copy already: of many large images a further one costs as much as the sum.
        std = self._std.to(inputs)
        return inputs / std if self._mean is None else inputs.div_(std)

    def predict(self, x: Tensor) -> Tensor:
        """Labels [N], int64, of images [N, C, H, W] in [0, 1]."""
        with torch.no_grad():
            return self.outputs(x)["answer"].argmax(-1)

    def check(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        accuracy: float | None = None,
        tolerance: float = 0.02,
        batch: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> Check:
        """Score the classifier as amiss sees it, beside what its owner expects.

        Args:
            images: Images [N, C, H, W], float in [0, 1] or uint8.
            labels: True labels [N], int64.
            accuracy: The accuracy that you know, in [0, 1].
            tolerance: How far from it the score may lie.
            batch: Images a pass.
            progress: Called with (images done, images in all) before each pass.

        Raises:
            DataError: Images outside [0, 1], or labels outside the classes.
            ModelError: Logits that are not finite.
            ParityError: The score is not the expected one.
        """
        if not len(images) or len(images) != len(labels):
            raise DataError(
                "There is nothing to check." if not len(images) else "Each image needs one label.",
                slug="data-lengths" if len(images) else "data-empty",
                seen=f"{len(images)} images, {len(labels)} labels",
                needed="one label for each of one image or more",
                hint="Give images [N, C, H, W] and labels [N].",
            )
        right, low, high = 0, float("inf"), -float("inf")
        answers: list[Tensor] = []
        start = 0
        while start < len(images):
            if progress is not None:
                progress(start, len(images))
            x = images[start : start + batch].to(self.device)
            x = x.float() / 255 if x.dtype == torch.uint8 else x
            if not (float(x.min()) >= 0 and float(x.max()) <= 1):
                raise DataError(
                    "Images must lie in [0, 1]; the classifier does its own preprocessing.",
                    slug="data-range",
                    seen=f"values from {float(x.min()):.3g} to {float(x.max()):.3g}",
                    why="images that were already normalized, or still in 0..255",
                    hint="Pass uint8, or divide by 255, and give mean and std to Classifier.",
                )
            try:
                with torch.no_grad():
                    logits = self.outputs(x)["answer"]
            except torch.OutOfMemoryError:
                if len(x) == 1:
                    raise
                batch = len(x) // 2
                continue
            y = labels[start : start + batch].to(self.device)
            if int(y.min()) < 0 or int(y.max()) >= logits.shape[1]:
                raise DataError(
                    "Labels lie outside the classifier's classes.",
                    slug="data-labels",
                    seen=f"labels from {int(y.min())} to {int(y.max())}",
                    needed=f"0 to {logits.shape[1] - 1}: it answers with {logits.shape[1]} logits",
                    why="labels that start at 1, or a classifier for another data set",
                    hint="Number the classes from 0 in the order of the classifier's outputs.",
                )
            if not bool(logits.isfinite().all() if self.gives != "met" else (logits <= 0).all()):
                raise ModelError(
                    "The classifier answers with numbers that are not finite.",
                    slug="model-not-finite",
                    seen=f"NaN or infinite logits within the first {start + len(x)} images",
                    why="NaN in the weights, or a preprocessing that divides by 0",
                    hint="Look for NaN in your checkpoint: any(p.isnan().any() for p in net.parameters())",
                )
            answers.append(logits.argmax(1).cpu())
            right += int((answers[-1] == y.cpu()).sum())
            low, high = min(low, float(logits.min())), max(high, float(logits.max()))
            start += len(x)
        check = Check(len(images), right, low, high, torch.cat(answers))
        if accuracy is not None and not abs(check.accuracy - accuracy) <= tolerance:  # nor is it, if it is no number
            bare = self._mean is None and self._std is None
            raise ParityError(
                f"The wrapped model scores {check.accuracy:.1%} on {check.n} images; you said {accuracy:.1%}.",
                slug="parity-accuracy",
                seen="images in [0, 1] with " + ("no mean or std" if bare else "the mean and std you gave"),
                needed=f"within {tolerance:.1%} of your own figure",
                why="the normalization was left out" if bare else "another normalization, size or label order",
                hint="Classifier(net, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)), as in your training.",
            )
        return check

    def _logits(self, out: Any, x: Tensor) -> Tensor:
        out = self._pick(out) if self._pick is not None else out
        if not isinstance(out, Tensor):
            raise ModelError(
                "The network returns no tensor.",
                slug="model-output",
                seen=f"a {type(out).__name__}" + (f" with keys {list(out)[:5]}" if isinstance(out, Mapping) else ""),
                needed="logits [N, classes]",
                hint="Say where they are: Classifier(net, answer=lambda out: out[0])",
            )
        if len(x) == 1 and out.ndim == 0:  # a squeeze() takes the row of a single image with it
            out = out.reshape(1)
        if self.gives == "met" and out.ndim == 1 and self.labels is not None:
            return self._certain(out.long(), x)
        if len(x) == 1 and out.ndim == 1 and len(out) > 1:
            out = out.unsqueeze(0)
        if self._head is not None:
            out = odds(out, self._head, self._named)
        if out.ndim == 1 or (out.ndim == 2 and out.shape[1] == 1):
            one = out.reshape(-1)
            out = torch.stack([torch.zeros_like(one), one], 1)
        if out.ndim != 2 or len(out) != len(x):
            raise ModelError(
                "The network's output is no row of logits an image.",
                slug="model-shape",
                seen=f"shape {tuple(out.shape)} for {len(x)} images",
                needed=f"[{len(x)}, classes]",
                hint="Return logits [N, classes], or say where they are by answer=.",
            )
        if self.labels is None:
            self.labels = tuple(str(i) for i in range(out.shape[1]))
        if out.shape[1] != len(self.labels):
            raise ModelError(
                "The number of logits is not the number of labels.",
                slug="model-classes",
                seen=f"{out.shape[1]} logits, {len(self.labels)} labels",
                needed="one label for each logit, two of either or more",
                hint="Give one label for each output of the network, in its order.",
            )
        return out.to(x.dtype) if out.dtype != x.dtype else out

    def _certain(self, said: Tensor, x: Tensor) -> Tensor:
        """A model that tells its label alone is one that is certain: log-probabilities 0 and -inf."""
        names = self.labels or ()
        if len(said) != len(x):
            raise ModelError(
                "The network does not tell one label an image.",
                slug="model-shape",
                seen=f"{len(said)} labels for {len(x)} images",
                needed=f"[{len(x)}]",
                hint="Return labels [N], int64.",
            )
        if len(said) and not 0 <= int(said.min()) <= int(said.max()) < len(names):
            raise ModelError(
                "The network tells labels that have no name.",
                slug="model-classes",
                seen=f"labels from {int(said.min())} to {int(said.max())}",
                needed=f"0 to {len(names) - 1}: there are {len(names)} names",
                hint="Give one name for each class, in the order of their numbers from 0.",
            )
        return nn.functional.one_hot(said, len(names)).to(x.dtype).log()

    def _count_backward(self, _: Tensor) -> None:
        self.counts.backward += 1
