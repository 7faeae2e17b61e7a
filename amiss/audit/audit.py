"""An audit: check, find the mistakes, repair them, break what is right, fool every class, mimic hidden features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.findings import Findings
from amiss.audit.asking import Asked, as_found, ask, gate_of, lone, some
from amiss.audit.causes import causes
from amiss.audit.decoders import find_decoder
from amiss.audit.desk import Carry, Desk
from amiss.audit.fooling import Fooling, fool
from amiss.audit.imposters import Imposters, imposters
from amiss.audit.judges import Judge, make_judge
from amiss.audit.plan import Plan, Progress
from amiss.audit.rejections import Rejected, refused
from amiss.audit.repairs import Repairs, repair
from amiss.audit.robustness import Robustness, robustness
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.data.cells import csv_text
from amiss.errors import DataError, Interrupted
from amiss.probe import Probe
from amiss.result import Result
from amiss.spaces.latent import Codec
from amiss.study import CONFIG, Store, Study, held
from amiss.study.tables import INPUTS
from amiss.trust import KINDS, DecoderGate, Flag, after, before, combined, tallied, votes_for

__all__ = ["Audit", "audit_studies", "read_audit", "run_audit", "write_answers"]


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
        votes: How often a success was judged: more than once for a classifier that answers at random.
        judge: Who said what the repairs show; None where nobody was asked.
        findings: What the mistakes have in common; None where it was not looked for.
        codec: The decoder that LSE went along, where one may speak.
        imposters: Images with the hidden features of others; None where none were made.
        rejected: What rules of rejection make of the fooling images; None where they were not asked.
        unasked: Why they were not; empty where they were, and where nothing fools.
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
    votes: int = 1
    judge: Judge | None = None
    findings: Findings | None = None
    codec: Codec | None = None
    imposters: Imposters | None = None
    rejected: Rejected | None = None
    unasked: str = ""

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
    asked = ask(classifier, images, out, decoder, judge, plan, accuracy, tell)
    said = {"kind": "audit", "seed": plan.seed, "n": len(images), **(about or {})}
    said["unreadable"] = [list(pair) for pair in images.unreadable]
    with held(store := Store(out), asked.fingerprints, said, classifier.device):
        if settings:
            store.write_once(CONFIG, settings)
        write_answers(store, images, asked.predicted)
        return _audited(asked, lambda study, told: study.run(stop=stop, progress=told))


def read_audit(
    classifier: Classifier,
    images: Images,
    out: Path,
    *,
    decoder: Codec | None = None,
    judge: Classifier | None = None,
    plan: Plan | None = None,
    accuracy: float | None = None,
    progress: Progress | None = None,
    visit: Callable[[Study], object] = lambda _: None,
) -> Audit:
    """What an audit came to, from the files of its studies: none is searched again, and nothing is trained.

    What its mistakes have in common is no study, and is looked for anew, with the repairs that it lacks.

    Args:
        classifier: As the audit was made with; so are images, decoder, judge, plan and accuracy.
        images: Labeled images.
        out: Run folder.
        decoder: Encoder and decoder that were given; one that was trained on the spot is found in the folder.
        judge: The independent classifier.
        plan: How thorough.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        visit: Called with each study before it is read.

    Raises:
        DataError: The folder holds no audit, one of something else, or one that is not finished.
    """
    asked = ask(classifier, images, out, decoder, judge, plan or Plan(), accuracy, progress or (lambda *_: None))
    return _audited(as_found(asked), lambda study, _: visit(study))


def audit_studies(
    classifier: Classifier,
    images: Images,
    out: Path,
    *,
    decoder: Codec | None = None,
    plan: Plan | None = None,
    accuracy: float | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Study, ...], bool]:
    """The studies of an audit with their model and data, as `read_audit` finds them; a judge has no part in them.

    Returns:
        The studies in their order up to the first that is not finished, and whether that is all of them.

    Raises:
        DataError: The folder holds no audit, or one of something else.
    """
    tell = progress or (lambda *_: None)
    asked = as_found(ask(classifier, images, out, decoder, None, plan or Plan(), accuracy, tell))
    found: list[Study] = []
    desk, _ = _desk(asked, lambda study, _: found.append(study))
    try:
        _searched(desk, asked, _codec(asked)[0])
    except DataError as error:
        if error.slug != "run-unfinished":
            raise
        return tuple(found), False
    return tuple(found), True


def write_answers(store: Store, images: Images, predicted: Tensor) -> None:
    """Write inputs.csv of an audit, once: what two audits are compared by, image by image.

    Args:
        store: Of the run folder.
        images: All of them.
        predicted: The classifier's answers [n].
    """
    columns = images.ids, images.names, images.truth.tolist(), predicted.tolist()
    rows = [[i, *row] for i, row in enumerate(zip(*columns, strict=True))]
    store.write_once(INPUTS, csv_text(["sample", "id", "name", "label", "prediction"], rows))


def _desk(asked: Asked, carry: Carry) -> tuple[Desk, tuple[Flag, ...]]:
    """Where the searches are done, and what was measured of the classifier before."""
    plan = asked.plan
    asked.tell("Asking whether the classifier can be believed", 0, 1)
    flags = before(
        asked.classifier,
        asked.images,
        accuracy=asked.accuracy,
        decoder=asked.gate,
        batch=plan.batch,
        seed=plan.seed,
    )
    return Desk(asked.classifier, plan, asked.out, asked.tell, votes_for(flags), carry), flags


def _searched(
    desk: Desk, asked: Asked, codec: Codec | None, judge: Judge | None = None
) -> tuple[dict[str, Repairs], Robustness | None, Fooling, tuple[Imposters | None, str]]:
    """The searches of an audit, in their order; with the imposters why there may be none."""
    images, plan = asked.images, asked.plan
    repairs = repair(desk, images, asked.chosen, decoder=codec, judge=judge)
    kept = some(torch.arange(len(images)), plan.attacked, plan.seed)
    right = bool((asked.predicted == images.truth)[kept].any())
    curve = robustness(desk, images, kept) if right else None
    fooling = fool(desk, tuple(images.pixels.shape[1:]))
    return repairs, curve, fooling, imposters(desk, images, asked.predicted)


def _codec(asked: Asked) -> tuple[Codec | None, DecoderGate | None, str, str]:
    """The decoder that may speak, what it keeps, where it comes from, and, without one, why there is none."""
    codec, source, why = find_decoder(
        asked.decoder,
        asked.images,
        asked.out,
        asked.plan,
        asked.tell,
        device=asked.classifier.device,
        needed=len(asked.chosen) > 0,
        train=not asked.reading,
    )
    if codec is None:
        return None, None, source, why
    gate = asked.gate or gate_of(asked, codec)
    if not gate.passed:
        why = f"{source}: {gate}; at least {gate.threshold:.0%} is needed for both".capitalize()
        return None, gate, source, why
    return codec, gate, source, why


def _audited(asked: Asked, carry: Carry) -> Audit:
    """The audit itself; `carry` does each search, or finds it done."""
    images, chosen, wrong = asked.images, asked.chosen, asked.wrong
    notices = [] if len(chosen) == len(wrong) else [_sampled(len(wrong), len(chosen))]
    notices += _left_out(images)
    codec, gate, source, why = _codec(asked)
    if codec is None:
        notices.append(("warning", "LSE cannot speak here", f"{why}. Repairs are given in pixels alone."))
    else:
        notices.append(("info", "What the decoder keeps", f"{source}: {gate}.".capitalize()))
    desk, flags = _desk(replace(asked, gate=gate), carry)
    judge, mute = _judge(asked)
    repairs, curve, fooling, (likes, none) = _searched(desk, asked, codec, judge)
    notices += [*_heard(judge, mute, repairs, images.truth[chosen]), *lone(asked)]
    found, mute = causes(asked, codec, repairs)
    notices += [("warning", "Findings were not looked for", mute)] if mute else []
    notices += [("info", "No imposters were made", f"{none[:1].upper()}{none[1:]}.")] if none else []
    rejected, unasked = refused(desk, images, asked.predicted, fooling)
    others: dict[str, Fooling | Imposters] = {"Fooling": fooling, **({"Imposters": likes} if likes else {})}
    flags += _flags_after(desk, repairs, curve, others)
    said, who = tuple(notices), asked.predicted
    part = images, who, repairs, chosen, gate, source, curve, fooling, asked.plan, said, flags, desk.votes, judge
    return Audit(*part, findings=found, codec=codec, imposters=likes, rejected=rejected, unasked=unasked)


def _judge(asked: Asked) -> tuple[Judge | None, str]:
    """Who says what the repairs show, and why nobody does where somebody should; without a repair nobody need."""
    if not len(asked.chosen):
        return None, ""
    device, train = asked.classifier.device, not asked.reading
    return make_judge(asked.judge, asked.images, asked.out, asked.plan, asked.tell, device=device, train=train)


def _heard(judge: Judge | None, mute: str, repairs: dict[str, Repairs], labels: Tensor) -> list[tuple[str, str, str]]:
    """What the judge said, never without how often it is right itself."""
    if judge is None:
        return [("warning", "No judge was trained", f"{mute[:1].upper()}{mute[1:]}.")] if mute else []
    said = [f"{share:.1%} of those by {name}" for name, part in repairs.items() if (share := part.agreement(labels))]
    text = f"{str(judge)[:1].upper()}{str(judge)[1:]}."
    text += f" It sees the true class in {', in '.join(said)}." if said else " It sees the true class in no repair."
    if judge.trusted:
        return [("info", "What the judge says of the repairs", text)]
    return [("warning", "The judge is often wrong itself", f"{text} Where it disagrees, either may be right.")]


def _flags_after(
    desk: Desk,
    repairs: dict[str, Repairs],
    curve: Robustness | None,
    others: Mapping[str, Fooling | Imposters],
) -> tuple[Flag, ...]:
    """What every search says of itself, and what more searches say of the main repairs and the attack."""
    desk.tell("Asking whether the results can be believed", 0, 1)
    parts: dict[str, Repairs | Fooling | Imposters] = {**repairs, **others}
    said = {name: tallied(part.result.outcomes, part.claimed) for name, part in parts.items() if len(part.result)}
    asked: dict[str, tuple[Probe, Result]] = {}
    name, main = next(iter(repairs.items()))
    if len(main.result):
        asked[name] = main.probe, main.result
    if curve is not None and curve.attack is not None:
        probe, held = curve.attack
        asked["Robustness"] = probe, held.result
        said["Robustness"] = tallied(curve.outcomes, curve.claimed)
    if desk.votes > 1:  # a success that is not voted for need not have been lost on the way to its file
        said = {name: tuple(flag for flag in flags if flag.slug != "eight-bit") for name, flags in said.items()}
    for name, (probe, result) in asked.items():
        more = after(probe, desk.classifier, result, seed=desk.plan.seed)
        own = [flag.slug for flag in said[name]]
        said[name] = (*said[name], *(flag for flag in more if flag.slug not in own))
    return tuple(sorted(combined(said), key=lambda flag: list(KINDS).index(flag.slug)))


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


def _left_out(images: Images, most: int = 10) -> list[tuple[str, str, str]]:
    """The files that could not be read: the first ones each by name, the others by their number."""
    lost = images.unreadable
    said = [("warning", f"Left out: {name}", message) for name, message in lost[:most]]
    more = len(lost) - most
    return said if more <= 0 else [*said, ("warning", f"Left out: {more:,} more", f"{len(lost):,} files in all.")]


def _sampled(there: int, taken: int) -> tuple[str, str, str]:
    return "info", "A sample of the mistakes", f"{taken:,} of {there:,} mistakes were repaired, drawn by the seed."
