"""From mistakes to a tested cause: the search for what a classifier misuses."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amiss.analysis.findings.direction import Evidence, evidence, without
from amiss.analysis.findings.gates import controls, effects, measure, misuse, natural_length
from amiss.analysis.findings.moving import Mover
from amiss.analysis.findings.naming import attribute_direction, mixed, named, orthonormal
from amiss.analysis.findings.readable import refuse_unreadable
from amiss.analysis.findings.statistics import Whitening, auc, unit
from amiss.analysis.findings.values import Finding, Findings, Settings, Verdict
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError
from amiss.recipes import lse
from amiss.result import Result
from amiss.spaces.latent import Codec

__all__ = ["Tell", "find", "halves"]

Tell = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


def find(
    classifier: Classifier,
    decoder: Codec,
    images: Images,
    *,
    settings: Settings | None = None,
    repairs: tuple[Tensor, Result] | None = None,
    discover: Tensor | None = None,
    tell: Tell | None = None,
) -> Findings:
    """Look for cues that the classifier uses more than the truth follows them.

    For each kind of mistake (true class, predicted class): minimal repairs and the model's residual on one half of
    the images give a direction in code space; on the other half it is asked whether the truth still depends on the
    position along it, given the model's own logit (misuse), and whether moving images along it changes answers more
    than any other difference between two real codes of one class does (effect). What passes both is claimed.

    The labels of the images must be free of the shortcut that is looked for: on images that share it, nothing is
    found.

    Args:
        classifier: Who is asked.
        decoder: Encoder and decoder of such images. Whether it keeps enough of them is asked elsewhere
            (`amiss.trust.decoder_gate`).
        images: Labeled images, a few hundred at least. A table of attributes gives findings their names.
        settings: How to look.
        repairs: Positions [k] of mistakes and the result of minimal repairs of them; what is missing is made.
        discover: Which images make directions [n], boolean; the others test them. By default a half, by their ids.
        tell: Told what is being done.

    Raises:
        DataError: There are no labels, they are all of one class, or `discover` is not one answer an image.
        ModelError: Codes or logits that nothing can be read from, or labels that the classifier has no class for.

    References:
        Zoetmulder et al. (2018), latent sympathetic examples: what many repairs reveal.
    """
    settings, tell = settings or Settings(), tell or (lambda *_: None)
    labels = images.truth
    if len(labels.unique()) < 2:
        raise DataError(
            "All images are of one class, so nothing can be said about what tells classes apart.",
            slug="findings-one-class",
            seen=f"{len(images):,} images, all of class {int(labels[0])}",
            needed="images of two classes or more",
            hint="Add images of the classes that it is confused with.",
        )
    if discover is not None and (discover.dtype != torch.bool or tuple(discover.shape) != (len(images),)):
        raise DataError(
            "The discovering half is not one answer an image.",
            slug="findings-halves",
            seen=f"{discover.dtype} of shape {tuple(discover.shape)}",
            needed=f"booleans of shape ({len(images)},)",
            hint="Give a mask: true for images that make directions, false for those that test them.",
        )
    world = _looked_at(classifier, decoder, images, settings, tell)
    refuse_unreadable(world.codes, world.logits, labels)
    first = halves(images) if discover is None else discover
    kinds, too_few = _kinds(labels, world.logits.argmax(1), first, settings)
    found: list[Finding] = []
    covariance = {}
    for i, (true, predicted) in enumerate(kinds):
        tell("Looking for what mistakes have in common", i, len(kinds))
        some, whitening = _of_one_kind(world, true, predicted, first, settings, repairs)
        found += some
        covariance[true, predicted] = whitening.covariance
    tell("Looking for what mistakes have in common", len(kinds), len(kinds))
    order = {"misuse": 0, "use": 1, "none": 2}
    found.sort(key=lambda finding: (order[finding.verdict], finding.root))
    rows = torch.arange(len(images))
    return Findings(tuple(found), too_few, settings.needed, rows[first], rows[~first], covariance)


def halves(images: Images) -> Tensor:
    """Which images are of the discovering half [n], by the digest of their content."""
    return torch.tensor([int(name[:8], 16) % 2 == 0 for name in images.ids], dtype=torch.bool)


@dataclass(frozen=True)
class _World:
    """Everything asked once: images, codes, answers."""

    classifier: Classifier
    decoder: Codec
    images: Images
    codes: Tensor
    logits: Tensor


@torch.no_grad()
def _looked_at(classifier: Classifier, decoder: Codec, images: Images, settings: Settings, tell: Tell) -> _World:
    codes, logits = [], []
    for part in torch.arange(len(images)).split(settings.batch):
        tell("Encoding the images", int(part[0]), len(images))
        x = images.images(part).to(classifier.device)
        codes.append(decoder.encode(x).cpu())
        logits.append(classifier.outputs(x)["answer"].cpu())
    return _World(classifier, decoder, images, torch.cat(codes), torch.cat(logits))


def _kinds(
    labels: Tensor, predicted: Tensor, first: Tensor, settings: Settings
) -> tuple[list[tuple[int, int]], tuple[tuple[int, int, int], ...]]:
    """Kinds of mistake with enough of them in the discovering half, most frequent first; and those with too few."""
    wrong = (predicted != labels) & first
    pairs, counts = torch.stack([labels[wrong], predicted[wrong]], 1).unique(dim=0, return_counts=True)
    ordered = sorted(zip(pairs.tolist(), counts.tolist(), strict=True), key=lambda one: -one[1])
    enough = [(a, b) for (a, b), n in ordered if n >= settings.needed]
    return enough[: settings.cohorts], tuple((a, b, n) for (a, b), n in ordered if n < settings.needed)


def _of_one_kind(
    world: _World, true: int, predicted: int, first: Tensor, settings: Settings, repairs: tuple[Tensor, Result] | None
) -> tuple[list[Finding], Whitening]:
    """Directions of one kind of mistake, each with those before it taken out, until one is not claimed."""
    labels = world.images.truth
    gap = (world.logits[:, true] - world.logits[:, predicted]).double()
    both = (labels == true) | (labels == predicted)
    truth, codes = labels == true, world.codes.double()
    whitening = Whitening.of(codes[both])
    mistakes = (first & truth & (world.logits.argmax(1) == predicted)).nonzero().flatten()
    mistakes, changes = _changes(world, mistakes[: settings.mistakes], settings, repairs)
    tested = torch.bincount(truth[both & ~first].long(), minlength=2)
    if not len(mistakes) or int(tested.min()) < 2:  # none is repaired, or there is nobody to test on
        return [], whitening
    learn, test = both & first, (both & ~first).nonzero().flatten()
    parts = evidence(codes[learn], gap[learn], truth[learn], changes, whitening)
    mover = Mover(world.classifier, world.decoder, world.images.pixels, world.codes, true, predicted, settings.batch)
    found: list[Finding] = []
    taken: list[Tensor] = []
    while len(found) < min(settings.deflations, codes.shape[1]):
        basis = orthonormal(taken, codes.shape[1])
        direction, check = parts.bisector(basis)
        blank = _Blank(true, predicted, direction, check, mistakes, test, basis)
        one = _tested(world, parts, blank, gap, truth, mover, settings)
        if one.wald <= settings.wald and (split := _split(world, whitening, blank, one, learn)):
            return [*found, *(_tested(world, parts, part, gap, truth, mover, settings) for part in split)], whitening
        found.append(one)
        if one.verdict != "misuse":
            break
        taken.append(_cue(world, whitening, one, learn))
    return found, whitening


@dataclass(frozen=True)
class _Blank:
    """A direction before it is tested."""

    true: int
    predicted: int
    direction: Tensor
    check: Tensor
    mistakes: Tensor
    test: Tensor
    known: Tensor
    part: bool = False


def _tested(
    world: _World, parts: Evidence, blank: _Blank, gap: Tensor, truth: Tensor, mover: Mover, settings: Settings
) -> Finding:
    """Both gates on the testing half."""
    whitening, rows = parts.whitening, blank.test
    codes = world.codes.double()[rows]
    direction = blank.direction / (whitening.inverse @ blank.direction).norm()
    position, own, is_true = whitening.along(codes, direction), gap[rows], truth[rows]
    known = (codes @ whitening.inverse) @ blank.known.T
    wald, root = misuse(position, known, own, is_true)
    right, wrong = rows[is_true & (own > 0)], rows[is_true & (own <= 0)]
    length = natural_length(mover, rows, direction, position, settings)
    # The cue itself is taken out of the controls, for two real images often differ in it, and it would have to beat
    # itself. So is what was found before.
    tried = orthonormal([*blank.known, whitening.inverse @ direction], len(direction))
    others = without(controls(world.codes[truth], settings), tried, whitening)
    others = others[(others @ whitening.inverse).norm(dim=1) > 1e-6]  # a code of one number has no other direction
    pushes = effects(mover, right, wrong, direction, others, length, settings)
    measured = measure(mover, rows[is_true], own[is_true], direction, position[is_true], settings)
    table = {name: values[rows] for name, values in world.images.table.items()}
    last = pushes[-1]
    strong = last.control is not None and last.breaks.low > last.control.most
    verdict: Verdict = "none" if not strong else "misuse" if wald <= settings.wald else "use"
    return Finding(
        true=blank.true,
        predicted=blank.predicted,
        direction=direction,
        mistakes=blank.mistakes,
        tested=rows,
        position=(position - position.mean()) / position.std(),
        wald=wald,
        root=root,
        auc_prediction=auc(position, own > 0),
        auc_truth=auc(position, is_true),
        effects=pushes,
        measured=measured.effect,
        step=measured.step,
        pushed=measured.pushed,
        broken=measured.broken,
        seen=measured.seen,
        agreement=whitening.cosine(direction, blank.check),
        names=named(direction, position, codes, table, whitening, settings.extremes),
        verdict=verdict,
        part=blank.part,
    )


def _split(world: _World, whitening: Whitening, blank: _Blank, mixture: Finding, learn: Tensor) -> list[_Blank]:
    """The parts of a mixture, each to be tested by itself, given the others; none where the table shows no mixture.

    Several shortcuts come out as one direction between them, which has no name and need not break answers as each of
    them does. Where the table shows of what it is mixed, each part is that attribute's own direction.
    """
    own = {}
    for part in mixed(mixture.names):
        direction = _own(world, part.name, learn)
        if direction is not None:
            own[part.name] = direction if part.cosine > 0 else -direction
    if len(own) < 2:
        return []
    white = {name: unit(whitening.inverse @ direction) for name, direction in own.items()}
    parts = []
    for name, direction in own.items():
        others = [white[other] for other in own if other != name]
        known = orthonormal([*blank.known, *others], len(direction))
        parts.append(replace(blank, direction=direction, known=known, part=True))
    return parts


def _cue(world: _World, whitening: Whitening, finding: Finding, learn: Tensor) -> Tensor:
    """What is taken out before the next direction is looked for, whitened.

    Where the table gives the finding a name, that attribute's own direction is taken out in its place, for what is
    found first leans toward what would be found second.
    """
    own = None if finding.name is None else _own(world, finding.name, learn)
    return unit(whitening.inverse @ (finding.direction if own is None else own))


def _own(world: _World, name: str, rows: Tensor) -> Tensor | None:
    """An attribute's own direction, from the images that make directions."""
    return attribute_direction(world.codes[rows].double(), world.images.table[name][rows].double())


def _changes(
    world: _World, mistakes: Tensor, settings: Settings, repairs: tuple[Tensor, Result] | None
) -> tuple[Tensor, Tensor]:
    """Minimal repairs of mistakes: those that were repaired, and the changes of their codes [k, d], float64."""
    made: dict[int, Tensor] = {}
    if repairs is not None:
        at, result = repairs
        made = {
            int(i): result.p[k]
            for k, i in enumerate(at.tolist())
            if result.outcomes[k].met and isinstance(result.p, Tensor)
        }
        known = set(at.tolist())
        missing = torch.tensor([i for i in mistakes.tolist() if i not in known], dtype=torch.int64)
    else:
        missing = mistakes
    if len(missing):
        task = world.images.task(missing)
        probe = lse(world.decoder, margin=settings.margin, seed=settings.seed)
        found = probe.run(world.classifier, replace(task, target=task.label))
        made |= {int(i): found.p[k] for k, i in enumerate(missing.tolist()) if found.outcomes[k].met}
    kept = [i for i in mistakes.tolist() if i in made]
    if not kept:
        return mistakes[:0], torch.zeros(0, world.codes.shape[1], dtype=torch.float64)
    return torch.tensor(kept), torch.stack([made[i].cpu().double() for i in kept])
