"""`amiss run fooling MODEL [DATA]`: the experiment with fooling images, from its options to its report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from amiss.analysis.transfer import keeps
from amiss.classifier import Classifier
from amiss.cli.command import model_name
from amiss.cli.config import RunConfig, is_kind
from amiss.cli.evolution_transfer import champions_shown
from amiss.cli.experiment import (
    Experiment,
    Opened,
    Option,
    Tell,
    count_from,
    listed,
    open_images,
    open_model,
    separated,
)
from amiss.cli.folder import EVOLUTION, NONSENSE, REJECTION
from amiss.cli.settings import FOOLING
from amiss.data.cells import csv_text
from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.errors import UsageError
from amiss.gates import Gate

if TYPE_CHECKING:
    from amiss.audit.evolution import Evolution, EvolutionExperiment, Evolved

__all__ = [
    "FOOLED",
    "OPTIONS",
    "EvolutionWork",
    "evolution_of",
    "evolution_settings",
    "known_of_evolution",
    "open_evolution",
]

_MOST = 2**24  # bytes of rejection.json


@dataclass(frozen=True)
class EvolutionWork(Opened):
    """The experiment with its model and data open."""

    file = EVOLUTION

    experiment: "EvolutionExperiment"

    def attempt(self, other: Classifier) -> object:
        """Show a gray image to a model of `--transfer`."""
        gray = torch.full((1, *self.experiment.shape), 128, dtype=torch.uint8)
        # A bare network knows its classes from its first answer on.
        return keeps(other, gray, torch.tensor([max(0, len(self.classifier.labels or ()) - 1)]))

    def write(
        self,
        found: "Evolved",
        out: Path,
        tell: Tell,
        gates: Sequence[Gate] = (),
        others: Mapping[str, Classifier] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Write fooling.csv, rejection.json, transfer.json, fooling.json, flags.json and the page."""
        from amiss.audit.evolution_pages import evolution_record, evolution_rows
        from amiss.audit.rejection_tables import rejection_figures

        Disk().write(out / NONSENSE, csv_text(*evolution_rows(found)).encode())
        tell("Asking what the champions stand upon", 0, 1)
        rejected, why = _rejected(found, self, out, tell, stop)
        asked = {model_name(self.config.model): self.classifier, **(others or {})}
        tables = [*_tables(found, self, rejected), *champions_shown(found, asked, out, tell, stop)]
        tell("Writing the report", 0, 1)
        record = evolution_record(found, self.classifier, out, **self.names(out), tables=tables)
        record["figures"] |= rejection_figures(rejected)
        record["nonsense"]["notes"] += [f"What rejects it was not asked: {why}."] if why else []
        return self.put(record, out, gates, _known(found.evolution))


def _share(_flag: str, text: str) -> float:
    if not 0 < (value := float(text)) < 1:
        raise ValueError(text)
    return value


def _word(what: str, *words: str) -> Option:
    """An option that is one of some words, the first of them where it is left out."""

    def read(_flag: str, text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Option(what, " or ".join(words), read, lambda value: value in words, words[0])


OPTIONS = {
    "encodings": Option(
        "what the images are made of",
        "one or more of direct, cppn, gradient, direct-gradient and ascent, with commas between",
        separated,
        listed(str),
        ["direct", "cppn", "gradient"],
    ),
    "classes": Option(
        "which classes to fool; all where left out",
        "names or numbers of classes, with commas between",
        separated,
        listed(str),
        [],
    ),
    "generations": count_from(
        1, "of those that evolve, after the first; direct 2000, CPPN 200 where left out", None, optional=True
    ),
    "children": count_from(1, "images a generation; direct 20, CPPN 200 where left out", None, optional=True),
    "steps": count_from(1, "of the gradient and of the ascent, each one gradient a class", 100),
    "confidence": Option(
        "softmax probability that fools",
        "a number between 0 and 1",
        _share,
        lambda value: is_kind(value, int | float),
        0.99,
    ),
    "preset": _word("with which operators it evolves", "modern", "paper-2015"),
    "color": _word("what the outputs of a graph are in color images", "hls", "rgb"),
    "adaptive": count_from(0, "images to show each rule of rejection in a search against it", 0),
    "no-rejection": Option(
        "do not ask what rejects the champions",
        "no value: it stands alone",
        None,
        lambda value: isinstance(value, bool),
        True,
    ),
}
"""What `amiss run fooling` takes beside the options of every run."""

FOOLED = Experiment(
    FOOLING,
    "Make nonsense that MODEL is sure of, for every class and in several encodings; DATA may be left out.",
    "docs/fooling.md",
    OPTIONS,
    {"--encoding": "encodings", "--class": "classes"},
)
"""The experiment as the command line knows it."""


def evolution_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--encodings direct,cppn --generations 200 --children 200`.

    Returns:
        The settings as `config.toml` keeps them: encodings, classes, generations, children, steps, confidence,
        preset, color, adaptive, rejection.

    Raises:
        UsageError: An option that the experiment does not have, or one that cannot be read.
    """
    settings = FOOLED.settings(words)
    _made(settings)
    return settings


def evolution_of(config: RunConfig) -> "Evolution":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
    """
    return _made(FOOLED.checked(config.settings), batch=config.batch, seed=config.seed)


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
    from amiss.audit.evolution import EvolutionExperiment

    evolution, classifier = evolution_of(config), open_model(config, device)
    images = open_images(config, classifier) if config.data else None
    shape = _shape(config, classifier) if images is None else tuple(images.pixels.shape[1:])
    known = config.network.get("accuracy")
    return EvolutionWork(config, EvolutionExperiment(classifier, images, evolution, known, shape=shape))


def _known(evolution: "Evolution") -> dict[str, str]:
    from amiss.audit.evolution_pages import evolution_known
    from amiss.audit.rejection_tables import rejection_known

    return evolution_known(evolution) | rejection_known(evolution)


def _rejected(
    found: "Evolved",
    work: EvolutionWork,
    out: Path,
    tell: Tell,
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

    several = {name: tuple(settings[name]) for name in ("encodings", "classes")}
    return Evolution(**{**settings, **several}, **more)


def _shape(config: RunConfig, classifier: Classifier) -> tuple[int, int, int]:
    """The shape of images that --size and --channels tell, or the model itself does."""
    size = config.images.get("size") or classifier.size
    channels = config.images.get("channels") or classifier.channels
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
