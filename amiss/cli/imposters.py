"""`amiss run feature-opt MODEL DATA`: the experiment with feature adversaries, from its options to its report."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.analysis.transfer import transfer
from amiss.classifier import Classifier
from amiss.cli.command import model_name
from amiss.cli.config import RunConfig
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
from amiss.cli.folder import IMPOSTERS, SWEEP
from amiss.cli.others import keep_matrix, kept_matrix
from amiss.data.cells import csv_text
from amiss.disk import Disk
from amiss.errors import UsageError
from amiss.gates import Gate

if TYPE_CHECKING:
    from amiss.audit.sweep import Sweep, SweepExperiment, Swept

__all__ = ["FEATURE_OPT", "OPTIONS", "SweepWork", "known_of", "open_sweep", "sweep_of", "sweep_settings"]

_DELTA = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(/255)?", re.ASCII)


@dataclass(frozen=True)
class SweepWork(Opened):
    """The experiment with its model and data open."""

    file = SWEEP

    experiment: "SweepExperiment"

    def attempt(self, other: Classifier) -> object:
        """Show one of the images to a model of `--transfer`."""
        one, label = self.experiment.images.pick([0]), self.experiment.images.truth.max().reshape(1)
        return transfer(other, one.pixels, one.pixels, label, label, one.keys())

    def write(
        self,
        found: "Swept",
        out: Path,
        tell: Tell,
        gates: Sequence[Gate] = (),
        others: Mapping[str, Classifier] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Write imposters.csv, transfer.json, imposters.json, flags.json and the page."""
        from amiss.audit.imposter_pages import sweep_known, sweep_record, sweep_rows

        Disk().write(out / IMPOSTERS, csv_text(*sweep_rows(found)).encode())
        shown = _shown(found, self, out, others or {}, tell)
        tell("Writing the report", 0, 1)
        record = sweep_record(found, self.classifier, out, **self.names(out), **shown)
        return self.put(record, out, gates, sweep_known(found.sweep))


def _deltas(flag: str, text: str) -> list[float]:
    return _rising(flag, text, [_levels(flag, part.strip()) for part in text.split(",")])


def _levels(option: str, text: str) -> float:
    """A bound in whole gray levels, 10 or 10/255: a fraction of [0, 1] would be taken for levels, and cut to them."""
    found = _DELTA.fullmatch(text)
    if found is None or not isfinite(levels := float(found[1])):
        raise ValueError(text)
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


OPTIONS = {
    "layers": Option(
        "layers whose features are mimicked",
        "names of layers, from the input on, with commas between",
        separated,
        listed(str),
    ),
    "delta": Option(
        "how far a pixel may move",
        "whole gray levels of 0..255 that a pixel may move by, ascending, with commas between: 5,10,15",
        _deltas,
        listed(int | float),
        [5.0, 10.0, 15.0, 20.0, 25.0],
    ),
    "pairs": count_from(1, "sources and guides", 50),
    "steps": count_from(1, "passes of each search", 50),
    "inverted": count_from(0, "pairs of which every layer is inverted", 2),
}
"""What `amiss run feature-opt` takes beside the options of every run."""

FEATURE_OPT = Experiment(
    "feature-opt",
    "Make imposters: images that look like one image and have another's features, at several layers.",
    "docs/imposters.md",
    OPTIONS,
    {"--layer": "layers", "--deltas": "delta"},
)
"""The experiment as the command line knows it."""


def sweep_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--layers conv2,fc1 --delta 5,10 --pairs 50 --steps 50`.

    Returns:
        The settings as `config.toml` keeps them: layers, delta (in gray levels), pairs, steps, inverted.

    Raises:
        UsageError: An option that the experiment does not have, one that cannot be read, or no layers.
    """
    found = FEATURE_OPT.settings(words)
    if found["layers"] is None:
        seen, hint = " ".join(words) or "no option", "Classifier.layers lists them all."
        raise FEATURE_OPT.refused("needs --layers", seen, "--layers conv2,fc1", hint)
    return found


def sweep_of(config: RunConfig) -> "Sweep":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
    """
    from amiss.audit.sweep import Sweep

    said = FEATURE_OPT.checked(config.settings)
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
    from amiss.audit.sweep import SweepExperiment

    sweep, classifier = sweep_of(config), open_model(config, device)
    images, known = open_images(config, classifier), config.network.get("accuracy")
    return SweepWork(config, SweepExperiment(classifier, images, sweep, known))


def _shown(
    swept: "Swept", work: SweepWork, out: Path, others: Mapping[str, Classifier], tell: Tell
) -> dict[str, Any]:
    """The transfer matrix, measured or as the folder keeps it; empty where there is none."""
    from amiss.audit.transfers import matrix, read_matrix

    if others:
        found = matrix(swept, {model_name(work.config.model): work.classifier, **others}, tell)
        keep_matrix(out, found)
        return {"transfer": found["rows"]}
    kept = read_matrix(kept_matrix(out), swept)
    return {} if kept is None else {"transfer": kept["rows"]}
