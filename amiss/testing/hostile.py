"""Hostile worlds: one honest rule and its images, bent in each of the ways in which networks mislead their owners."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.repro import fold, uniform
from amiss.spaces.latent import Codec
from amiss.testing import rules
from amiss.testing.rules import Rule

if TYPE_CHECKING:
    from amiss.data import Images

__all__ = ["HOSTILE", "Hostile", "LossyCodec", "World", "hungry", "nan_after", "raises_at"]

_IMAGES = 48
_WRONG = 4  # labels
_CLEAR, _SURE = 0.3, 4.0  # lowest and highest lead of the first logit over the second, among the images
_GREY = (1, 8, 8)


@dataclass(frozen=True)
class World:
    """Somebody's classifier and images.

    Attributes:
        classifier: The classifier.
        images: Labeled images, 48 of them; the honest rule is right about all but 4.
        decoder: What a latent probe would search along, where the world is about that.
    """

    classifier: Classifier
    images: "Images"
    decoder: Codec | None = None


@dataclass(frozen=True)
class Hostile:
    """One way to be misled, and what must be said about it.

    Attributes:
        name: Its name.
        make: A seed to the world.
        flags: Slugs of the trust flags that it must raise, and no others.
        raises: Slug of the error in which `Classifier.check` or a gradient probe must end; empty where both run.
    """

    name: str
    make: Callable[[int], World]
    flags: frozenset[str] = frozenset()
    raises: str = ""


@dataclass(frozen=True)
class LossyCodec:
    """A decoder that draws the same grey image of every code.

    Attributes:
        shape: Shape (C, H, W) of an image.
        latent: Dimensions of the code.
    """

    shape: tuple[int, int, int] = _GREY
    latent: int = 4

    def encode(self, x: Tensor) -> Tensor:
        """Zeros [N, latent]."""
        return x.new_zeros(len(x), self.latent)

    def decode(self, z: Tensor) -> Tensor:
        """Grey images [N, C, H, W]; a gradient passes, and is zero."""
        return 0.5 + 0 * z.sum(1).reshape(-1, 1, 1, 1).expand(-1, *self.shape)


def nan_after(passes: int) -> Callable[[int], World]:
    """A world whose logits are NaN once `passes` passes are over."""
    return _bent(lambda seed: rules.Failing(seed, passes, lambda logits: logits * torch.nan))


def raises_at(passes: int) -> Callable[[int], World]:
    """A world whose network raises RuntimeError once `passes` passes are over."""
    return _bent(lambda seed: rules.Failing(seed, passes, _boom))


def hungry(rows: int) -> Callable[[int], World]:
    """A world whose network runs out of memory on more than `rows` rows."""
    return _bent(lambda seed: rules.Hungry(seed, rows))


def _bent(
    build: Callable[[int], nn.Module],
    shape: tuple[int, int, int] = _GREY,
    classes: int = 4,
    decoder: Codec | None = None,
    **options: Any,
) -> Callable[[int], World]:
    """The world of a network that `build` makes of a seed, with the images of the rule that it bends."""

    def make(seed: int) -> World:
        classifier = Classifier(build(seed).eval(), **options)
        return World(classifier, _images(Rule(seed, shape, classes), seed, shape), decoder)

    return make


def _images(rule: Rule, seed: int, shape: tuple[int, int, int]) -> "Images":
    """Images that the rule tells apart clearly, as many of each class, in order; the first of some labeled wrong."""
    from amiss.data import Images

    pixels = (uniform(fold(torch.tensor([seed]), 3), (40 * _IMAGES, *shape))[0] * 255).round().to(torch.uint8)
    with torch.no_grad():
        logits = rule(pixels / 255)
    classes, answer = logits.shape[1], logits.argmax(1)
    high = logits.topk(2).values
    lead = high[:, 0] - high[:, 1]
    clear = (lead > _CLEAR) & (lead < _SURE)
    rows = torch.stack([(clear & (answer == c)).nonzero().flatten()[: _IMAGES // classes] for c in range(classes)], 1)
    kept = rows.flatten()
    labels = answer[kept].clone()
    labels[:_WRONG] = (labels[:_WRONG] + 1) % classes
    return Images.of(pixels[kept], labels, tuple(str(c) for c in range(classes)))


def _inference(seed: int) -> Rule:
    with torch.inference_mode():
        return Rule(seed)


def _forgotten(seed: int) -> World:
    """A network whose owner forgot `eval()`."""
    network = rules.TrainMode(seed).train()
    return World(Classifier(network), _images(Rule(seed), seed, _GREY))


def _odds(logits: Tensor) -> Tensor:
    return logits[:, 1:] - logits[:, :1]


def _five(logits: Tensor) -> Tensor:
    """Five log-odds [N, 5] of two logits; the third is theirs."""
    return torch.stack([logits[:, 0], logits[:, 1], _odds(logits)[:, 0], -logits[:, 0], -logits[:, 1]], 1)


def _boom(_: Tensor) -> Tensor:
    raise RuntimeError("the network gives up")


def _shaped(change: Callable[[Tensor], object], classes: int = 4, **options: Any) -> Callable[[int], World]:
    return _bent(lambda seed: rules.Shaped(seed, change, classes), classes=classes, **options)


def _named(name: str, make: Callable[[int], World], *flags: str, raises: str = "") -> Hostile:
    return Hostile(name, make, frozenset(flags), raises)


_LATE = 40  # passes: after whatever is measured before a study, inside the study

HOSTILE: tuple[Hostile, ...] = (
    _named("healthy", _bent(Rule)),
    # A search that cannot climb meets nothing however far it may go, and one without gradients passes it.
    _named("staircase", _bent(rules.Staircase), "gradient-zero", "eps-huge", "black-box-better"),
    _named("masked", _bent(rules.Masked), "gradient-masked", "eps-huge", "black-box-better"),
    _named("shattered", _bent(rules.Shattered), "gradient-masked", "eps-huge", "black-box-better"),
    _named("dice", _bent(rules.Dice), "randomness"),
    _named("softmaxed", _bent(rules.Softmaxed), "probabilities"),
    _named("nan_after", nan_after(_LATE), "not-finite", "eps-huge"),
    _named("no_grad", _bent(rules.NoGrad), "gradient-missing", raises="model-no-gradient"),
    _named("frozen", _bent(_inference), "gradient-missing", raises="model-no-gradient"),
    _named("raises_at", raises_at(_LATE), raises="model-raises"),
    _named("train_mode", _forgotten, "train-mode"),
    _named("in_place", _bent(rules.InPlace)),
    _named("half", _bent(lambda seed: Rule(seed).to(torch.bfloat16))),
    _named("channels_last", _bent(rules.ChannelsLast, shape=(3, 8, 8))),
    _named("one_logit", _shaped(_odds, 2)),
    _named("multi_label", _shaped(_five, 2, head=2)),
    _named("tuple_out", _shaped(lambda logits: (logits, "more"), answer=lambda out: out[0])),
    _named("dict_out", _shaped(lambda logits: {"logits": logits}, answer=lambda out: out["logits"])),
    _named("tuple_bare", _shaped(lambda logits: (logits, "more")), raises="model-output"),
    _named("wrong_classes", _shaped(lambda logits: logits[:, :3]), "class-count", raises="data-labels"),
    _named("hungry", hungry(16)),
    _named("batch_dependent", _bent(rules.BatchDependent), "batch-dependence"),
    _named("lossy_decoder", _bent(Rule, decoder=LossyCodec()), "decoder-reconstruction", "decoder-agreement"),
)
"""The worlds, the healthy one first."""
