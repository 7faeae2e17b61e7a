"""The experiment with label attacks: right answers attacked by every recipe that a model's access allows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.asking import some
from amiss.audit.attack_recipes import BLIND, NAMES, Attacks
from amiss.audit.desk import Carry, Desk
from amiss.audit.experiment import begun, refuse_strange, studies_of
from amiss.audit.plan import Plan, Progress
from amiss.audit.robustness import still_right
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import DataError
from amiss.probe import Probe
from amiss.result import Result
from amiss.study import Inputs, Study
from amiss.study.identity import likeness
from amiss.trust import KINDS, Flag, before, combined, refuse_other_order, tallied, votes_for
from amiss.trust.flags import found, unmeasured

__all__ = ["KIND", "NAMES", "Attacked", "Attacks", "Broken", "attack_studies", "read_attacks", "run_attacks"]

KIND = "attacks"
"""What `run.json` calls the experiment."""

_SLACK = 1e-6  # of a bound: files hold float32 of whole levels
_FEWEST = 2  # images by which queries must lead: one may be luck


@dataclass(frozen=True)
class Broken:
    """What one recipe came to.

    Attributes:
        recipe: Its name.
        probe: What searched.
        result: One outcome an image; a success that its file does not hold is none.
        claimed: Successes before their files were read.
        seconds: Wall time of all searches.
        answers: What the classifier calls each file [n].
        fell: Whether the file lies within the radius and is named otherwise than its label [n].
        paths: The files, relative to the run folder.
    """

    recipe: str
    probe: Probe
    result: Result
    claimed: int
    seconds: float
    answers: Tensor
    fell: Tensor
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Attacked:
    """What the experiment found.

    Attributes:
        attacks: What was asked.
        eps: The radius.
        images: All that there are.
        chosen: Positions of those that were attacked [n]; the classifier names each by its label.
        right: How many of all images it names by their labels.
        parts: One a recipe, in the order of `NAMES`.
        flags: What was measured of the trust in it.
    """

    attacks: Attacks
    eps: float
    images: Images
    chosen: Tensor
    right: int
    parts: tuple[Broken, ...]
    flags: tuple[Flag, ...]

    @property
    def inputs(self) -> Inputs:
        """The images that were attacked."""
        return Inputs.of_images(self.images, self.chosen)

    @property
    def standing(self) -> Tensor:
        """Whether no recipe broke an image within the radius [n]."""
        return ~torch.stack([part.fell for part in self.parts]).any(0)


def run_attacks(
    classifier: Classifier,
    images: Images,
    out: Path,
    attacks: Attacks,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Attacked:
    """Attack right answers by every recipe; the same call goes on where it was stopped.

    Args:
        classifier: Who is attacked.
        images: Labeled images, all of one shape.
        out: Run folder; each recipe is a study under it.
        attacks: What is asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        stop: Asked again and again whether to stop; what is done by then is kept.
        about: What `run.json` shall say beside fingerprints and versions. Plain values.
        settings: The text of `config.toml`, where a command made the run.

    Raises:
        ContractError: A recipe was named that wants more than the classifier gives.
        DataError: No labels, no image that is rightly named, or the folder holds a run of something else.
        Interrupted: `stop` said so.
    """
    tell = progress or (lambda *_: None)
    eps, chosen, right = _asked(classifier, images, attacks, tell)
    inputs = Inputs.of_images(images, chosen)
    said = {"kind": KIND, "recipe": KIND, "seed": attacks.seed, "n": len(chosen), **(about or {})}
    said["unreadable"] = [list(pair) for pair in images.unreadable]
    with begun(out, _fingerprints(classifier, images, attacks), said, settings, inputs, classifier, attacks.batch):
        desk = classifier, images, out, attacks, eps, chosen, right, tell
        return _attacked(*desk, lambda study, told: study.run(stop=stop, progress=told), accuracy)


def read_attacks(
    classifier: Classifier,
    images: Images,
    out: Path,
    attacks: Attacks,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    visit: Callable[[Study], object] = lambda _: None,
) -> Attacked:
    """What the experiment came to, from the files of its studies: nothing is searched again.

    Args:
        classifier: As the run was made with; so are images, attacks and accuracy.
        images: Labeled images.
        out: Run folder.
        attacks: What was asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        visit: Called with each study before it is read.

    Raises:
        DataError: The folder holds no such run, one of something else, or one that is not finished.
    """
    tell = progress or (lambda *_: None)
    eps, chosen, right = _asked(classifier, images, attacks, tell)
    refuse_strange(out, _fingerprints(classifier, images, attacks), KIND, "amiss run attacks MODEL DATA")
    desk = classifier, images, out, attacks, eps, chosen, right, tell
    return _attacked(*desk, lambda study, _: visit(study), accuracy)


def attack_studies(
    classifier: Classifier, images: Images, out: Path, attacks: Attacks, **given: Any
) -> tuple[tuple[Study, ...], bool]:
    """The studies of the experiment with their model and data, as `read_attacks` finds them.

    Args:
        classifier: As for `read_attacks`; so are the others.
        images: Labeled images.
        out: Run folder.
        attacks: What was asked.
        given: accuracy, progress.

    Returns:
        The studies in their order up to the first that is not finished, and whether that is all of them.

    Raises:
        DataError: The folder holds no such run, or one of something else.
    """
    return studies_of(partial(read_attacks, classifier, images, out, attacks, **given))


def _asked(classifier: Classifier, images: Images, attacks: Attacks, tell: Progress) -> tuple[float, Tensor, int]:
    """The radius, which images are attacked, and how many are named rightly, once all that can be is refused."""

    def asking(done: int, n: int) -> None:
        tell("Asking the classifier", done, n)

    labels = images.truth
    refuse_other_order(classifier, images)
    eps = attacks.radius(images.pixels.shape[1])
    attacks.refuse_beyond(classifier)
    checked = classifier.check(images.pixels, labels, batch=attacks.batch, progress=asking)
    right = (checked.predicted == labels).nonzero().flatten()
    if not len(right):
        raise DataError(
            "There is no right answer to break.",
            slug="attacks-none",
            seen=f"none of {len(images):,} images is named by its label",
            needed="one image or more that the model names rightly",
            why="another order of the classes, or another preprocessing than in training",
            hint="amiss check MODEL DATA says how the model sees the data.",
        )
    return eps, some(right, attacks.images, attacks.seed), len(right)


def _fingerprints(classifier: Classifier, images: Images, attacks: Attacks) -> dict[str, str]:
    return {"model": likeness(classifier), "data": images.fingerprint, "plan": repr(attacks)}


def _attacked(
    classifier: Classifier,
    images: Images,
    out: Path,
    attacks: Attacks,
    eps: float,
    chosen: Tensor,
    right: int,
    tell: Progress,
    carry: Carry,
    accuracy: float | None,
) -> Attacked:
    """The searches themselves; `carry` does each, or finds it done."""
    tell("Asking whether the classifier can be believed", 0, 1)
    flags = before(classifier, images, accuracy=accuracy, decoder=None, batch=attacks.batch, seed=attacks.seed)
    desk = Desk(classifier, Plan(batch=attacks.batch, seed=attacks.seed), out, tell, votes_for(flags), carry)
    inputs, labels = Inputs.of_images(images, chosen), images.truth[chosen]
    probes = attacks.probes(eps, classifier)
    parts = tuple(_broken(desk, name, probe, inputs, labels, eps) for name, probe in probes.items())
    said = combined({part.recipe: tallied(part.result.outcomes, part.claimed) for part in parts})
    order = list(KINDS)
    flags += tuple(sorted((*said, _rivals(parts)), key=lambda flag: order.index(flag.slug)))
    return Attacked(attacks, eps, images, chosen, right, parts, flags)


def _broken(desk: Desk, name: str, probe: Probe, inputs: Inputs, labels: Tensor, eps: float) -> Broken:
    """One recipe, and what the classifier says of its files."""
    held = desk.search(name, name, f"Attacking by {name}", probe, inputs)
    made = to_bytes(held.result.images).to(torch.float32) / 255
    fell = ~still_right(desk, made, labels) & (held.result.linf <= eps + _SLACK)
    answers = torch.cat([desk.classifier.predict(part).cpu() for part in made.split(desk.plan.batch)])
    claimed, seconds = (sum(part) for part in zip(*((e.claimed, e.seconds) for e in held.entries), strict=True))
    return Broken(name, probe, held.result, int(claimed), float(seconds), answers, fell, desk.paths(held))


def _rivals(parts: Sequence[Broken]) -> Flag:
    """Whether queries break within the radius what PGD left standing there."""
    slug = "black-box-better"
    by = {part.recipe: part.fell for part in parts}
    blind = [name for name in BLIND if name in by]
    if "pgd" not in by or not blind:
        return unmeasured(slug, "It takes PGD, and an attack by queries beside it.")
    ahead = torch.stack([by[name] for name in blind]).any(0) & ~by["pgd"]
    k, n = int(ahead.sum()), len(ahead)
    words = f"{k} of {n} images that PGD left standing fall to {', '.join(blind)}"
    return found(slug, k / n > KINDS[slug].limit and k >= _FEWEST, k / n, words)
