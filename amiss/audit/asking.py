"""What an audit is asked, with everything refused that can be refused before anything is written."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from amiss.audit.decoders import moved
from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.repro import generator
from amiss.spaces.codec import Codec, refuse_constant
from amiss.study import RUN, Store
from amiss.study.identity import likeness, refuse_other
from amiss.trust import DecoderGate, decoder_gate, refuse_other_order

__all__ = ["Asked", "as_found", "ask", "gate_of", "lone", "some"]


@dataclass(frozen=True)
class Asked:
    """An audit once all that can be refused is refused.

    Attributes:
        classifier: Whom it is about.
        images: Labeled images.
        out: Run folder.
        decoder: Encoder and decoder, where they were given.
        judge: An independent classifier, where one was given.
        plan: How thorough.
        accuracy: The accuracy that the classifier's owner knows.
        tell: Told what is being done.
        predicted: The classifier's answers [n].
        gate: What the decoder keeps that was given.
        reading: Whether no study is searched and nothing is trained, for all of it lies in the folder.
    """

    classifier: Classifier
    images: Images
    out: Path
    decoder: Codec | None
    judge: Classifier | None
    plan: Plan
    accuracy: float | None
    tell: Progress
    predicted: Tensor
    gate: DecoderGate | None = None
    reading: bool = False

    @property
    def fingerprints(self) -> dict[str, str]:
        """What makes two audits the same, by name."""
        plan = repr(self.plan)
        same = {"model": likeness(self.classifier), "data": self.images.fingerprint, "plan": plan}
        same["decoder"] = "trained here, or none" if self.decoder is None else likeness(self.decoder)
        same["judge"] = "none" if self.judge is None else likeness(self.judge)
        return same

    @property
    def wrong(self) -> Tensor:
        """Positions of the mistakes."""
        return (self.predicted != self.images.truth).nonzero().flatten()

    @property
    def chosen(self) -> Tensor:
        """Positions of those that are repaired."""
        return some(self.wrong, self.plan.mistakes, self.plan.seed)


def ask(
    classifier: Classifier,
    images: Images,
    out: Path,
    decoder: Codec | None,
    judge: Classifier | None,
    plan: Plan,
    accuracy: float | None,
    tell: Progress,
) -> Asked:
    """Ask the classifier, and refuse what can be refused; nothing is written.

    Raises:
        ContractError: The classifier gives no gradients.
        DataError: No labels, labels outside the classes, or the classes in another order.
        ModelError: The classifier's output is not what it should be, the judge knows other classes, or the decoder
            makes other images, or the same one whatever the code.
        UsageError: A judge is given, and the plan trains one.
    """
    _refuse_gradientless(classifier)
    labels = images.truth

    def asking(done: int, n: int) -> None:
        tell("Asking the classifier", done, n)

    checked = classifier.check(images.pixels, labels, accuracy=accuracy, batch=plan.batch, progress=asking)
    refuse_other_order(classifier, images)
    if judge is not None:
        _refuse_judge(judge, classifier, images, plan)
    asked = Asked(classifier, images, out, decoder, judge, plan, accuracy, tell, checked.predicted)
    if decoder is None:
        return asked
    codec = moved(decoder, classifier.device)
    gate = gate_of(asked, codec)
    refuse_constant(codec, images.images(slice(8)).to(classifier.device))
    return replace(asked, gate=gate)


def as_found(asked: Asked) -> Asked:
    """The same audit as its folder holds it.

    Raises:
        DataError: There is none, or one of something else; a judge that is not given is not missed.
    """
    there = Store(asked.out).about
    if there is None:
        raise DataError(
            f"No audit lies in {str(asked.out)!r}.",
            slug="run-missing",
            seen=f"no {RUN}",
            needed="a folder that `amiss audit MODEL DATA --out` made",
            hint="amiss audit MODEL DATA --out DIR",
        )
    here = asked.fingerprints
    if asked.judge is None:
        there = {**there, "fingerprints": {**there["fingerprints"], "judge": here["judge"]}}
    refuse_other(there["fingerprints"], here, str(asked.out))
    return replace(asked, reading=True)


def lone(asked: Asked) -> list[tuple[str, str, str]]:
    """What must be told where there is one class alone, in the images or in the answers: (level, title, text).

    Args:
        asked: The audit.
    """
    images, own = asked.images, asked.classifier.labels or ()
    told = []
    if len(there := images.truth.unique().tolist()) == 1:
        name, called = images.classes[there[0]], own[there[0]]
        which = f"{name!r}" if name == called else f"{name!r}, which is {called!r} to the classifier"
        text = f"All {len(images):,} images are of the class {which}. There is no other class to compare it with: "
        text += "the accuracy is that of this class, what is mistaken for it cannot be seen, and what its mistakes "
        text += "have in common cannot be tested. Give images of the other classes too."
        told.append(("warning", "One class only", text))
    if len(said := asked.predicted.unique().tolist()) == 1 and there != said:
        text = f"The classifier answers {own[said[0]]!r} to all {len(images):,} images. Nothing in them tells one "
        text += "answer from another: look at its preprocessing first."
        told.append(("warning", "One answer only", text))
    return told


def gate_of(asked: Asked, codec: Codec) -> DecoderGate:
    """What a decoder keeps of the images and of the classifier's answers.

    Args:
        asked: The audit.
        codec: The decoder.
    """
    plan, images = asked.plan, asked.images
    asked.tell("Asking what the decoder keeps", 0, 1)
    few = some(torch.arange(len(images)), 2000, plan.seed)
    return decoder_gate(asked.classifier, codec, images.images(few), threshold=plan.gate, batch=plan.batch)


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


def _refuse_judge(judge: Classifier, classifier: Classifier, images: Images, plan: Plan) -> None:
    """A judge must know the classifier's classes, or its word means nothing; and one judge is enough."""
    if plan.train_judge:
        raise UsageError(
            "A judge is given or trained, and not both.",
            slug="judge-both",
            seen="a judge, and a plan that trains one",
            needed="one of them",
            hint="Leave --train-judge out, or --judge; in Python Plan(train_judge=False), or judge=None.",
        )
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


def some(rows: Tensor, most: int, seed: int) -> Tensor:
    """At most `most` of the rows, drawn by the seed, in order.

    Args:
        rows: Positions [n].
        most: How many.
        seed: Of the draw.
    """
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=generator(seed, 1))[:most].sort().values]
