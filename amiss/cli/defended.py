"""A finished defense as it lies in its folder: its rounds as a table, and table, drawing and page made anew."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amiss.cli.folder import ROUNDS
from amiss.data.guards import open_plain
from amiss.defend import Row, rounds_svg, table_of
from amiss.disk import Disk
from amiss.errors import DataError
from amiss.report import build

__all__ = [
    "CURVE",
    "PAGE",
    "TABLE",
    "damaged",
    "remade",
    "rounds_csv",
    "rounds_of",
    "unfinished",
    "write_page",
    "write_rounds",
]

TABLE, CURVE, PAGE = "rounds.csv", "rounds.svg", "page.json"
_MOST = 2**26  # bytes of a file that is read


def write_rounds(out: Path, record: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the record, the table and, of a defense against nonsense, the drawing of the rounds so far.

    Args:
        out: The run folder.
        record: What `rounds.json` shall hold.
        rows: A row a network.
    """
    disk = Disk()
    disk.write(out / ROUNDS, _json(record))
    disk.write(out / TABLE, table_of(rows).encode())
    if "evaluations_median" in rows[0]:  # else it is no search that the rounds made dearer
        disk.write(out / CURVE, rounds_svg(rows).encode())


def write_page(out: Path, page: dict[str, Any]) -> None:
    """Write the report, and what it is made of beside it.

    Args:
        out: The run folder, which holds the pictures.
        page: The record of the report.
    """
    build(page, out)
    Disk().write(out / PAGE, _json(page))


def rounds_csv(folder: Path) -> str:
    """The rounds as `rounds.csv` has them, those of an unfinished defense so far.

    Args:
        folder: The run folder.

    Raises:
        DataError: There are none that can be read.
    """
    return table_of(rounds_of(folder))


def rounds_of(folder: Path) -> list[Row]:
    """The rows that `rounds.json` has.

    Args:
        folder: The run folder.

    Raises:
        DataError: There are none that can be read.
    """
    return _rows(folder, _read(folder, ROUNDS))


def remade(folder: Path) -> None:
    """Write table, drawing and page of a finished defense anew, from `rounds.json`, `page.json` and the pictures.

    Args:
        folder: The run folder.

    Raises:
        DataError: It is not finished, or one of these files is missing or damaged.
    """
    record, page = _read(folder, ROUNDS), _read(folder, PAGE)
    rows = _rows(folder, record)
    try:
        build(page, folder)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise damaged(folder, PAGE, repr(error)) from error
    write_rounds(folder, record, rows)


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        with open_plain(folder / name, _MOST) as file:
            said = json.load(file)
        if not isinstance(said, dict):
            raise ValueError(f"{type(said).__name__} instead of an object")
        return said
    except FileNotFoundError as error:
        raise unfinished(folder, name) from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder, name, str(error)) from error


def _rows(folder: Path, record: Mapping[str, Any]) -> list[Row]:
    rows = record.get("rows")
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        names = rows[0].keys()
        if all(row.keys() == names and all(map(_figure, row.values())) for row in rows):
            return rows
    raise damaged(folder, ROUNDS, "rows that are no rows of figures")


def _figure(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def unfinished(folder: Path, name: str) -> DataError:
    """What is raised where a defense lacks a file or figures that come at its end."""
    return DataError(
        f"The defense in {str(folder)!r} has no {name} yet.",
        slug="defend-unfinished",
        seen=f"no {name}",
        needed="a defense that came to its end",
        why="it was stopped, the file was removed, or an older version made it",
        hint="The command that made it goes on, and writes all that is missing; `amiss show DIR` names it.",
    )


def damaged(folder: Path, name: str, seen: str) -> DataError:
    """What is raised where a file of a defense holds something else."""
    return DataError(
        f"{name} in {str(folder)!r} is damaged.",
        slug="run-damaged",
        seen=seen[:200],
        needed="what amiss wrote there",
        why="it was edited, or the disk is damaged",
        hint="Give the whole command once more; what is finished in the folder is kept.",
    )


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()
