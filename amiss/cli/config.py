"""What `amiss run` was asked, as a file that asks it again: config.toml, without the folders of one machine."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from amiss.cli.settings import EXPERIMENT, refuse_misfit
from amiss.data.guards import open_plain
from amiss.errors import DataError, UsageError
from amiss.recipes import RECIPES
from amiss.study.toml import to_toml

__all__ = [
    "CONFIG",
    "RunConfig",
    "goes_on",
    "is_kind",
    "read_config",
    "trusted",
]

CONFIG, _MOST = "config.toml", 2**20
_WORDS = re.compile("(digits|faces|scenes|(faces|scenes|timm|torchvision):.*|strips:(cells|digit-movies))")
"""Names of models and data that are no paths."""
_REAL = int | float
_TABLES: dict[str, dict[str, Any]] = {
    "images": {
        **dict.fromkeys(("split", "label", "table"), str),
        **dict.fromkeys(("size", "channels", "limit"), int),
    },
    "network": {
        **dict.fromkeys(("head", "weights", "decoder", "judge", "transfer"), str),
        "mean": list,
        "std": list,
        "accuracy": _REAL,
    },
    "budget": {"steps": int, "queries": int, "seconds": _REAL},
}
"""What each table of settings may hold, and of which kind."""


@dataclass(frozen=True)
class RunConfig:
    """One run, resolved.

    Attributes:
        recipe: Its name; "audit", "digits" or "demo" for an audit.
        model: MODEL, as given; empty where the recipe brings its own.
        data: DATA, likewise; empty where an experiment needs none.
        seed: Of everything drawn.
        batch: Rows a pass.
        frames: Images to keep of each path.
        settings: Of the recipe, or of the audit's plan.
        images: How DATA is opened: split, size, channels, limit, label, table.
        network: How MODEL is opened: mean, std, head, weights, decoder, judge, accuracy; and transfer, the other
            models of the experiment with imposters, with commas between.
        budget: Limits beside the recipe's own: steps, queries, seconds.
    """

    recipe: str
    model: str
    data: str
    seed: int = 0
    batch: int = 64
    frames: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)

    def moved(self, base: Path, to: Path) -> "RunConfig":
        """The same run with its paths written from another folder."""

        def move(word: Any) -> Any:
            if not word or _WORDS.fullmatch(str(word)):
                return word
            path, colon, name = str(word).rpartition(":") if ".py:" in str(word) else (str(word), "", "")
            strips = "strips:" if path.startswith("strips:") else ""
            place = os.path.relpath(base / os.path.expanduser(path.removeprefix(strips)), to)
            return f"{strips}{Path(place).as_posix()}{colon}{name}"

        network = {k: move(v) if k in ("weights", "decoder", "judge") else v for k, v in self.network.items()}
        if "transfer" in network:
            network["transfer"] = ",".join(move(part.strip()) for part in network["transfer"].split(","))
        images = {k: move(v) if k == "table" else v for k, v in self.images.items()}
        settings = {k: move(v) if k == "mask" else v for k, v in self.settings.items()}
        tables: dict[str, Any] = {"images": images, "network": network, "settings": settings}
        return replace(self, model=move(self.model), data=move(self.data), **tables)

    def text(self, folder: Path) -> str:
        """The file for a run folder, its paths relative to that."""
        moved = self.moved(Path(), folder)
        # TOML has no word for None, and leaving it out would give the default back.
        settings = {name: "none" if value is None else value for name, value in moved.settings.items()}
        return to_toml(asdict(replace(moved, settings=settings)))


def read_config(folder: Path) -> RunConfig:
    """The run that a folder was begun with, its paths as seen from here.

    Raises:
        DataError: There is none, or it is not what amiss wrote.
    """
    path = folder / CONFIG
    try:
        with open_plain(path, _MOST) as file:
            said = tomllib.load(file)
        # Paths were written as seen from where the folder lies, and not from a link to it.
        return _checked(RunConfig(**said)).moved(folder.resolve() if folder.is_symlink() else folder, Path())
    except FileNotFoundError as error:
        raise DataError(
            f"No run of a recipe lies in {str(folder)!r}.",
            slug="run-missing",
            seen=f"no {CONFIG}" if folder.is_dir() else "no such folder",
            needed="a folder that `amiss run RECIPE MODEL DATA --out` made",
            why="a typing mistake, or the folder of an audit, which goes on by its own command",
            hint="amiss run RECIPE MODEL DATA --out DIR",
        ) from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{CONFIG} in {str(folder)!r} is damaged.",
            slug="run-damaged",
            seen=str(error).partition("\n")[0][:200],
            needed="what amiss wrote there",
            why="it was edited, or the disk is damaged",
            hint="Give the whole command once more; what is finished in the folder is kept.",
        ) from error


def _checked(config: RunConfig) -> RunConfig:
    """The same, once it is known to be of the kinds that `RunConfig` says, and to set what there is to set.

    Raises:
        ValueError: It is not.
    """
    for part in fields(config):
        kind = str if part.type is str else int if part.type is int else Mapping
        if not is_kind(value := getattr(config, part.name), kind):
            raise ValueError(f"{part.name} = {value!r}")
    if config.batch < 1 or config.frames < 0:
        raise ValueError(f"batch = {config.batch}, frames = {config.frames}")
    settings = {name: None if value == "none" else value for name, value in config.settings.items()}
    if config.recipe in RECIPES and config.recipe != EXPERIMENT:
        refuse_misfit(RECIPES[config.recipe], settings)
    for table, kinds in _TABLES.items():
        if config.recipe == "demo" and table == "images":  # so many drawn faces, and nothing else
            kinds = {"n": int}
            if "n" not in config.images:
                raise ValueError("images.n is missing")
        for name, value in getattr(config, table).items():
            if name not in kinds:
                raise ValueError(f"an unknown setting of {table}, {name!r}")
            if not is_kind(value, kinds[name]) or (
                kinds[name] is list and not all(is_kind(part, _REAL) for part in value)
            ):
                raise ValueError(f"{table}.{name} = {value!r}")
    return replace(config, settings=settings)


def is_kind(value: Any, kind: Any) -> bool:
    """Whether a value of a file is of a kind; truth is no number, and a number is finite and fits into 64 bits.

    Args:
        value: What the file says.
        kind: A type, or several.
    """
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    return not isinstance(value, int | float) or abs(value) < 2**63


def goes_on(config: RunConfig, folder: Path) -> str:
    """The command that goes on with a run: it names what is Python code, and the models of --transfer."""
    model = f" {config.model}" if ".py:" in config.model else ""
    others = config.network.get("transfer")
    return f"amiss run {folder}{model}" + (f" --transfer {others}" if others else "")


def trusted(said: str, given: str | None, folder: Path, hint: str) -> str:
    """A model that a run folder names; where that is Python code, only as the user names it.

    Args:
        said: What `config.toml` says.
        given: What the user says.
        folder: The run folder.
        hint: The command that names it.

    Raises:
        UsageError: Code that was not named.
    """
    if given is not None:
        return given
    if ".py:" in said:
        raise UsageError(
            "The model of this run is Python code, and code is not run because a file says so.",
            slug="run-code",
            seen=f"{said!r} in {CONFIG} of {folder.name}",
            needed="the model, named by you",
            hint=hint,
        )
    return said
