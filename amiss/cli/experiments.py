"""The experiments of `amiss run`: for each what it is asked, how its settings are read, and how it is opened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from amiss.cli.attacks import BROKEN, attack_settings, known_of_attacks, open_attacks
from amiss.cli.camera import FILMING, camera_settings, known_of_camera, open_camera
from amiss.cli.config import RunConfig
from amiss.cli.evolution import FOOLED, evolution_settings, known_of_evolution, open_evolution
from amiss.cli.experiment import Experiment, Opened
from amiss.cli.imposters import FEATURE_OPT, known_of, open_sweep, sweep_settings
from amiss.cli.settings import ATTACKS, CAMERA, EXPERIMENT, FOOLING

__all__ = ["EXPERIMENTS", "Entry"]


@dataclass(frozen=True)
class Entry:
    """How the command line comes from the words of an experiment to its work.

    Attributes:
        asks: Its name, its page and its options.
        settings: What `config.toml` keeps, of the words after MODEL and DATA.
        known: Every figure that a configuration can have, each with the reason why it may lack it.
        opened: The experiment with its model and data open, of a configuration and a device.
        alone: Whether DATA may be left out.
    """

    asks: Experiment
    settings: Callable[[Sequence[str]], dict[str, Any]]
    known: Callable[[RunConfig], dict[str, str]]
    opened: Callable[..., Opened]
    alone: bool = False


EXPERIMENTS: Mapping[str, Entry] = MappingProxyType(
    {
        EXPERIMENT: Entry(FEATURE_OPT, sweep_settings, known_of, open_sweep),
        FOOLING: Entry(FOOLED, evolution_settings, known_of_evolution, open_evolution, alone=True),
        CAMERA: Entry(FILMING, camera_settings, known_of_camera, open_camera),
        ATTACKS: Entry(BROKEN, attack_settings, known_of_attacks, open_attacks),
    }
)
"""By the name that `config.toml` has for them; `amiss.cli.settings.EXPERIMENTS` lists the same names."""
