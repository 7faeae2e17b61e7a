"""What the experiments of `amiss run` share: options, model and data opened, a folder that goes on, its files."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from amiss.classifier import Classifier
from amiss.cli.command import data_name, model_name
from amiss.cli.config import RunConfig, is_kind
from amiss.cli.flags import FLAGS
from amiss.cli.folder import CARD, beside
from amiss.cli.gates import settled
from amiss.cli.model import named
from amiss.data import Images, open_data
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.gates import Gate
from amiss.loading import check_fit
from amiss.study import Store

if TYPE_CHECKING:
    from amiss.audit import experiment as audit

__all__ = [
    "Experiment",
    "Opened",
    "Option",
    "Tell",
    "count_from",
    "data_said",
    "listed",
    "number_within",
    "open_images",
    "open_model",
    "separated",
    "to_folder",
]

Tell = Callable[[str, int, int], None]

_DIGITS = 15  # of a count: far more than can be counted, and exact in every format


@dataclass(frozen=True)
class Option:
    """An option of an experiment, and the setting of `config.toml` that it becomes.

    Attributes:
        what: What it is, for `--help`.
        needed: What it may be, in words.
        read: Its value, of the option as it was written and the text after it; ValueError where it is none. None:
            it stands alone; it sets itself to True, and one that is called `no-...` what it denies to False.
        holds: Whether a value of a file is of its kind; what it may be, the experiment knows.
        default: Its value where it is left out.
    """

    what: str
    needed: str
    read: Callable[[str, str], Any] | None
    holds: Callable[[Any], bool]
    default: Any = None


@dataclass(frozen=True)
class Experiment:
    """An experiment as the command line knows it.

    Attributes:
        name: As it is called there.
        what: What it does, in a sentence.
        page: Its page among the docs.
        options: By name, without hyphens before it.
        also: Other ways to write an option, hyphens included, and its name.
    """

    name: str
    what: str
    page: str
    options: Mapping[str, Option]
    also: Mapping[str, str] = field(default_factory=dict)

    def settings(self, words: Sequence[str]) -> dict[str, Any]:
        """Read `--steps 50 --layers conv2,fc1` into the settings that `config.toml` keeps.

        Raises:
            UsageError: An option that the experiment does not have, or one that cannot be read.
        """
        found: dict[str, Any] = {}
        rest = list(words)
        while rest:
            flag, equals, text = rest.pop(0).partition("=")
            name = self.also.get(flag, flag.removeprefix("--"))
            if not flag.startswith("--") or name not in self.options:
                known = ", ".join(f"--{option}" for option in self.options)
                raise self.refused(f"has no option {flag!r}", flag, f"one of {known}")
            option, cannot = self.options[name], f"cannot take {flag} like this"
            if option.read is None:
                if equals:
                    raise self.refused(cannot, f"{flag} {text}", option.needed)
                found[_setting(name)] = name == _setting(name)
                continue
            if not equals:
                if not rest:
                    raise self.refused(cannot, f"{flag} and nothing after it", option.needed)
                text = rest.pop(0)
            try:
                found[name] = option.read(flag, text)
            except ValueError as error:
                raise self.refused(cannot, f"{flag} {text}", option.needed) from error
        return {_setting(name): option.default for name, option in self.options.items()} | found

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a file, once they are known to be those of the experiment, each of its kind.

        Raises:
            UsageError: They are not: the file was edited.
        """
        said, known = dict(settings), {_setting(name): option for name, option in self.options.items()}
        wrong = [name for name, option in known.items() if name not in said or not option.holds(said[name])]
        if wrong := [*wrong, *(name for name in said if name not in known)]:
            name = wrong[0]
            alone = name not in self.options
            raise UsageError(
                "The experiment has no such setting, or lacks one.",
                slug="run-plan",
                seen=f"{name} = {said[name]!r}"[:200] if name in said else f"no {name}",
                needed="the settings that amiss wrote into config.toml" if alone else self.options[name].needed,
                why="the file was edited",
                hint="Give the whole command once more; what is finished in the folder is kept.",
            )
        return said

    def refuse_idle(self, options: Mapping[str, Any]) -> None:
        """Refuse options of `amiss run` that the experiment does not heed, where they are given.

        Raises:
            UsageError: One is.
        """
        if idle := [name for name, value in options.items() if value]:
            own = f"its own options: --{', --'.join(self.options)}"
            raise self.refused(f"does not heed {idle[0]}", ", ".join(idle), own)

    def refused(self, what: str, seen: str, needed: str, hint: str = "") -> UsageError:
        """The error of an option; `what` goes on after the name of the experiment."""
        hint = hint or f"{self.page} says what each option means."
        what = f"The experiment {self.name} {what}."
        return UsageError(what, slug="recipe-option", seen=seen, needed=needed, hint=hint)


@dataclass(frozen=True)
class Opened(ABC):
    """An experiment with its model and data open.

    Attributes:
        config: What the command line asked.
        experiment: The experiment itself.
        file: Name of the file of its record.
    """

    file: ClassVar[str]

    config: RunConfig
    experiment: "audit.Experiment[Any, Any]"

    @abstractmethod
    def attempt(self, other: Classifier) -> object:
        """Show one image to a model of `--transfer`, as the experiment will show its own."""

    @abstractmethod
    def write(
        self,
        found: Any,
        out: Path,
        tell: Tell,
        gates: Sequence[Gate] = (),
        others: Mapping[str, Classifier] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Write all that follows from the studies into the run folder.

        Args:
            found: What the experiment found.
            out: Run folder.
            tell: Told what is being done.
            gates: What the run must reach.
            others: Models of `--transfer`; transfer.json keeps what they say. Where none is given, what it holds of
                these very images is told again.
            stop: Asked whether to stop.

        Returns:
            The record of the report, gates judged.

        Raises:
            Interrupted: `stop` said so.
        """

    @property
    def classifier(self) -> Classifier:
        """Whom it is about."""
        return self.experiment.classifier

    @property
    def images(self) -> Images | None:
        """What DATA holds; None where no DATA was named."""
        return self.experiment.images

    def names(self, out: Path) -> dict[str, str]:
        """How a record calls model, data, and the command that makes it again."""
        about = Store(out).about or {}
        command = str(about.get("command", ""))
        return {"model": model_name(self.config.model), "data": data_said(self.config), "command": command}

    def put(
        self, record: dict[str, Any], out: Path, gates: Sequence[Gate], known: Mapping[str, str]
    ) -> dict[str, Any]:
        """Judge the gates, and write page, card, record and flags.

        Args:
            record: Of the report; the gates are put into it.
            out: Run folder.
            gates: What the run must reach.
            known: Every figure that the record can have, and why it may lack it.
        """
        from amiss.report import build, card

        settled(gates, record, known)
        build(record, out)
        disk = Disk()
        disk.write(out / CARD, card(record).encode())
        for file, what in {self.file: record, FLAGS: record["flags"]}.items():
            disk.write(out / file, (json.dumps(what, indent=1, allow_nan=False) + "\n").encode())
        return record


def open_images(config: RunConfig, classifier: Classifier) -> Images:
    """What DATA of an experiment holds, once it is known to fit the classifier.

    Raises:
        ModelError: The classifier does not take such images.
        DataError: The images cannot be read, or are no match for it.
        ParityError: It does not score what its owner says.
    """
    images = open_data(config.data, **{"size": classifier.size, **config.images}, seed=config.seed)
    check_fit(classifier, images)
    if (accuracy := config.network.get("accuracy")) is not None:
        classifier.check(images.pixels, images.truth, accuracy=accuracy, batch=config.batch)
    return images


def open_model(config: RunConfig, device: str | None) -> Classifier:
    """The model of an experiment, with the preprocessing that the command names.

    Raises:
        ModelError: It cannot be opened.
    """
    preprocessing: dict[str, Any] = {name: config.network.get(name) for name in ("mean", "std", "head", "weights")}
    return named(config.model, device=device, **preprocessing)


def to_folder(
    work: Opened,
    out: Path,
    *,
    command: str,
    parent: str = "",
    fork: bool = False,
    stop: Callable[[], bool],
    tell: Tell,
) -> tuple[Any, Path]:
    """Run an experiment to its end; with `fork`, beside a run of something else that holds the folder.

    Returns:
        What was found, and the folder that it lies in.
    """
    config = work.config
    about: dict[str, Any] = {"model": model_name(config.model), "data": data_said(config), "command": command}
    about |= {"parent": parent} if parent else {}
    try:
        return work.experiment.run(out, progress=tell, stop=stop, about=about, settings=config.text(out)), out
    except DataError as error:
        if not fork or error.slug != "run-other":
            raise
    return to_folder(work, beside(out), command=command, parent=out.name, fork=fork, stop=stop, tell=tell)


def data_said(config: RunConfig) -> str:
    """How a report calls DATA."""
    return data_name(config.data) if config.data else "no images"


def count_from(least: int, what: str, default: int | None, *, optional: bool = False) -> Option:
    """An option that is a whole number.

    Args:
        least: What it is at least.
        what: What it counts.
        default: Where it is left out.
        optional: Whether it may be None in a file.
    """

    def read(_flag: str, text: str) -> int:
        if not text.isdecimal() or len(text) > _DIGITS or int(text) < least:
            raise ValueError(text)
        return int(text)

    def holds(value: Any) -> bool:
        return (optional and value is None) or (is_kind(value, int) and len(str(abs(value))) <= _DIGITS)

    return Option(what, f"a whole number of {least} or more", read, holds, default)


def number_within(low: float, high: float) -> Callable[[str, str], float]:
    """What reads a number within bounds, a decimal or a fraction.

    Args:
        low: What it is at least.
        high: What it is at most.
    """

    def read(_flag: str, text: str) -> float:
        try:
            value = float(Fraction(text))
        except (ZeroDivisionError, OverflowError) as error:
            raise ValueError(text) from error
        if not isfinite(value) or not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def separated(_flag: str, text: str) -> list[str]:
    """Words with commas between.

    Raises:
        ValueError: One of them is empty.
    """
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise ValueError(text)
    return found


def listed(kind: Any) -> Callable[[Any], bool]:
    """Whether a value of a file is a list of one kind."""
    return lambda value: is_kind(value, list) and all(is_kind(part, kind) for part in value)


def _setting(name: str) -> str:
    """What `config.toml` calls an option."""
    return name.removeprefix("no-")
