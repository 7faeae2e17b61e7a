"""Models behind a learned camera: movies of which few frames are recorded, scenes lit by few patterns."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models.acquisition import Begin, FramePicker, Illumination, through
from amiss.models.captioner import Captioner
from amiss.models.classifiers import LeNet, ResNet, SmallCNN
from amiss.models.movies import MovieClassifier
from amiss.models.sequence_classifier import SequenceClassifier

__all__ = ["LitCaptioner", "LitClassifier", "PickedClassifier"]

_OF_SEQUENCES: dict[str, type[nn.Module]] = {
    "MovieClassifier": MovieClassifier,
    "SequenceClassifier": SequenceClassifier,
}
_OF_IMAGES: dict[str, type[nn.Module]] = {"LeNet": LeNet, "SmallCNN": SmallCNN, "ResNet": ResNet}


class PickedClassifier(nn.Module):
    """A classifier of movies or signals that is shown k of T frames, which are learned with it.

    Frames that are not picked are gray (of a movie) or zero (of a signal), and the numbers beside them are zero. A
    movie that ends before a picked frame has that frame less; none may be longer than T.

    Args:
        frames: Frames of a movie, T.
        keep: How many are recorded, k.
        model: Recipe of the classifier: {"architecture": "MovieClassifier" or "SequenceClassifier",
            "arguments": {...}}.

    Raises:
        UsageError: More frames are to be kept than there are, or the recipe is for no such classifier.
    """

    def __init__(self, frames: int, keep: int, model: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = _built(model, _OF_SEQUENCES)
        movies = isinstance(self.model, MovieClassifier)
        self.extra = self.model.extra if isinstance(self.model, MovieClassifier) else 0
        self.picker = FramePicker(frames, keep, blank=0.5 if movies else 0.0)

    def each(self, x: Tensor, beside: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits of each frame [N, T, classes], of the frames that are picked (see the classifier's own `each`)."""
        logits: Tensor = self.model.each(*self._seen(x, beside, lengths))  # type: ignore[operator]
        return logits

    def forward(self, x: Tensor, beside: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits [N, classes] of movies of which k frames are left."""
        logits: Tensor = self.model(*self._seen(x, beside, lengths))
        return logits

    def _seen(self, x: Tensor, beside: Tensor | None, lengths: Tensor | None) -> tuple[Tensor | None, ...]:
        """What the classifier is told: frames, in a movie what stands beside them, and lengths."""
        mask = self.picker.mask(len(x))
        if lengths is not None and x.ndim > 1:
            mask = mask[:, : x.shape[1]]  # movies that all end early
        seen = self.picker.shown(x, mask)
        if not isinstance(self.model, MovieClassifier):
            return seen, lengths
        if beside is not None:
            beside = through(beside, mask)  # they are recorded with their frame
        return seen, beside, lengths


class LitClassifier(nn.Sequential):
    """A classifier of images that sees scenes lit by K patterns, which are learned with it.

    Layers: light, scale (a batch norm of the image that the readings give), and those of the classifier. Scenes are
    in [0, 1]: it wants no preprocessing. In training each reading has sensor noise; in eval mode it has none.

    Args:
        model: Recipe of the classifier: {"architecture": "LeNet", "SmallCNN" or "ResNet", "arguments": {...}}.
        channels: Channels of the scenes.
        size: Height and width in pixels.
        patterns: How many patterns are shown, K.
        noise: Standard deviation of a reading (see `Illumination`).
        learned: Whether the patterns are trained.
        begin: The patterns at first: "random" or "hadamard".

    Raises:
        UsageError: A number that cannot mean anything, or a recipe for no such classifier.
    """

    def __init__(
        self, model: Mapping[str, Any], channels: int = 1, size: int = 28, patterns: int = 8, noise: float = 0.0,
        learned: bool = True, begin: Begin = "random",
    ) -> None:  # fmt: skip
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            light=Illumination(channels, size, patterns, noise, learned, begin), scale=nn.BatchNorm2d(channels)
        )
        layers.update(_built(model, _OF_IMAGES).named_children())
        super().__init__(layers)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits [N, classes] of scenes [N, C, H, W] in [0, 1]; `generator` draws noise in eval mode, too."""
        first, *others = self.children()
        x = first(x, generator)
        for layer in others:
            x = layer(x)
        return x


class LitCaptioner(Captioner):
    """A captioner that is told K readings of a scene in patterned light; the patterns are learned with it.

    Its encoder has two dense layers on the readings, each reading in units of its own. In training readings have
    sensor noise; in eval mode they have none.

    Args:
        words: The words of all sentences.
        patterns: How many patterns are shown, K.
        noise: Standard deviation of a reading (see `Illumination`).
        learned: Whether the patterns are trained.
        begin: The patterns at first: "random" or "hadamard".
        units: Units of the encoder's first layer.
        code: Numbers that the encoder makes of the readings.
        more: Other arguments of a `Captioner`: channels, size, length, hidden, cell.

    Raises:
        UsageError: A number that cannot mean anything, a `width`, which is one of convolutions, or words that make
            no vocabulary.
    """

    def __init__(
        self, words: Sequence[str], patterns: int = 16, noise: float = 0.0, learned: bool = True,
        begin: Begin = "random", units: int = 128, code: int = 128, **more: Any,
    ) -> None:  # fmt: skip
        if "width" in more or not 1 <= units <= 4096:
            raise UsageError(
                "There is no such captioner.",
                slug="captioner",
                seen=f"units={units}" + (f", width={more['width']!r}"[:100] if "width" in more else ""),
                needed="units from 1 to 4096, and no width: readings go through dense layers",
                hint="Pass, for instance, LitCaptioner(words, units=128).",
            )
        super().__init__(words, code=code, **{**more, "width": 1})
        self._units, self._code = units, code
        self.see(patterns, noise, learned, begin)

    def see(self, patterns: int, noise: float = 0.0, learned: bool = True, begin: Begin = "random") -> None:
        """Put new patterns in front, and new layers that read them, before what speaks; they go where that is."""
        light = Illumination(self.channels, self.size, patterns, noise, learned, begin)
        readings, units, code = self.channels * patterns, self._units, self._code
        self.encoder = nn.Sequential(
            _Readings(light), nn.BatchNorm1d(readings),
            nn.Linear(readings, units), nn.ReLU(), nn.Linear(units, code), nn.LayerNorm(code),
        ).to(self.readout.weight)  # fmt: skip

    @property
    def light(self) -> Illumination:
        """The light that its scenes stand in."""
        return cast(_Readings, self.encoder[0]).light


class _Readings(nn.Module):
    """What a light reads of scenes, in one row [N, C * K]."""

    def __init__(self, light: Illumination) -> None:
        super().__init__()
        self.light = light

    def forward(self, x: Tensor) -> Tensor:
        return self.light.read(x).flatten(1)


def _built(recipe: Mapping[str, Any], known: Mapping[str, type[nn.Module]]) -> nn.Module:
    """The model that a recipe names, one of those that are known here."""
    name, arguments = recipe.get("architecture"), recipe.get("arguments", {})
    if not isinstance(name, str) or name not in known or not isinstance(arguments, Mapping):
        raise UsageError(
            "No such model can stand behind a learned camera.",
            slug="acquired-model",
            seen=repr(dict(recipe))[:200],
            needed=f"the recipe of one of {', '.join(known)}",
            hint='Pass, for instance, {"architecture": "LeNet", "arguments": {"channels": 1, "size": 28}}.',
        )
    return known[name](**arguments)
