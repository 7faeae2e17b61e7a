"""`amiss run feature-opt MODEL DATA`: the experiment with feature adversaries, from its options to its report."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.analysis.transfer import transfer
from amiss.classifier import Classifier
from amiss.cli.command import data_name, model_name
from amiss.cli.config import RunConfig, is_kind
from amiss.cli.flags import FLAGS
from amiss.cli.folder import CARD, IMPOSTERS, SWEEP, beside
from amiss.cli.gates import settled
from amiss.cli.model import named
from amiss.cli.others import keep_matrix, kept_matrix
from amiss.data import Images, open_data
from amiss.data.cells import csv_text
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.gates import Gate
from amiss.loading import check_fit
from amiss.study import Store

if TYPE_CHECKING:
    from amiss.audit.sweep import Sweep, Swept

__all__ = [
    "OPTIONS",
    "SweepWork",
    "known_of",
    "open_sweep",
    "refuse_idle",
    "run_to_folder",
    "sweep_of",
    "sweep_settings",
    "try_other",
    "write_sweep",
]

OPTIONS = {
    "layers": "names of layers, from the input on, with commas between",
    "delta": "whole gray levels of 0..255 that a pixel may move by, ascending, with commas between: 5,10,15",
    "pairs": "a whole number of 1 or more",
    "steps": "a whole number of 1 or more",
    "inverted": "a whole number of 0 or more",
}
"""What `amiss run feature-opt` takes beside the options of every run, and in which words."""

_DIGITS = 15  # of a count: far more than can be counted, and exact in every format
_DELTA = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(/255)?", re.ASCII)


@dataclass(frozen=True)
class SweepWork:
    """The experiment with its model and data open.

    Attributes:
        config: What was asked.
        sweep: The same, as the experiment takes it.
        classifier: Whose features are mimicked.
        images: Labeled images.
    """

    config: RunConfig
    sweep: "Sweep"
    classifier: Classifier
    images: Images

    @property
    def given(self) -> dict[str, Any]:
        """What every function that makes or reads the experiment is given beside classifier, images and folder."""
        return {"sweep": self.sweep, "accuracy": self.config.network.get("accuracy")}


def _all(kind: Any) -> Callable[[Any], bool]:
    return lambda value: is_kind(value, list) and all(is_kind(part, kind) for part in value)


def _is_count(value: Any) -> bool:
    return is_kind(value, int) and len(str(abs(value))) <= _DIGITS


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "layers": _all(str),
    "delta": _all(int | float),
    **dict.fromkeys(("pairs", "steps", "inverted"), _is_count),
}
"""Whether a setting of config.toml is of its kind; what it may be, `Sweep` knows."""


def sweep_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--layers conv2,fc1 --delta 5,10 --pairs 50 --steps 50`.

    Returns:
        The settings as `config.toml` keeps them: layers, delta (in gray levels), pairs, steps, inverted.

    Raises:
        UsageError: An option that the experiment does not have, one that cannot be read, or no layers.
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        name = {"--layer": "layers", "--deltas": "delta"}.get(option, option.removeprefix("--"))
        if not option.startswith("--") or name not in OPTIONS:
            raise _refused(f"has no option {option!r}", option, f"one of {', '.join(f'--{o}' for o in OPTIONS)}")
        if not equals:
            if not rest:
                raise _refused(f"cannot take {option} like this", f"{option} and nothing after it", OPTIONS[name])
            value = rest.pop(0)
        found[name] = _read(name, option, value)
    if "layers" not in found:
        needed = "--layers conv2,fc1"
        raise _refused("needs --layers", " ".join(words) or "no option", needed, "Classifier.layers lists them all")
    return {"delta": [5.0, 10.0, 15.0, 20.0, 25.0], "pairs": 50, "steps": 50, "inverted": 2, **found}


def refuse_idle(options: Mapping[str, Any]) -> None:
    """Refuse options of `amiss run` that the experiment does not heed, where they are given.

    Raises:
        UsageError: One is.
    """
    if idle := [name for name, value in options.items() if value]:
        raise _refused(
            f"does not heed {idle[0]}", ", ".join(idle), "its own options: --layers, --delta, --pairs, --steps"
        )


def sweep_of(config: RunConfig) -> "Sweep":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
    """
    from amiss.audit.sweep import Sweep

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
    layers, deltas = tuple(said["layers"]), tuple(float(level) / 255 for level in said["delta"])
    counts = {name: said[name] for name in ("pairs", "steps", "inverted")}
    return Sweep(layers, deltas, **counts, batch=config.batch, seed=config.seed)


def known_of(config: RunConfig) -> dict[str, str]:
    """Every figure that the experiment of a configuration can have, each with the reason why it may lack it."""
    from amiss.audit.imposter_pages import sweep_known

    return sweep_known(sweep_of(config))


def open_sweep(config: RunConfig, *, device: str | None = None) -> SweepWork:
    """Open model and data.

    Raises:
        UsageError: The settings are none.
        ModelError: The model cannot be opened, or does not take such images.
        DataError: The images cannot be read, or are no match for the model.
        ParityError: The model does not score what its owner says.
    """
    sweep, network = sweep_of(config), config.network
    preprocessing: dict[str, Any] = {name: network.get(name) for name in ("mean", "std", "head", "weights")}
    classifier = named(config.model, device=device, **preprocessing)
    images = open_data(config.data, **{"size": classifier.size, **config.images}, seed=config.seed)
    check_fit(classifier, images)
    if (accuracy := network.get("accuracy")) is not None:
        classifier.check(images.pixels, images.truth, accuracy=accuracy, batch=config.batch)
    return SweepWork(config, sweep, classifier, images)


def run_to_folder(
    work: SweepWork,
    out: Path,
    *,
    command: str,
    parent: str = "",
    fork: bool = False,
    stop: Callable[[], bool],
    tell: Callable[[str, int, int], None],
) -> tuple["Swept", Path]:
    """Run the experiment to its end; with `fork`, beside a run of something else that holds the folder.

    Returns:
        What was found, and the folder that it lies in.
    """
    from amiss.audit.sweep import run_sweep

    config = work.config
    about: dict[str, Any] = {"model": model_name(config.model), "data": data_name(config.data), "command": command}
    about |= {"parent": parent} if parent else {}
    given = {**work.given, "progress": tell, "stop": stop, "about": about, "settings": config.text(out)}
    try:
        return run_sweep(work.classifier, work.images, out, **given), out
    except DataError as error:
        if not fork or error.slug != "run-other":
            raise
    again: dict[str, Any] = {"command": command, "parent": out.name, "stop": stop, "tell": tell}
    return run_to_folder(work, beside(out), fork=fork, **again)


def write_sweep(
    swept: "Swept",
    work: SweepWork,
    out: Path,
    tell: Callable[[str, int, int], None],
    gates: Sequence[Gate] = (),
    others: Mapping[str, Classifier] | None = None,
) -> dict[str, Any]:
    """Write all that follows from the studies: imposters.csv, transfer.json, imposters.json, flags.json, the page.

    Args:
        swept: What was found.
        work: With model and data.
        out: Run folder.
        tell: Told what is being done.
        gates: What the run must reach.
        others: Models that the imposters are shown to; transfer.json keeps what they say. Where none is given, what
            it holds of these very images is told again.

    Returns:
        The record of the report, gates judged.
    """
    from amiss.audit.imposter_pages import sweep_known, sweep_record, sweep_rows
    from amiss.report import build, card

    disk, about = Disk(), Store(out).about or {}
    disk.write(out / IMPOSTERS, csv_text(*sweep_rows(swept)).encode())
    shown = _shown(swept, work, out, others or {}, tell)
    tell("Writing the report", 0, 1)
    names = {"model": model_name(work.config.model), "data": data_name(work.config.data)}
    record = sweep_record(swept, work.classifier, out, **names, command=str(about.get("command", "")), **shown)
    settled(gates, record, sweep_known(swept.sweep))
    build(record, out)
    disk.write(out / CARD, card(record).encode())
    for name, what in {SWEEP: record, FLAGS: record["flags"]}.items():
        disk.write(out / name, (json.dumps(what, indent=1, allow_nan=False) + "\n").encode())
    return record


def try_other(images: Images) -> Callable[[Classifier], object]:
    """Shows one of the images to a model of `--transfer`, as the experiment will show its imposters."""
    one, label = images.pick([0]), images.truth.max().reshape(1)
    return lambda classifier: transfer(classifier, one.pixels, one.pixels, label, label, one.keys())


def _shown(
    swept: "Swept",
    work: SweepWork,
    out: Path,
    others: Mapping[str, Classifier],
    tell: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """The transfer matrix, measured or as the folder keeps it; empty where there is none."""
    from amiss.audit.transfers import matrix, read_matrix

    if others:
        found = matrix(swept, {model_name(work.config.model): work.classifier, **others}, tell)
        keep_matrix(out, found)
        return {"transfer": found["rows"]}
    kept = read_matrix(kept_matrix(out), swept)
    return {} if kept is None else {"transfer": kept["rows"]}


def _read(name: str, option: str, text: str) -> Any:
    """The value of one option."""
    wrong = _refused(f"cannot take {option} like this", f"{option} {text}", OPTIONS[name])
    if name == "layers":
        layers = [part.strip() for part in text.split(",")]
        if not all(layers):
            raise wrong
        return layers
    if name == "delta":
        return _rising(option, text, [_levels(option, part.strip(), wrong) for part in text.split(",")])
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < (name != "inverted"):
        raise wrong
    return int(text)


def _levels(option: str, text: str, wrong: UsageError) -> float:
    """A bound in whole gray levels, 10 or 10/255: a fraction of [0, 1] would be taken for levels, and cut to them."""
    found = _DELTA.fullmatch(text)
    if found is None or not isfinite(levels := float(found[1])):
        raise wrong
    if not levels.is_integer():
        share = levels < 1 and found[2] is None
        meant = 255 * levels if share else levels
        raise UsageError(
            "The bound is told in whole gray levels of 0..255, as the paper tells it.",
            slug="delta-units",
            seen=f"{option} {text}",
            needed="a whole number from 1 to 255, or so many parts of 255: 10, or 10/255",
            why=f"a bound in [0, 1], as Python takes it: {text} is {meant:.3g} gray levels" if share else "",
            hint=f"{option} {min(255, max(1, round(meant)))}",
        )
    return levels


def _rising(option: str, text: str, levels: list[float]) -> list[float]:
    """The bounds, refused in the user's own words where they do not ascend from above 0 to 255."""
    high = [level for level in levels if level > 255]
    if high or any(a >= b for a, b in pairwise((0, *levels))):
        fit = sorted({level for level in levels if 0 < level <= 255}) or [10]
        raise UsageError(
            f"A bound of {high[0]:g} is above 255, the most that a pixel can move."
            if high
            else "The bounds of imposters must ascend from above 0, each named once.",
            slug="sweep-deltas",
            seen=f"{option} {text}",
            needed="whole gray levels from 1 to 255, each larger than the one before",
            hint=f"{option} {','.join(f'{level:g}' for level in fit)}",
        )
    return levels


def _refused(
    what: str, seen: str, needed: str, hint: str = "docs/imposters.md says what each option means"
) -> UsageError:
    return UsageError(
        f"The experiment feature-opt {what}.", slug="recipe-option", seen=seen, needed=needed, hint=f"{hint}."
    )
