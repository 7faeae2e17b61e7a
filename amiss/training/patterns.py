"""The light that answers one question best: patterns for a class, and patterns for a sentence."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import DataError, UsageError
from amiss.models import Illumination, LitCaptioner
from amiss.training.batches import Batch, as_pixels
from amiss.training.recipe import TrainingRecipe
from amiss.training.trainer import fit

__all__ = ["EvidenceLoss", "evidence", "patterns_for_class", "patterns_for_sentence"]

_BATCH = 128
_READ, _SAID = (
    2e-2,
    4e-3,
)  # learning rates: of patterns behind which there is one layer, and of such behind which are many
_EVEN = 3.0  # at first a sentence of exp(-3) speaks neither for an image nor against it


@dataclass(frozen=True)
class EvidenceLoss:
    """Cross-entropy of evidence for what is wanted; it reads `image` in [0, 1] and `wanted`, 0 or 1.

    The model gives the log-odds [N] that an image shows it. Images that do weigh as much in all as the others.

    Attributes:
        share: Which share of the images does, in (0, 1).
    """

    share: float
    turns: tuple[tuple[str, ...], ...] = (("patterns",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns the patterns and what reads them."""
        return {"patterns": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed, balanced cross-entropy."""
        wanted = batch["wanted"]
        weight = torch.where(wanted > 0.5, 0.5 / self.share, 0.5 / (1 - self.share))
        odds = model(batch["image"]).float()
        return {"patterns": F.binary_cross_entropy_with_logits(odds, wanted, weight, reduction="sum")}


class _Read(nn.Module):
    """Log-odds [N] that are linear in the reading of one pattern."""

    def __init__(self, light: Illumination) -> None:
        super().__init__()
        self.light = light
        # Readings differ by hundredths, around a mean that says nothing: they are weighed in units of their own.
        self.scale = nn.BatchNorm1d(1, affine=False)
        self.weigh = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        odds: Tensor = self.weigh(self.scale(self.light.read(x).flatten(1)))
        return odds[:, 0]


class _Said(nn.Module):
    """Log-odds [N] from the log probability of a sentence, given images that a captioner sees in its own light.

    What speaks stays as it is; the light and the layers that read it are trained.
    """

    def __init__(self, captioner: LitCaptioner, sentence: str) -> None:
        super().__init__()
        self.captioner, self.sentence = captioner, sentence
        for p in set(captioner.parameters()) - set(captioner.encoder.parameters()):
            p.requires_grad_(False)
        self.slope, self.offset = nn.Parameter(torch.tensor(0.0)), nn.Parameter(torch.tensor(_EVEN))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope.exp() * self.captioner.log_prob(self.sentence, x) + self.offset


def patterns_for_class(
    images: Tensor, wanted: Tensor, *, noise: float = 0.0, steps: int = 400, seed: int = 0
) -> Illumination:
    """The one pattern whose reading best tells images that show something from those that do not.

    Args:
        images: [n, 1, S, S], gray, bytes or floats in [0, 1].
        wanted: Whether each shows it [n].
        noise: Standard deviation of a reading (see `Illumination`).
        steps: Of training, with 128 images each.
        seed: Of the first pattern, the order of images, and the noise.

    Returns:
        The pattern, in eval mode; `evidence` of it is its reading, large where it speaks for what is wanted.

    Raises:
        DataError: All images show it, or none.
        UsageError: The images have colors, which would be a reading for each of them.

    References:
        Duarte et al. 2008 (the camera); Bahadir, Dalca and Sabuncu 2019 (a measurement learned for a task).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _Read(Illumination(images.shape[1], images.shape[2], 1, noise))
    _one_reading(model.light)
    _fit(model, images, wanted, EvidenceLoss(_share(images, wanted)), steps, _READ, seed)
    light = model.light
    if float(model.weigh.weight.detach()) < 0:
        light.scores.data.neg_()  # light and dark change places, so that a large reading speaks for it
    return light


def patterns_for_sentence(
    captioner: LitCaptioner,
    images: Tensor,
    wanted: Tensor,
    sentence: str,
    *,
    patterns: int = 2,
    noise: float = 0.0,
    learned: bool = True,
    steps: int = 400,
    seed: int = 0,
) -> LitCaptioner:
    """The light in which a captioner best says a sentence of those images that it is true of, and of no others.

    What speaks is taken from a trained captioner and stays; in front of it patterns and the layers that read them are
    trained anew, through the log probability that it gives the sentence.

    Args:
        captioner: Trained on such images and sentences; it is not changed.
        images: [n, C, S, S], bytes or floats in [0, 1].
        wanted: Whether the sentence is true of each [n].
        sentence: In words that the captioner knows.
        patterns: How many patterns are shown.
        noise: Standard deviation of a reading (see `Illumination`).
        learned: Whether the patterns are trained, or stay as they were drawn, for comparison.
        steps: Of training, with 128 images each.
        seed: Of the first patterns, the order of images, and the noise.

    Returns:
        The captioner in that light, in eval mode; `evidence` of it is the sentence's log probability.

    Raises:
        DataError: The sentence is true of all images, or of none.
        ModelError: The captioner does not know a word of it.
    """
    loss = EvidenceLoss(_share(images, wanted))
    lit = copy.deepcopy(captioner)
    voice = {name: p.requires_grad for name, p in lit.named_parameters() if not name.startswith("encoder.")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lit.see(patterns, noise, learned)
    _fit(_Said(lit, sentence), images, wanted, loss, steps, _SAID, seed)
    for name, p in lit.named_parameters():
        p.requires_grad_(voice.get(name, p.requires_grad))  # as it came; a light that stays as it was drawn, stays
    return lit


def _share(images: Tensor, wanted: Tensor) -> float:
    """The share of images that show what is wanted."""
    share = float(wanted.double().mean()) if len(wanted) else 0.0
    if len(wanted) != len(images) or not 0 < share < 1:
        raise DataError(
            "No light can tell these images apart.",
            slug="patterns-wanted",
            seen=f"{len(images)} images, of which {int(wanted.sum())} show what is wanted",
            needed="one mark for each image, some of them true and some not",
            hint="Pass, for instance, wanted=images.truth == 3, with images of other classes as well.",
        )
    return share


def _fit(
    model: nn.Module, images: Tensor, wanted: Tensor, loss: EvidenceLoss, steps: int, rate: float, seed: int
) -> None:
    data = {"image": images, "wanted": wanted.float()}
    fit(model, loss, data, TrainingRecipe(steps=steps, batch=_BATCH, rate=rate, clip=1.0, seed=seed))


def _one_reading(light: Illumination) -> None:
    """Refuse light of several readings: a sum of them would let those for an image cancel those against it."""
    patterns = len(light.scores)
    if light.channels * patterns != 1:
        raise UsageError(
            "Several readings of an image are no one number that speaks for it.",
            slug="patterns-one",
            seen=f"{light.channels} channels, {patterns} patterns",
            needed="one pattern, and gray images",
            hint="Make images in [0, 1] gray, images.mean(1, keepdim=True), and show one pattern.",
        )


@torch.no_grad()
def evidence(model: Illumination | LitCaptioner, images: Tensor, sentence: str = "", batch: int = 250) -> Tensor:
    """How much speaks for each image [n]: the reading of one pattern, or a sentence's log probability in nats.

    Args:
        model: One pattern on gray images, or a captioner. In eval mode there is no sensor noise; in training mode an
            illumination draws it.
        images: [n, C, S, S], bytes or floats in [0, 1].
        sentence: For a captioner.
        batch: Images at a time.

    Raises:
        UsageError: The light gives several readings.
    """
    if isinstance(model, Illumination):
        _one_reading(model)
    light, parts = model if isinstance(model, Illumination) else model.light, []
    for part in torch.split(images, batch):
        x = as_pixels(part.to(light.scores.device))
        parts.append(model.read(x)[:, 0, 0] if isinstance(model, Illumination) else model.log_prob(sentence, x))
    return torch.cat(parts)
