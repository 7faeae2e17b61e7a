"""`amiss run attacks MODEL DATA`: the experiment with label attacks, from its options to its report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.analysis.transfer import seen_at, transfer
from amiss.classifier import Classifier
from amiss.cli.command import model_name
from amiss.cli.config import RunConfig, is_kind
from amiss.cli.experiment import (
    Experiment,
    Opened,
    Option,
    Tell,
    count_from,
    listed,
    number_within,
    open_images,
    open_model,
    separated,
)
from amiss.cli.folder import ATTACKED, ATTACKS
from amiss.cli.others import keep_matrix, kept_matrix
from amiss.data.cells import csv_text
from amiss.disk import Disk
from amiss.gates import Gate

if TYPE_CHECKING:
    from amiss.audit.attacks import Attacked, AttackExperiment, Attacks

__all__ = ["BROKEN", "OPTIONS", "AttackWork", "attack_settings", "attacks_of", "known_of_attacks", "open_attacks"]


@dataclass(frozen=True)
class AttackWork(Opened):
    """The experiment with its model and data open."""

    file = ATTACKS

    experiment: "AttackExperiment"

    def attempt(self, other: Classifier) -> object:
        """Show one of the images to a model of `--transfer`, and to the same as it is attacked."""
        one, label = self.experiment.images.pick([0]), self.experiment.images.truth.max().reshape(1)
        seen_at(other, one.pixels.shape[-1]).predict(one.images().to(other.device))
        return transfer(other, one.pixels, one.pixels, label, label, one.keys())

    def write(
        self,
        found: "Attacked",
        out: Path,
        tell: Tell,
        gates: Sequence[Gate] = (),
        others: Mapping[str, Classifier] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Write attacks.csv, transfer.json, attacks.json, flags.json and the page."""
        from amiss.audit.attack_pages import attack_known, attack_record, attack_rows
        from amiss.audit.attack_transfers import attack_matrix, read_attack_matrix

        Disk().write(out / ATTACKED, csv_text(*attack_rows(found)).encode())
        if others:
            own = self.config.model
            clear = model_name(own) not in {model_name(name) for name in others}  # else the others are told in full
            models = {model_name(own) if clear else own: self.classifier, **others}
            kept: dict[str, Any] | None = attack_matrix(found, models, out, tell, stop)
            keep_matrix(out, kept or {})
        else:
            kept = read_attack_matrix(kept_matrix(out), found)
        tell("Writing the report", 0, 1)
        rows = None if kept is None else kept["rows"]
        record = attack_record(found, self.classifier, out, **self.names(out), transfer=rows)
        return self.put(record, out, gates, attack_known(found.attacks))


OPTIONS = {
    # Any number: what is negative, or in units of 0..255, has an error of its own.
    "eps": Option(
        "how far a pixel may move; 8/255 for color and 0.1 for gray where left out",
        "a number above 0 and at most 1: 0.1, or 8/255",
        number_within(-1e9, 1e9),
        lambda value: value is None or is_kind(value, int | float),
    ),
    "recipes": Option(
        "what attacks; all that MODEL's access allows where left out",
        "names of recipes of label attacks, with commas between",
        separated,
        listed(str),
        [],
    ),
    "images": count_from(1, "images to attack, of those that are named rightly", 100),
    "steps": count_from(1, "of PGD", 40),
    "queries": count_from(1, "an image, of each search without gradients", 1000),
}
"""What `amiss run attacks` takes beside the options of every run."""

BROKEN = Experiment(
    "attacks",
    "How little breaks a right answer? Every recipe that MODEL's access allows, and whom else their images break.",
    "docs/attacks.md",
    OPTIONS,
    {"--recipe": "recipes", "--n": "images"},
)
"""The experiment as the command line knows it."""


def attack_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--eps 8/255 --recipes pgd,ddn --images 100 --steps 40 --queries 1000`.

    Returns:
        The settings as `config.toml` keeps them.

    Raises:
        UsageError: An option that the experiment does not have, or one that cannot be read.
    """
    settings = BROKEN.settings(words)
    _made(settings)
    return settings


def attacks_of(config: RunConfig) -> "Attacks":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
    """
    return _made(BROKEN.checked(config.settings), batch=config.batch, seed=config.seed)


def known_of_attacks(config: RunConfig) -> dict[str, str]:
    """Every figure that the experiment of a configuration can have, each with the reason why it may lack it."""
    from amiss.audit.attack_pages import attack_known

    return attack_known(attacks_of(config))


def open_attacks(config: RunConfig, *, device: str | None = None) -> AttackWork:
    """Open model and data.

    Raises:
        UsageError: The settings are none.
        ModelError: The model cannot be opened, or does not take such images.
        DataError: The images cannot be read, or are no match for the model.
        ParityError: The model does not score what its owner says.
    """
    from amiss.audit.attacks import AttackExperiment

    attacks, classifier = attacks_of(config), open_model(config, device)
    images, known = open_images(config, classifier), config.network.get("accuracy")
    return AttackWork(config, AttackExperiment(classifier, images, attacks, known))


def _made(settings: Mapping[str, Any], **more: Any) -> "Attacks":
    from amiss.audit.attack_recipes import Attacks

    recipes = tuple(name.replace("-", "_") for name in settings["recipes"])
    return Attacks(**{**settings, "recipes": recipes}, **more)
