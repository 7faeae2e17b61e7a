"""An audit: check, find the mistakes, repair them, break what is right, fool every class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.decoders import find_decoder
from amiss.audit.desk import Desk
from amiss.audit.fooling import Fooling, fool
from amiss.audit.plan import Plan, Progress
from amiss.audit.repairs import Repairs, repair
from amiss.audit.robustness import Robustness, robustness
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, Interrupted, ModelError
from amiss.repro import generator
from amiss.spaces.latent import Codec
from amiss.study import CONFIG, Store, held
from amiss.study.identity import likeness
from amiss.trust import DecoderGate, Flag, after, before, combined, decoder_gate, refuse_other_order

__all__ = ["Audit", "run_audit"]

_VOTES = 20  # for a classifier that answers at random


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
        flags: What was measured of the trust in it, before and after.
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
    flags: tuple[Flag, ...] = ()

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
    accuracy: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Audit:
    """Audit a classifier on labeled images; the same call goes on where it was stopped.

    Args:
        classifier: Whom it is about.
        images: Labeled images, all of one shape.
        out: Run folder; every success that is kept lies in it as a PNG, judged from its bytes.
        decoder: Encoder and decoder for such images; trained on them where it is missing and they suffice.
        judge: An independent classifier that says whether a repair shows the true class.
        plan: How thorough.
        accuracy: The accuracy that the classifier's owner knows; a trust flag compares it.
        progress: Told what is being done.
        stop: Asked again and again whether to stop; what is done by then is kept.
        about: What `run.json` shall say beside fingerprints and versions. Plain values.
        settings: The text of `config.toml`, where a command made the audit.

    Raises:
        ContractError: The classifier gives no gradients.
        DataError: No labels, labels outside the classes, or the classes in another order; or the folder holds a run
            of something else.
        ModelError: The classifier's output is not what it should be, or the judge knows other classes.
        Interrupted: `stop` said so.
    """
    plan, stop = plan or Plan(), stop or (lambda: False)
    tell = _interruptible(progress or (lambda *_: None), stop)
    _refuse_gradientless(classifier)
    labels = images.truth

    def asking(done: int, n: int) -> None:
        tell("Asking the classifier", done, n)

    checked = classifier.check(images.pixels, labels, accuracy=accuracy, batch=plan.batch, progress=asking)
    refuse_other_order(classifier, images)
    if judge is not None:
        _refuse_judge(judge, classifier, images)
    same = {"model": classifier.fingerprint, "data": images.fingerprint, "plan": repr(plan)}
    same["decoder"] = "trained here, or none" if decoder is None else likeness(decoder)
    same["judge"] = "none" if judge is None else judge.fingerprint
    said = {"kind": "audit", "seed": plan.seed, "n": len(images), **(about or {})}
    with held(store := Store(out), same, said, classifier.device):
        if settings:
            store.write_once(CONFIG, settings)
        return _audited(classifier, images, out, decoder, judge, plan, accuracy, tell, stop, checked.predicted)


def _audited(
    classifier: Classifier,
    images: Images,
    out: Path,
    decoder: Codec | None,
    judge: Classifier | None,
    plan: Plan,
    accuracy: float | None,
    tell: Progress,
    stop: Callable[[], bool],
    predicted: Tensor,
) -> Audit:
    """The audit itself, once all that can be refused is refused and the folder is held."""
    labels = images.truth
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
    tell("Asking whether the classifier can be believed", 0, 1)
    flags = before(classifier, images, accuracy=accuracy, decoder=gate, batch=plan.batch, seed=plan.seed)
    random = any(flag.slug == "randomness" and flag.fired for flag in flags)
    desk = Desk(classifier, plan, out, tell, _VOTES if random else 1, stop)
    repairs = repair(desk, images, chosen, decoder=codec, judge=judge)
    kept = _some(torch.arange(len(images)), plan.attacked, plan.seed)
    curve = robustness(desk, images, kept) if bool((predicted == labels)[kept].any()) else None
    fooling = fool(desk, tuple(images.pixels.shape[1:]))
    flags += _flags_after(desk, repairs, curve)
    return Audit(images, predicted, repairs, chosen, gate, source, curve, fooling, plan, tuple(notices), flags)


def _flags_after(desk: Desk, repairs: dict[str, Repairs], curve: Robustness | None) -> tuple[Flag, ...]:
    """What the main repairs and the attack say of themselves."""
    desk.tell("Asking whether the results can be believed", 0, 1)
    seed, said = desk.plan.seed, {}
    name, part = next(iter(repairs.items()))
    if len(part.result):
        claimed, verified = part.claimed, part.verified
        said[name] = after(part.probe, desk.classifier, part.result, claimed=claimed, verified=verified, seed=seed)
    if curve is not None and curve.attack is not None:
        probe, result = curve.attack
        said["Robustness"] = after(probe, desk.classifier, result, seed=seed)
    return combined(said)


def _interruptible(tell: Progress, stop: Callable[[], bool]) -> Progress:
    """Progress that ends the work between two pieces of it, once somebody asked to stop."""

    def told(what: str, done: int, total: int) -> None:
        if stop():
            raise Interrupted(
                "Stopped, with all that was done in its place.",
                slug="interrupted",
                seen=f"{what}: {done} of {total}",
                hint="The same command goes on from here.",
            )
        tell(what, done, total)

    return told


def _refuse_gradientless(classifier: Classifier) -> None:
    if classifier.gives not in ("grad", "jacobian"):
        raise ContractError(
            "An audit searches along gradients, and this classifier has none to give.",
            slug="audit-gradients",
            seen=f"gives={classifier.gives!r}",
            needed="a network that torch can differentiate",
            why="an ONNX file, a model behind a service, or one that tells its label alone",
            hint="Audit the network itself, or attack it by queries: amiss run square MODEL DATA --eps 8/255",
        )


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
