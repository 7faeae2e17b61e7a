"""What being sure costs: the confidence of a class beside the size of the change, setting by setting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError, UsageError
from amiss.probe import Probe
from amiss.task import Task

__all__ = ["TradeOff", "trade_off"]


@dataclass(frozen=True)
class TradeOff:
    """How sure a classifier is of the wanted class, and how far images went for it: k settings, n samples.

    Attributes:
        settings: What was varied [k].
        confidence: Softmax probability of the wanted class, of the images as their files hold them [k, n].
        l2: Euclidean length of each change, in pixel values of [0, 1] [k, n].
        linf: Largest change of a pixel [k, n].
        met: Whether the search claims its success [k, n].
        source: The images as they were, as files hold them [n, C, H, W], uint8.
        before: Confidence of the wanted class in those [n].
        images: The images found [k, n, C, H, W], uint8.
    """

    settings: tuple[float, ...]
    confidence: Tensor
    l2: Tensor
    linf: Tensor
    met: Tensor
    source: Tensor
    before: Tensor
    images: Tensor

    @property
    def medians(self) -> list[tuple[float, float, float, float]]:
        """A point of the curve for each setting: itself, and medians over the samples of confidence, L2 and L_inf."""
        columns = [part.median(1).values.tolist() for part in (self.confidence, self.l2, self.linf)]
        return list(zip(self.settings, *columns, strict=True))


def trade_off(
    make: Callable[[float], Probe], settings: Sequence[float], classifier: Classifier, task: Task, *, batch: int = 64
) -> TradeOff:
    """Run a probe at each of a list of settings, and read what its files say.

    Asked for the smallest change at each confidence, the probes draw the curve of L + lambda |x - x0|^2 over all
    lambda: a minimum of that sum is the smallest change for its own confidence.

    Args:
        make: The probe at a setting: a confidence to reach, a radius to stay within, the weight of a penalty.
        settings: Its settings, one or more.
        classifier: Who is asked; it must give logits.
        task: n samples with images.
        batch: Images a pass, where confidences are read.

    Raises:
        ContractError: The task has no images, or the probe wants no class of each sample.
        UsageError: No setting.

    References:
        Szegedy, Zaremba, Sutskever et al. (2014), intriguing properties of neural networks, section 4.1 (the sum).
    """
    if not settings:
        raise UsageError(
            "There is no setting to try.",
            slug="trade-settings",
            seen="settings=()",
            needed="one or more",
            hint="trade_off(make, [0.5, 0.9, 0.99], classifier, task)",
        )
    if task.image is None:
        raise ContractError(
            "A change is measured from images, and the task has none.",
            slug="contract-no-image",
            seen="a task without images, such as am.classes(classifier)",
            hint="Begin at images: images.task(), or am.Task(torch.arange(n), torch.rand(n, 3, 32, 32)) for noise.",
        )
    goal = make(settings[0]).objective
    target = goal.prepare(classifier, task).target
    if target is None:
        raise ContractError(
            "The probe wants no class that one could be sure of.",
            slug="contract-no-target",
            seen=repr(goal),
            hint="Name a target: pgd(eps, target='iguana', confidence=0.99).",
        )
    source = _bytes(task.image)
    made, met = [], []
    for setting in settings:
        result = make(setting).run(classifier, task)
        made.append(_bytes(result.images))
        met.append(result.met)
    images = torch.stack(made)
    change = (images.double() - source.double()).flatten(2) / 255
    return TradeOff(
        tuple(settings),
        torch.stack([_confidence(classifier, x, target, batch) for x in images]),
        change.norm(dim=2),
        change.abs().amax(2),
        torch.stack(met),
        source,
        _confidence(classifier, source, target, batch),
        images,
    )


def _bytes(images: Tensor) -> Tensor:
    """Images as a file of 256 gray levels holds them."""
    return images.detach().cpu().mul(255).round().to(torch.uint8)


def _confidence(classifier: Classifier, images: Tensor, target: Tensor, batch: int) -> Tensor:
    """Softmax probability of each image's target [n], float64."""
    with torch.no_grad():
        said = [classifier.outputs(x.to(classifier.device).float() / 255)["answer"] for x in images.split(batch)]
    return torch.cat(said).double().softmax(1).cpu().gather(1, target.cpu()[:, None])[:, 0]
