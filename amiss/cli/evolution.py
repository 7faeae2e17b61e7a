"""`amiss run fooling MODEL [DATA]`: the experiment with fooling images, from its options to its report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.classifier import Classifier
from amiss.cli.command import data_name, model_name
from amiss.cli.config import FOOLING, RunConfig, is_kind
from amiss.cli.evolution_transfer import champions_shown
from amiss.cli.flags import FLAGS
from amiss.cli.folder import CARD, EVOLUTION, NONSENSE, REJECTION, beside
from amiss.cli.gates import settled
from amiss.cli.model import named
from amiss.data import Images, open_data
from amiss.data.cells import csv_text
from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.gates import Gate
from amiss.loading import check_fit
from amiss.study import Store

if TYPE_CHECKING:
    from amiss.audit.evolution import Evolution, Evolved

__all__ = [
    "OPTIONS",
    "EvolutionWork",
    "evolution_of",
    "evolution_settings",
    "evolution_to_folder",
    "known_of_evolution",
    "open_evolution",
    "refuse_idle_evolution",
    "write_evolution",
]

OPTIONS = {
    "encodings": "one or more of direct, cppn and gradient, with commas between",
    "generations": "a whole number of 1 or more",
    "children": "a whole number of 1 or more",
    "steps": "a whole number of 1 or more",
    "confidence": "a number between 0 and 1",
    "preset": "modern or paper-2015",
    "adaptive": "a whole number of 0 or more",
    "no-rejection": "no value: it stands alone",
}
"""What `amiss run fooling` takes beside the options of every run, and in which words."""
_COUNTS = ("generations", "children", "steps")
_MOST = 2**24  # bytes of rejection.json
_DIGITS = 15  # of a count: far more than can be counted, and exact in every format


def _is_count(value: Any) -> bool:
    return is_kind(value, int) and len(str(abs(value))) <= _DIGITS


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "encodings": lambda value: is_kind(value, list) and all(is_kind(part, str) for part in value),
    **dict.fromkeys(_COUNTS[:2], lambda value: value is None or _is_count(value)),
    "steps": _is_count,
    "confidence": lambda value: is_kind(value, int | float),
    "preset": lambda value: value in ("modern", "paper-2015"),
    "adaptive": _is_count,
    "rejection": lambda value: isinstance(value, bool),
}
"""Whether a setting of config.toml is of its kind; what it may be, `Evolution` knows."""


@dataclass(frozen=True)
class EvolutionWork:
    """The experiment with its model and data open.

    Attributes:
        config: What was asked.
        evolution: The same, as the experiment takes it.
        classifier: Who is fooled.
        images: Natural images; None where no DATA was named.
        shape: Of the images that are made (C, H, W).
    """

    config: RunConfig
    evolution: "Evolution"
    classifier: Classifier
    images: Images | None
    shape: tuple[int, ...]

    @property
    def given(self) -> dict[str, Any]:
        """What every function that makes or reads the experiment is given beside classifier, shape and folder."""
        more = {"images": self.images, "accuracy": self.config.network.get("accuracy")}
        return {"evolution": self.evolution, **more}


def evolution_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--encodings direct,cppn --generations 200 --children 200`.

    Returns:
        The settings as `config.toml` keeps them: encodings, generations, children, steps, confidence, preset,
        adaptive, rejection.

    Raises:
        UsageError: An option that the experiment does not have, or one that cannot be read.
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option == "--no-rejection" and not equals:
            found["rejection"] = False
            continue
        name = {"--encoding": "encodings"}.get(option, option.removeprefix("--"))
        if not option.startswith("--") or name not in OPTIONS:
            raise _refused(f"has no option {option!r}", option, f"one of {', '.join(f'--{o}' for o in OPTIONS)}")
        if not equals:
            if not rest:
                raise _refused(f"cannot take {option} like this", f"{option} and nothing after it", OPTIONS[name])
            value = rest.pop(0)
        found[name] = _read(name, option, value)
    counts = {"generations": None, "children": None, "steps": 100}
    settings = {
        "encodings": ["direct", "cppn", "gradient"],
        **counts,
        "confidence": 0.99,
        "preset": "modern",
        "adaptive": 0,
        "rejection": True,
        **found,
    }
    _made(settings)
    return settings


def refuse_idle_evolution(options: Mapping[str, Any]) -> None:
    """Refuse options of `amiss run` that the experiment does not heed, where they are given.

    Raises:
        UsageError: One is.
    """
    if idle := [name for name, value in options.items() if value]:
        raise _refused(f"does not heed {idle[0]}", ", ".join(idle), f"its own options: --{', --'.join(OPTIONS)}")


def evolution_of(config: RunConfig) -> "Evolution":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
    """
    said = dict(config.settings)
    wrong = [name for name, right in _KINDS.items() if name not in said or not right(said[name])]
    if wrong := [*wrong, *(name for name in said if name not in _KINDS)]:
        name = wrong[0]
        raise UsageError(
            "The experiment has no such setting, or lacks one.",
            slug="run-plan",
            seen=f"{name} = {said[name]!r}"[:200] if name in said else f"no {name}",
            needed=OPTIONS.get(name, "the settings that amiss wrote into config.toml"),
            why="the file was edited",
            hint="Give the whole command once more; what is finished in the folder is kept.",
        )
    return _made(said, batch=config.batch, seed=config.seed)


def known_of_evolution(config: RunConfig) -> dict[str, str]:
    """Every figure that the experiment of a configuration can have, each with the reason why it may lack it."""
    return _known(evolution_of(config))


def open_evolution(config: RunConfig, *, device: str | None = None) -> EvolutionWork:
    """Open model and data.

    Raises:
        UsageError: The settings are none, or nothing says how large the images shall be.
        ModelError: The model cannot be opened, or does not take such images.
        DataError: The images cannot be read, or are no match for the model.
        ParityError: The model does not score what its owner says.
    """
    evolution, network = evolution_of(config), config.network
    preprocessing: dict[str, Any] = {name: network.get(name) for name in ("mean", "std", "head", "weights")}
    classifier = named(config.model, device=device, **preprocessing)
    if not config.data:
        return EvolutionWork(config, evolution, classifier, None, _shape(config, classifier))
    images = open_data(config.data, **{"size": classifier.size, **config.images}, seed=config.seed)
    check_fit(classifier, images)
    if (accuracy := network.get("accuracy")) is not None:
        classifier.check(images.pixels, images.truth, accuracy=accuracy, batch=config.batch)
    return EvolutionWork(config, evolution, classifier, images, tuple(images.pixels.shape[1:]))


def evolution_to_folder(
    work: EvolutionWork,
    out: Path,
    *,
    command: str,
    parent: str = "",
    fork: bool = False,
    stop: Callable[[], bool],
    tell: Callable[[str, int, int], None],
) -> tuple["Evolved", Path]:
    """Run the experiment to its end; with `fork`, beside a run of something else that holds the folder.

    Returns:
        What was found, and the folder that it lies in.
    """
    from amiss.audit.evolution import run_evolution

    config = work.config
    about: dict[str, Any] = {"model": model_name(config.model), "data": _data(config), "command": command}
    about |= {"parent": parent} if parent else {}
    given = {**work.given, "progress": tell, "stop": stop, "about": about, "settings": config.text(out)}
    try:
        return run_evolution(work.classifier, work.shape, out, **given), out
    except DataError as error:
        if not fork or error.slug != "run-other":
            raise
    again: dict[str, Any] = {"command": command, "parent": out.name, "stop": stop, "tell": tell}
    return evolution_to_folder(work, beside(out), fork=fork, **again)


def write_evolution(
    found: "Evolved",
    work: EvolutionWork,
    out: Path,
    tell: Callable[[str, int, int], None],
    gates: Sequence[Gate] = (),
    stop: Callable[[], bool] | None = None,
    others: Mapping[str, Classifier] | None = None,
) -> dict[str, Any]:
    """Write all that follows from the studies: fooling.csv, rejection.json, fooling.json, flags.json, the page.

    Raises:
        Interrupted: `stop` said so, during the audit of rejection.

    Returns:
        The record of the report, gates judged.
    """
    from amiss.audit.evolution_pages import evolution_record, evolution_rows
    from amiss.audit.rejection_tables import rejection_figures
    from amiss.report import build, card

    disk, about = Disk(), Store(out).about or {}
    disk.write(out / NONSENSE, csv_text(*evolution_rows(found)).encode())
    tell("Asking what the champions stand upon", 0, 1)
    rejected, why = _rejected(found, work, out, tell, stop)
    asked = {model_name(work.config.model): work.classifier, **(others or {})}
    tables = [*_tables(found, work, rejected), *champions_shown(found, asked, out, tell, stop)]
    tell("Writing the report", 0, 1)
    names = {"model": model_name(work.config.model), "data": _data(work.config)}
    names["command"] = str(about.get("command", ""))
    record = evolution_record(found, work.classifier, out, **names, tables=tables)
    record["figures"] |= rejection_figures(rejected)
    record["nonsense"]["notes"] += [f"What rejects it was not asked: {why}."] if why else []
    settled(gates, record, _known(found.evolution))
    build(record, out)
    disk.write(out / CARD, card(record).encode())
    for name, what in {EVOLUTION: record, FLAGS: record["flags"]}.items():
        disk.write(out / name, (json.dumps(what, indent=1, allow_nan=False) + "\n").encode())
    return record


def _known(evolution: "Evolution") -> dict[str, str]:
    from amiss.audit.evolution_pages import evolution_known
    from amiss.audit.rejection_tables import rejection_known

    return evolution_known(evolution) | rejection_known(evolution)


def _rejected(
    found: "Evolved",
    work: EvolutionWork,
    out: Path,
    tell: Callable[[str, int, int], None],
    stop: Callable[[], bool] | None,
) -> tuple[Any, str]:
    """The record of the audit of rejection, and why it was not made; what the folder holds is told in its place."""
    from amiss.audit.evolution_rejection import champions_rejected

    try:
        with open_plain(out / REJECTION, _MOST) as file:
            there = json.load(file)
    except (OSError, ValueError, RecursionError):
        there = None

    def keep(said: Mapping[str, Any]) -> None:
        Disk().write(out / REJECTION, (json.dumps(said, indent=1, allow_nan=False) + "\n").encode())

    said, why = champions_rejected(found, work.classifier, before=there, keep=keep, progress=tell, stop=stop)
    return (there, why) if said is None else (said, "")


def _tables(found: "Evolved", work: EvolutionWork, rejected: Any) -> list[dict[str, Any]]:
    """What else the page tells."""
    from amiss.audit.evolution_tables import ablation_table, related_table
    from amiss.audit.rejection_tables import bypass_table, rejection_table

    made = [ablation_table(found, work.classifier), related_table(found, work.classifier)]
    return [table for table in (*made, rejection_table(rejected), bypass_table(rejected)) if table is not None]


def _made(settings: Mapping[str, Any], **more: Any) -> "Evolution":
    from amiss.audit.evolution import Evolution

    return Evolution(**{**settings, "encodings": tuple(settings["encodings"])}, **more)


def _data(config: RunConfig) -> str:
    return data_name(config.data) if config.data else "no images"


def _shape(config: RunConfig, classifier: Classifier) -> tuple[int, int, int]:
    """The shape of images that --size and --channels tell, or the model itself does."""
    size, channels = config.images.get("size") or classifier.size, config.images.get("channels")
    if size is None or channels is None:
        lacks = [name for name, value in (("--size", size), ("--channels", channels)) if value is None]
        raise UsageError(
            "Without DATA nothing says what images the model takes.",
            slug="fooling-shape",
            seen=f"no DATA, and no {' and no '.join(lacks)}",
            needed="DATA, or --size and --channels",
            hint=f"amiss run {FOOLING} MODEL --size 28 --channels 1",
        )
    return int(channels), int(size), int(size)


def _read(name: str, option: str, text: str) -> Any:
    """The value of one option."""
    wrong = _refused(f"cannot take {option} like this", f"{option} {text}", OPTIONS[name])
    if name == "encodings":
        return [part.strip() for part in text.split(",")]
    if name == "preset":
        if text not in ("modern", "paper-2015"):
            raise wrong
        return text
    if name == "confidence":
        try:
            if 0 < (value := float(text)) < 1:
                return value
        except ValueError:
            pass
        raise wrong
    if name == "no-rejection" or not text.isdecimal() or len(text) > _DIGITS or int(text) < (name != "adaptive"):
        raise wrong
    return int(text)


def _refused(what: str, seen: str, needed: str) -> UsageError:
    return UsageError(
        f"The experiment {FOOLING} {what}.",
        slug="recipe-option",
        seen=seen,
        needed=needed,
        hint="docs/fooling.md says what each option means.",
    )
