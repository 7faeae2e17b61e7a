"""An audit: check, find the mistakes, repair them, break what is right, fool every class."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from amiss.audit.decoders import find_decoder
from amiss.audit.fooling import Fooling, fool
from amiss.audit.plan import Plan, Progress
from amiss.audit.repairs import Repairs, repair
from amiss.audit.robustness import Robustness, robustness
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, ModelError
from amiss.repro import generator
from amiss.spaces.latent import Codec
from amiss.trust import DecoderGate, decoder_gate, refuse_other_order

__all__ = ["Audit", "run_audit"]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        images: What was audited.
        predicted: The classifier's answers [n].
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
        return self.predicted == self.images.truth


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
    labels = images.truth
    checked = classifier.check(
        images.pixels, labels, batch=plan.batch, progress=lambda done, n: tell("Asking the classifier", done, n)
    )
    predicted = checked.predicted
    refuse_other_order(classifier, images)
    if judge is not None:
        _refuse_judge(judge, classifier, images)
    out.mkdir(parents=True, exist_ok=True)
    wrong = (predicted != labels).nonzero().flatten()
    chosen = _some(wrong, plan.mistakes, plan.seed)
    notices = [] if len(chosen) == len(wrong) else [_sampled(len(wrong), len(chosen))]
    notices += _left_out(images)
    codec, source, why = find_decoder(
        decoder, images, out, plan, tell, device=classifier.device, needed=len(chosen) > 0
    )
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
    repairs = repair(classifier, images, chosen, plan, out, tell, decoder=codec, judge=judge)
    kept = _some(torch.arange(len(images)), plan.attacked, plan.seed)
    curve = None
    if bool((predicted == labels)[kept].any()):
        curve = robustness(classifier, images.task(kept), plan, tell)
    fooling = fool(classifier, tuple(images.pixels.shape[1:]), plan, out, tell)
    return Audit(images, predicted, repairs, chosen, gate, source, curve, fooling, plan, tuple(notices))


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
