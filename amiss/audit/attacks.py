"""The experiment with label attacks: right answers attacked by every recipe that a model's access allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.audit.asking import some
from amiss.audit.attack_recipes import BLIND, NAMES, Attacks
from amiss.audit.desk import Desk
from amiss.audit.experiment import Experiment, all_flags
from amiss.audit.plan import Progress
from amiss.audit.robustness import still_right
from amiss.data import Images, to_bytes
from amiss.errors import DataError
from amiss.probe import Probe
from amiss.result import Result
from amiss.study import Inputs
from amiss.trust import KINDS, Flag, refuse_other_order, tallied
from amiss.trust.flags import found, unmeasured

__all__ = ["KIND", "NAMES", "AttackExperiment", "Attacked", "Attacks", "Broken"]

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


@dataclass(frozen=True)
class Ready:
    """What the searches start from: the radius, who is attacked, and how many of all are named rightly."""

    eps: float
    chosen: Tensor
    right: int


@dataclass(frozen=True)
class AttackExperiment(Experiment[Ready, Attacked]):
    """Right answers attacked by every recipe.

    Attributes:
        images: Labeled images, all of one shape.
        asked: What is asked.
    """

    kind = KIND
    recipe = KIND

    images: Images
    asked: Attacks

    def prepared(self, tell: Progress) -> Ready:
        """The radius, and which images are attacked.

        Raises:
            ContractError: A recipe was named that wants more than the classifier gives.
            DataError: No labels, or no image that is rightly named.
        """

        def asking(done: int, n: int) -> None:
            tell("Asking the classifier", done, n)

        classifier, images, attacks = self.classifier, self.images, self.asked
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
        return Ready(eps, some(right, attacks.images, attacks.seed), len(right))

    def inputs(self, ready: Ready) -> Inputs:
        """The images that are attacked."""
        return Inputs.of_images(self.images, ready.chosen)

    def searched(self, desk: Desk, ready: Ready, flags: tuple[Flag, ...]) -> Attacked:
        """Every recipe, one after the other."""
        inputs, labels = self.inputs(ready), self.images.truth[ready.chosen]
        probes = self.asked.probes(ready.eps, self.classifier)
        parts = tuple(_broken(desk, name, probe, inputs, labels, ready.eps) for name, probe in probes.items())
        said = {part.recipe: tallied(part.result.outcomes, part.claimed) for part in parts}
        flags = all_flags(flags, said, _rivals(parts))
        return Attacked(self.asked, ready.eps, self.images, ready.chosen, ready.right, parts, flags)


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
