"""What the experiments share: one question to a classifier, whose searches are studies under one run folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from amiss.audit.desk import Carry, Desk
from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError
from amiss.study import CONFIG, RUN, Inputs, Store, Study, held
from amiss.study.identity import likeness, refuse_other
from amiss.study.tables import write_inputs
from amiss.trust import KINDS, Flag, before, combined, votes_for

__all__ = ["Asked", "Experiment", "all_flags"]

Ready = TypeVar("Ready")
Found = TypeVar("Found")


class Asked(Protocol):
    """What an experiment asks; its text tells two of them apart."""

    @property
    def batch(self) -> int:
        """Images a pass."""

    @property
    def seed(self) -> int:
        """Of everything drawn."""


@dataclass(frozen=True)
class Experiment(ABC, Generic[Ready, Found]):
    """A question to a classifier that several studies answer, all under one run folder.

    Attributes:
        classifier: Whom it is about.
        images: What it is asked of.
        asked: What is asked.
        accuracy: The accuracy that the classifier's owner knows.
    """

    kind: ClassVar[str]
    """What `run.json` calls it."""
    recipe: ClassVar[str]
    """What `run.json` calls its recipe; on the command line with hyphens."""
    options: ClassVar[str] = ""
    """What its command needs beside MODEL and DATA."""

    classifier: Classifier
    images: Images | None
    asked: Asked
    accuracy: float | None = None

    @abstractmethod
    def prepared(self, tell: Progress) -> Ready:
        """What the searches start from, once all that can be refused is refused."""

    @abstractmethod
    def inputs(self, ready: Ready) -> Inputs:
        """The samples."""

    @abstractmethod
    def searched(self, desk: Desk, ready: Ready, flags: tuple[Flag, ...]) -> Found:
        """The searches themselves, each a study of the desk; `flags` were known before."""

    def run(
        self,
        out: Path,
        *,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
        about: Mapping[str, Any] | None = None,
        settings: str = "",
    ) -> Found:
        """Search to the end; the same call goes on where it was stopped.

        Args:
            out: Run folder; each search is a study under it.
            progress: Told what is being done.
            stop: Asked again and again whether to stop; what is done by then is kept.
            about: What `run.json` shall say beside fingerprints and versions. Plain values.
            settings: The text of `config.toml`, where a command made the run.

        Raises:
            ContractError: The classifier gives less than the searches need.
            DataError: Nothing to search from, or the folder holds a run of something else.
            Interrupted: `stop` said so.
        """
        tell = progress or (lambda *_: None)
        ready = self.prepared(tell)
        inputs = self.inputs(ready)
        unreadable = () if self.images is None else self.images.unreadable
        said = {"kind": self.kind, "recipe": self.recipe, "seed": self.asked.seed, "n": len(inputs), **(about or {})}
        with self._begun(out, {**said, "unreadable": [list(pair) for pair in unreadable]}, settings, inputs):
            return self._carried(out, ready, tell, lambda study, told: study.run(stop=stop, progress=told))

    def read(
        self, out: Path, *, progress: Progress | None = None, visit: Callable[[Study], object] = lambda _: None
    ) -> Found:
        """What it came to, from the files of its studies: nothing is searched again.

        Args:
            out: Run folder.
            progress: Told what is being done.
            visit: Called with each study before it is read.

        Raises:
            DataError: The folder holds no such run, one of something else, or one that is not finished.
        """
        tell = progress or (lambda *_: None)
        ready = self.prepared(tell)
        self._refuse_strange(out)
        return self._carried(out, ready, tell, lambda study, _: visit(study))

    def studies(self, out: Path, *, progress: Progress | None = None) -> tuple[tuple[Study, ...], bool]:
        """The studies in their order up to the first that is not finished, and whether these are all.

        Args:
            out: Run folder.
            progress: Told what is being done.

        Raises:
            DataError: The folder holds no such run, or one of something else.
        """
        found: list[Study] = []
        try:
            self.read(out, progress=progress, visit=found.append)
        except DataError as error:
            if error.slug != "run-unfinished":
                raise
            return tuple(found), False
        return tuple(found), True

    def fingerprints(self) -> dict[str, str]:
        """What makes two runs the same, by name."""
        data = "none" if self.images is None else self.images.fingerprint
        return {"model": likeness(self.classifier), "data": data, "plan": repr(self.asked)}

    @contextmanager
    def _begun(self, out: Path, about: Mapping[str, Any], settings: str, inputs: Inputs) -> Iterator[None]:
        """Hold a run folder for the length of a block, with its settings and its inputs written."""
        with held(store := Store(out), self.fingerprints(), about, self.classifier.device):
            if settings:
                store.write_once(CONFIG, settings)
            write_inputs(store, inputs, self.classifier, self.asked.batch)
            yield

    def _refuse_strange(self, out: Path) -> None:
        """Refuse a folder that holds no such run."""
        there, name = Store(out).about, self.recipe.replace("_", "-")
        if there is None:
            raise DataError(
                f"No run of {name} lies in {str(out)!r}.",
                slug="run-missing",
                seen=f"no {RUN}",
                needed=f"a folder that `amiss run {name} --out` made",
                hint=" ".join(("amiss run", name, "MODEL DATA", *self.options.split(), "--out DIR")),
            )
        refuse_other(there["fingerprints"], self.fingerprints(), str(out))

    def _carried(self, out: Path, ready: Ready, tell: Progress, carry: Carry) -> Found:
        """What is known before, and the searches; `carry` does each, or finds it done."""
        flags: tuple[Flag, ...] = ()
        plan = Plan(batch=self.asked.batch, seed=self.asked.seed)
        if self.images is not None:
            tell("Asking whether the classifier can be believed", 0, 1)
            known: dict[str, Any] = {"accuracy": self.accuracy, "decoder": None}
            flags = before(self.classifier, self.images, **known, batch=plan.batch, seed=plan.seed)
        return self.searched(Desk(self.classifier, plan, out, tell, votes_for(flags), carry), ready, flags)


def all_flags(known: tuple[Flag, ...], said: Mapping[str, Sequence[Flag]], *more: Flag) -> tuple[Flag, ...]:
    """The flags that were known before, and those of the searches in the order of their kinds.

    Args:
        known: Before.
        said: What each search said, by its name.
        more: Others of the searches.
    """
    order = list(KINDS)
    return (*known, *sorted((*combined(said), *more), key=lambda flag: order.index(flag.slug)))
