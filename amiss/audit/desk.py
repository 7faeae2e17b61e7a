"""Where the searches of an audit are done: each a study in a folder of its own, under the audit's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.probe import Probe
from amiss.study import Held, Inputs, Study

__all__ = ["STUDIES", "Desk"]

STUDIES = "studies"


@dataclass(frozen=True)
class Desk:
    """What every part of an audit is given.

    Attributes:
        classifier: Whom the audit is about.
        plan: How thorough it is.
        out: Run folder.
        tell: Told what is being done.
        votes: How often a success is judged; more than once for a classifier that answers at random.
        stop: Asked after each turn of a search whether to stop.
    """

    classifier: Classifier
    plan: Plan
    out: Path
    tell: Progress
    votes: int = 1
    stop: Callable[[], bool] = lambda: False

    def study(self, name: str, probe: Probe, inputs: Inputs, frames: int = 0) -> Study:
        """One search of the audit; it lies in `studies/NAME`, a run folder like any other."""
        about = {"recipe": name, "seed": self.plan.seed}
        return Study(self.out / STUDIES / name, probe, self.classifier, inputs, frames, self.votes, about=about)

    def search(self, name: str, what: str, probe: Probe, inputs: Inputs, frames: int = 0) -> Held:
        """Search for every sample, or go on where it was stopped; `what` is told with how many are met.

        Raises:
            Interrupted: `stop` said so.
        """
        study = self.study(name, probe, inputs, frames)
        study.run(stop=self.stop, progress=lambda done, n, met: self.tell(f"{what} ({met} so far)", int(done), n))
        return study.read()

    def paths(self, held: Held) -> tuple[str, ...]:
        """The files of a study, relative to the run folder."""
        return tuple(path.relative_to(self.out).as_posix() for path in held.paths)
