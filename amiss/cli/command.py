"""How a command and what it names are written down: re-runnable, and without the folders of one machine."""

import shlex
from pathlib import Path, PurePath

import typer

from amiss.data import Images
from amiss.errors import DataError

__all__ = ["data_name", "left_out", "model_name", "refuse_file", "shown", "written"]

_ABOUT_OUTPUT = {"out", "page", "overwrite", "quiet", "as_json", "require", "junit"}


def model_name(model: str) -> str:
    """How a report calls a model: without the folders it lies in."""
    return PurePath(model).name


def data_name(data: str) -> str:
    """How a report calls its data: "." and ".." by the names of the folders that they are."""
    return PurePath(data).name.strip(".") or Path(data).resolve().name or "data"


def shown(text: str) -> str:
    """Text for a terminal: what a file's or a class's name could command it to do is written out instead."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def left_out(images: Images, most: int = 10) -> None:
    """Say on stderr which files could not be read: the first ones by name, the others by their number."""
    lost = images.unreadable
    for name, message in lost[:most]:
        typer.echo(shown(f"Left out: {name}: {message}"), err=True)
    if len(lost) > most:
        typer.echo(f"Left out: {len(lost) - most:,} more, {len(lost):,} files in all.", err=True)


def refuse_file(out: Path) -> None:
    """Refuse a file where a folder is to be.

    Raises:
        DataError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise DataError(
            f"{out.name!r} is a file.",
            slug="out-not-folder",
            seen="a file of that name",
            needed="a new folder, or one of an earlier command of this kind",
            hint="Choose another name: --out runs/new",
        )


def written(context: typer.Context) -> str:
    """The command that was given, in words that give its figures again.

    Options that decide only where results go, what is printed and what must be reached are left out, and so are
    those at their default, but for the seed. A path stays as it was given where it is relative. One that is absolute
    is told from the working folder where it lies inside; of others the name alone is kept, for no other machine has
    these folders.
    """
    words = ["amiss", context.command.name or ""]
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        if parameter.param_type_name == "argument":
            several = value if isinstance(value, list | tuple) else [value]
            words += [_portable(str(part)) for part in several if part is not None]
        elif name == "seed" or (name not in _ABOUT_OUTPUT and value != parameter.default):
            flag = max(parameter.opts, key=len)
            parts = str(value).split(",") if name == "transfer" else [str(value)]  # several paths
            if value is False:  # a flag that is on may be said off
                words += [max(parameter.secondary_opts, key=len)]
                continue
            words += [flag] if value is True else [flag, ",".join(map(_portable, parts))]
    return shlex.join([*words, *map(_portable, context.args)])


def _portable(text: str) -> str:
    """A path without folders of this machine's own; a function after a colon goes with it."""
    strips = "strips:" if text.startswith("strips:") else ""
    path, here = PurePath(text.removeprefix(strips)), Path.cwd()
    if not path.is_absolute():
        return text
    return strips + (str(path.relative_to(here)) if path.is_relative_to(here) else path.name)
