"""The audit of rejection that ends the experiment with fooling images: what would reject the champions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.rejection import ADAPTIVE, audit_rejection, make_nonsense
from amiss.audit.evolution import Evolved
from amiss.audit.plan import Progress
from amiss.audit.rejection_tables import Record, is_record
from amiss.audit.rejections import fit_rules, halves, too_few
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import DataError, Interrupted, ModelError
from amiss.recipes import classes
from amiss.repro import digest
from amiss.study.identity import likeness

__all__ = ["champions_rejected"]

_SOME, _EACH = 1000, 5  # images a half, and of a class where classes are many
_ROOM = 2**28  # numbers that the images of a half may be: 1 GB
_TRIED = 10  # classes that a search against a rule wants
_CHILDREN = 200


def champions_rejected(
    found: Evolved,
    classifier: Classifier,
    *,
    before: Any = None,
    keep: Callable[[Record], object] = lambda _: None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Record | None, str]:
    """Show the champions, and noise, to nine detectors; with `adaptive`, search for images that pass each.

    Detectors are fitted on rightly classified images of one half of the natural ones; thresholds and areas under
    curves are told from the other half, right or wrong. Each different champion that its file holds counts once.

    Args:
        found: The experiment.
        classifier: Who was fooled.
        before: What an earlier call kept, as read back from JSON; anything that is no such record counts as none.
            What was told of the same classifier, images and champions is not told again.
        keep: Called with the record whenever more of it is done: once, and after each rule that is searched against.
        progress: Told what is being done.
        stop: Asked before each part whether to stop.

    Returns:
        The record of an `amiss.analysis.rejection.Rejection` with "fingerprints", "fitted" (images), "layer" and
        "finished"; or None, and why there is none.

    Raises:
        Interrupted: `stop` said so.
    """
    if not found.evolution.rejection:
        return None, ""
    if found.images is None or found.images.labels is None:
        return None, "rules of rejection are fitted on labeled images, and none were given"
    marks = _fingerprints(found, classifier)
    said: Record | None = before if is_record(before) and before.get("fingerprints") == marks else None
    if said is not None and said.get("finished") is True:
        return said, ""
    asked = found.evolution

    def tell(what: str, done: int = 0, total: int = 1) -> None:
        if stop is not None and stop():
            raise Interrupted(
                "Stopped, with all that was done in its place.",
                slug="interrupted",
                seen=what,
                hint="The same command goes on from here.",
            )
        if progress is not None:
            progress(what, done, total)

    tell("Fitting rules of rejection")
    fitted, natural = _parted(classifier, found.images, asked.seed, asked.batch)
    if why := too_few(fitted, natural):
        return None, why
    try:
        layer, detectors = fit_rules(classifier, fitted, asked.batch)
        common: dict[str, Any] = {"confidence": asked.confidence, "seed": asked.seed, "batch": asked.batch}
        wanted = classes(classifier, [found.classes[i] for i in _spread(len(found.names))])
        held = natural.images()
        if said is None:
            kinds = ("uniform noise", "gradient + L2") if asked.adaptive else ("uniform noise",)
            nonsense = make_nonsense(
                classifier, found.shape, kinds=kinds, steps=asked.steps, task=wanted, **common,
                progress=lambda kind: tell(f"Making {kind}"),
            )  # fmt: skip
            tell("Showing nonsense to rules of rejection")
            told = audit_rejection(
                classifier, detectors.rules, held, {**nonsense, **_champions(found)}, searches=(),
                left_out=detectors.left_out, **common,
            )  # fmt: skip
            said = {**told.record, "fingerprints": marks, "fitted": len(fitted), "layer": layer}
            said["finished"] = not asked.adaptive
            keep(said)
        done = {one["detector"] for one in said["bypasses"]}
        rest = [rule for rule in detectors.rules if rule.name not in done] if asked.adaptive else []
        children = min(_CHILDREN, asked.adaptive)
        for i, rule in enumerate(rest):
            tell(f"Searching against {rule.name}", i, len(rest))
            more = audit_rejection(
                classifier, [rule], held, {}, searches=("cppn",), children=children, task=wanted,
                generations=max(1, asked.adaptive // children - 1), **common,
            ).record  # fmt: skip
            said = {
                **said,
                "rows": said["rows"] + [row for row in more["rows"] if row["kind"] == ADAPTIVE],
                "bypasses": said["bypasses"] + more["bypasses"],
                "bypassed": said["bypassed"] + more["bypassed"],
                "finished": i == len(rest) - 1,
            }
            keep(said)
    except (DataError, ModelError) as error:
        return None, f"{error.what[:1].lower()}{error.what[1:].rstrip('.')}"
    return said, ""


def _parted(classifier: Classifier, images: Images, seed: int, batch: int) -> tuple[Images, Images]:
    """The rightly classified images of one half, and the other half, right or wrong."""
    most = min(max(_SOME, _EACH * len(images.classes)), _ROOM // images.pixels[0].numel())
    one, other = halves(len(images), seed, most)
    said = torch.cat([classifier.predict(images.images(rows)).cpu() for rows in one.split(batch)])
    return images.pick(one[said == images.truth[one]]), images.pick(other)


def _champions(found: Evolved) -> dict[str, Tensor]:
    """By encoding the different images that fool, as their files hold them."""
    sure = {part.encoding: to_bytes(part.result.images[part.result.met]) for part in found.parts}
    return {name: images.unique(dim=0).float() / 255 for name, images in sure.items() if len(images)}


def _spread(n: int) -> list[int]:
    """Classes, evenly spaced where they are many."""
    return torch.linspace(0, n - 1, min(n, _TRIED)).round().long().tolist()


def _fingerprints(found: Evolved, classifier: Classifier) -> dict[str, str]:
    """All that the audit depends on."""
    assert found.images is not None  # noqa: S101 - asked before
    parts = [(part.encoding, to_bytes(part.result.images), part.result.met) for part in found.parts]
    asked = found.evolution
    return {
        "model": likeness(classifier),
        "data": found.images.fingerprint,
        "champions": digest(repr(found.classes), *(piece for part in parts for piece in part)),
        "plan": f"confidence={asked.confidence}, adaptive={asked.adaptive}, steps={asked.steps}, seed={asked.seed}",
    }
