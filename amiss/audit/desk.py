"""Where the searches of an audit are done: each a study in a folder of its own, under the audit's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.probe import Probe
from amiss.recipes import RECIPES
from amiss.study import Held, Inputs, Study, Witness

__all__ = ["STUDIES", "Carry", "Desk", "search_here"]

STUDIES = "studies"

Told = Callable[[float, int, int], None]
Carry = Callable[[Study, Told], object]
"""Brings a study to its end; told (samples done, samples, successes)."""


def search_here(study: Study, told: Told) -> object:
    """Search for every sample that is not finished yet."""
    return study.run(progress=told)


@dataclass(frozen=True)
class Desk:
    """What every part of an audit is given.

    Attributes:
        classifier: Whom the audit is about.
        plan: How thorough it is.
        out: Run folder.
        tell: Told what is being done.
        votes: How often a success is judged; more than once for a classifier that answers at random.
        carry: What brings each study to its end, or finds it there.
    """

    classifier: Classifier
    plan: Plan
    out: Path
    tell: Progress
    votes: int = 1
    carry: Carry = search_here

    def study(
        self, name: str, recipe: str, probe: Probe, inputs: Inputs, frames: int = 0, witness: Witness | None = None
    ) -> Study:
        """The study of one search; it lies in `studies/NAME`, a run folder like any other.

        Args:
            name: Of its folder.
            recipe: The recipe that made the probe.
            probe: What searches.
            inputs: Its samples, one or more.
            frames: Images to keep of each path.
            witness: Who takes notes of it.
        """
        about = {"recipe": recipe, "seed": self.plan.seed, "references": list(RECIPES[recipe].cite)}
        place = self.out / STUDIES / name
        return Study(place, probe, self.classifier, inputs, frames, self.votes, about=about, witness=witness)

    def search(self, name: str, recipe: str, what: str, probe: Probe, inputs: Inputs, frames: int = 0) -> Held:
        """One search of the audit, for every sample; it lies in `studies/NAME`, a run folder like any other.

        Args:
            name: Of its folder.
            recipe: The recipe that made the probe.
            what: What is told, with how many are met.
            probe: What searches.
            inputs: Its samples, one or more.
            frames: Images to keep of each path.

        Raises:
            Interrupted: Somebody asked to stop.
            DataError: It is not finished, where nothing is searched any more.
        """
        return self.carried(self.study(name, recipe, probe, inputs, frames), what)

    def carried(self, study: Study, what: str) -> Held:
        """A study brought to its end; `search` says the rest."""
        self.carry(study, lambda done, n, met: self.tell(f"{what} ({met} so far)", int(done), n))
        return study.read(range(len(study.inputs)))

    def paths(self, held: Held) -> tuple[str, ...]:
        """The files of a study, relative to the run folder."""
        return tuple(path.relative_to(self.out).as_posix() for path in held.paths)
