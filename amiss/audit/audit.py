"""An audit: check, find the mistakes, repair them, break what is right, fool every class."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.fooling import Fooling, fool
from amiss.audit.repairs import Repairs, repair
from amiss.audit.robustness import Robustness, robustness
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, DataError, ModelError, TrainingError, UsageError
from amiss.repro import generator
from amiss.spaces.latent import Codec
from amiss.trust import DecoderGate, decoder_gate, refuse_other_order

__all__ = ["Audit", "Plan", "Progress", "run_audit"]

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""

_GRID = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255, 64 / 255)


@dataclass(frozen=True)
class Plan:
    """How thorough an audit is.

    Attributes:
        margin: How far the true label's logit must be ahead in a repair.
        mistakes: At most so many mistakes are repaired; 0 repairs none.
        epsilons: L_inf radii, in pixel values of [0, 1], ascending.
        attacked: At most so many images are attacked; 0 attacks none.
        steps: Gradient steps of an attack.
        fooled: At most so many classes are fooled, evenly spaced; 0 fools none.
        decoder_images: Fewest images that a missing decoder is trained on.
        decoder_seconds: Longest that this training may take.
        gate: Share that a decoder must keep of the images and of the classifier's answers.
        batch: Images a pass.
        seed: Of everything drawn.
    """

    margin: float = 0.5
    mistakes: int = 1000
    epsilons: tuple[float, ...] = _GRID
    attacked: int = 256
    steps: int = 40
    fooled: int = 100
    decoder_images: int = 2000
    decoder_seconds: float = 90.0
    gate: float = 0.7
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        steps = (0.0, *self.epsilons)
        if len(steps) < 2 or any(a >= b for a, b in pairwise(steps)):
            raise UsageError(
                "The radii of an audit must ascend from above 0.",
                slug="plan-epsilons",
                seen=f"epsilons={self.epsilons}",
                needed="one radius or more, each larger than the one before, in pixel values of [0, 1]",
                hint="Plan(epsilons=(2 / 255, 4 / 255, 8 / 255))",
            )
        least = {"mistakes": 0, "attacked": 0, "fooled": 0, "steps": 1, "batch": 1}
        if low := [name for name, bound in least.items() if getattr(self, name) < bound]:
            raise UsageError(
                "A count of the audit's plan is too low.",
                slug="plan-counts",
                seen=f"{low[0]}={getattr(self, low[0])}",
                needed=f"{least[low[0]]} or more",
                hint="Plan(mistakes=0) leaves the repairs out, attacked=0 the attacks, fooled=0 the fooling images.",
            )


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        images: What was audited.
        predicted: The classifier's answers [n].
        probabilities: Its softmax confidence in them [n].
        repairs: Repairs of the mistakes, by method: "LSE" and "LSE, plain decoding" where a decoder may speak, and
            "Pixel PGD".
        mistakes: Positions of the mistakes that were repaired [k].
        gate: What the decoder keeps; None where there was none.
        decoder: Where the decoder came from, in words.
        robustness: Accuracy against the radius; None where nothing was right.
        fooling: Nonsense by class.
        plan: How thorough it was.
        notices: What the reader must know: (level, title, text).
    """

    images: Images
    predicted: Tensor
    probabilities: Tensor
    repairs: dict[str, Repairs]
    mistakes: Tensor
    gate: DecoderGate | None
    decoder: str
    robustness: Robustness | None
    fooling: Fooling
    plan: Plan
    notices: tuple[tuple[str, str, str], ...] = field(default=())

    @property
    def right(self) -> Tensor:
        """Whether each answer is the true label [n]."""
        assert self.images.labels is not None  # noqa: S101 - run_audit refuses images without labels
        return self.predicted == self.images.labels


def run_audit(
    classifier: Classifier,
    images: Images,
    out: Path,
    *,
    decoder: Codec | None = None,
    judge: Classifier | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit a classifier on labeled images.

    Args:
        classifier: Whom it is about.
        images: Labeled images, all of one shape.
        out: Run folder; every success that is kept lies in it as a PNG, judged from its bytes.
        decoder: Encoder and decoder for such images; trained on them where it is missing and they suffice.
        judge: An independent classifier that says whether a repair shows the true class.
        plan: How thorough.
        progress: Told what is being done.

    Raises:
        ContractError: The classifier gives no gradients.
        DataError: No labels, labels outside the classes, or the classes in another order.
        ModelError: The classifier's output is not what it should be, or the judge knows other classes.
    """
    plan, tell = plan or Plan(), progress or (lambda *_: None)
    if classifier.gives not in ("grad", "jacobian"):
        raise ContractError(
            "An audit searches along gradients, and this classifier has none to give.",
            slug="audit-gradients",
            seen=f"gives={classifier.gives!r}",
            needed="a network that torch can differentiate",
            why="a model behind a service, or one that tells its label alone",
            hint="Audit the network itself.",
        )
    if images.labels is None:
        raise DataError(
            "An audit needs true labels.",
            slug="data-unlabeled",
            seen=f"{len(images)} images without labels",
            needed="one folder a class, idx files, or an npz with labels",
            hint="Put the images of each class in a folder of its own.",
        )
    classifier.check(images.pixels, images.labels, batch=plan.batch)
    refuse_other_order(classifier, images)
    if judge is not None:
        _refuse_judge(judge, classifier, images)
    out.mkdir(parents=True, exist_ok=True)
    predicted, probabilities = _answers(classifier, images, plan.batch, tell)
    wrong = (predicted != images.labels).nonzero().flatten()
    chosen = _some(wrong, plan.mistakes, plan.seed)
    notices = [] if len(chosen) == len(wrong) else [_sampled(len(wrong), len(chosen))]
    notices += _left_out(images)
    codec, source, why = _decoder(decoder, images, out, plan, tell, classifier.device, len(chosen) > 0)
    gate = None
    if codec is not None:
        tell("Asking what the decoder keeps", 0, 1)
        some = _some(torch.arange(len(images)), 2000, plan.seed)
        gate = decoder_gate(classifier, codec, images.images(some), threshold=plan.gate, batch=plan.batch)
        if not gate.passed:
            codec, why = None, f"{source}: {gate}; at least {gate.threshold:.0%} is needed for both".capitalize()
    if codec is None:
        notices.append(("warning", "LSE cannot speak here", f"{why}. Repairs are given in pixels alone."))
    else:
        notices.append(("info", "What the decoder keeps", f"{source}: {gate}.".capitalize()))
    repairs = repair(classifier, images, chosen, codec, judge, out, plan.margin, plan.batch, plan.seed, tell)
    kept = _some(torch.arange(len(images)), plan.attacked, plan.seed)
    curve = None
    if bool((predicted == images.labels)[kept].any()):
        curve = robustness(classifier, images.task(kept), plan.epsilons, plan.steps, plan.batch, plan.seed, tell)
    fooling = fool(classifier, tuple(images.pixels.shape[1:]), out, plan.fooled, plan.batch, plan.seed, tell)
    return Audit(
        images, predicted, probabilities, repairs, chosen, gate, source, curve, fooling, plan, tuple(notices)
    )


def _answers(classifier: Classifier, images: Images, batch: int, tell: Progress) -> tuple[Tensor, Tensor]:
    """The classifier's labels and confidences for all images."""
    labels, sure = [], []
    with torch.no_grad():
        for rows in torch.arange(len(images)).split(batch):
            tell("Asking the classifier", int(rows[0]), len(images))
            logits = classifier.outputs(images.images(rows))["answer"].cpu()
            top = logits.softmax(1).max(1)
            labels.append(top.indices)
            sure.append(top.values)
    return torch.cat(labels), torch.cat(sure)


def _decoder(
    given: Codec | None,
    images: Images,
    out: Path,
    plan: Plan,
    tell: Progress,
    device: torch.device,
    needed: bool,
) -> tuple[Codec | None, str, str]:
    """The decoder, where it comes from, and, without one, why there is none."""
    if given is not None:
        return _moved(given, device), "the decoder given", ""
    if not needed:
        return None, "none", "No decoder was given, and there is no mistake to train one for"
    n, height, width = len(images), *images.pixels.shape[2:]
    if n < plan.decoder_images:
        few = f"{n:,} images are too few to train one ({plan.decoder_images:,})"
        return None, "none", f"No decoder was given, and {few}; amiss train vae makes one of more such images"
    if height != width or not 8 <= height <= 64:
        odd = f"one is trained for squares of 8 to 64 pixels only, not {height} x {width}"
        return None, "none", f"No decoder was given, and {odd}"
    from amiss.training import decoder_for, train

    source = f"a decoder trained on these {n:,} images"
    preset = decoder_for(images, seed=plan.seed, seconds=plan.decoder_seconds)
    tell("Training a decoder on these images", 0, 100)

    def on_step(step: Any) -> None:
        tell("Training a decoder on these images", round(100 * step.fraction), 100)

    try:
        trained = train(preset, images, out=out / "decoder", on_step=on_step)
    except TrainingError as error:
        return None, source, f"Training a decoder on these images failed: {error.what.rstrip('.')}"
    if trained.history.clocked:
        source += " until the clock ended it"  # then a faster machine has another decoder, and other repairs
    trained.save(out / "decoder.safetensors")
    model: Any = trained.model.eval()
    return _moved(model, device), source, ""


def _refuse_judge(judge: Classifier, classifier: Classifier, images: Images) -> None:
    """A judge must know the classifier's classes, or its word means nothing."""
    judge.predict(images.images([0]))
    own, other = len(classifier.labels or ()), len(judge.labels or ())
    if own != other:
        raise ModelError(
            "The judge knows other classes than the classifier.",
            slug="judge-classes",
            seen=f"{other} classes against {own}",
            needed=f"{own} classes, in the same order",
            why="a judge that was trained on another data set",
            hint="Give a judge trained on the same classes, or none.",
        )


def _moved(codec: Any, device: torch.device) -> Codec:
    """The decoder where the classifier is, if it is a module that can be moved."""
    if isinstance(codec, torch.nn.Module):
        codec.to(device)
    return codec


def _some(rows: Tensor, most: int, seed: int) -> Tensor:
    """At most `most` of the rows, drawn by the seed, in order."""
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator(seed, 1))[:most].sort().values]


def _left_out(images: Images, most: int = 10) -> list[tuple[str, str, str]]:
    """The files that could not be read: the first ones each by name, the others by their number."""
    lost = images.unreadable
    said = [("warning", f"Left out: {name}", message) for name, message in lost[:most]]
    more = len(lost) - most
    return said if more <= 0 else [*said, ("warning", f"Left out: {more:,} more", f"{len(lost):,} files in all.")]


def _sampled(there: int, taken: int) -> tuple[str, str, str]:
    return "info", "A sample of the mistakes", f"{taken:,} of {there:,} mistakes were repaired, drawn by the seed."
