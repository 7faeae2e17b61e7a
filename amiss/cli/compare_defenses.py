"""`amiss compare` of defenses: one table of all of them, before and after, where they were attacked alike."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from amiss.audit.defenses_compared import (
    Contender,
    comparison_record,
    comparison_rows,
    comparison_sentence,
    refuse_other_attacks,
)
from amiss.audit.hardening_pages import HEAD, cells
from amiss.cli.command import shown
from amiss.cli.config import CONFIG, is_kind, read_config
from amiss.cli.defended import damaged, rounds_of, unfinished
from amiss.cli.folder import ROUNDS
from amiss.cli.gates import asked, conclude, settled
from amiss.cli.looking import Look
from amiss.defend.outcome import gains
from amiss.errors import DataError, UsageError
from amiss.report import build

__all__ = ["PLACES", "compare_defenses"]

PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
"""What gates call the defenses, in the order in which they were named."""

_NOT_ASKED = "the defenses were run with --no-worst"


def compare_defenses(
    folders: Sequence[Path],
    seen: Sequence[Look],
    command: str,
    *,
    require: Sequence[str] | None,
    junit: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Print the table, write its page, and hold its figures to gates.

    Args:
        folders: As they were named.
        seen: The same, looked at.
        command: The command that compares them.
        require: Gates.
        junit: Where these go as XML.
        page: Where the page goes; none for nowhere.
        as_json: Print JSON instead of the table.

    Raises:
        UsageError: A defense against nonsense, which no such attack was made on, or defenses attacked otherwise.
        DataError: One is not finished, or damaged.
    """
    found = [_contender(folder, one) for folder, one in zip(folders, seen, strict=True)]
    refuse_other_attacks(found)
    figures: dict[str, float] = {}
    for place, one in zip(PLACES, found, strict=False):
        figures |= {f"{place}.{name}": value for name, value in gains(one.rows).items()}
    known = {f"{place}.robust_worst": _NOT_ASKED for place, _ in zip(PLACES, found, strict=False)}
    record: dict[str, Any] = {"figures": figures}
    verdicts = settled(asked(require, {**dict.fromkeys(figures, ""), **known}), record, known)
    sentence, differing = comparison_sentence(found), _differing(found)
    if page is not None:
        _write(comparison_record(found, command, seen[0].flags or ()), page)
    if as_json:
        rows = [{"name": one.name, "defense": one.defense, "rows": list(one.rows)} for one in found]
        told = {"defenses": rows, "sentence": sentence, "figures": figures, "differing": differing}
        typer.echo(json.dumps({**told, "gates": record["gates"], **({"page": str(page)} if page else {})}))
    else:
        lines = [sentence, *_table(found)]
        lines += [f"{name}: {', '.join(map(str, values))}" for name, values in differing.items()]
        typer.echo("\n".join(shown(line) for line in lines + ([f"Page: {page}"] if page else [])))
    conclude(verdicts, record, junit, quiet=as_json)


def _contender(folder: Path, seen: Look) -> Contender:
    """A finished defense, as its files have it."""
    rows, about = rounds_of(folder), seen.about
    name, recipe = folder.resolve().name, str(about.get("recipe"))
    if "robust_many" not in rows[0]:
        raise UsageError(
            "A defense against nonsense is no part of a table of attacks.",
            slug="compare-kinds",
            seen=f"{folder} is a run of {recipe}",
            needed="defenses against small changes: adversarial-training, logit-pairing, augmentation, safetynet",
            hint=f"amiss show {folder}",
        )
    if not seen.finished:
        raise unfinished(folder, "figures")
    if not (folder / CONFIG).is_file():
        raise unfinished(folder, CONFIG)
    config = read_config(folder)
    settings = {**config.settings, "seed": config.seed}
    if not is_kind(settings.get("eps"), int | float):
        raise damaged(folder, CONFIG, f"eps = {settings.get('eps')!r}")
    gaps = {"accuracy", "robust_few", "robust_many", "images", "cpu_minutes"}
    if (
        len(rows) != 2
        or any(row.get(figure) is None for row in rows for figure in gaps)
        or "robust_worst" not in rows[0]
    ):
        raise damaged(folder, ROUNDS, "rows without their figures")
    model, data = str(about.get("model")), str(about.get("data"))
    return Contender(name, recipe, model, data, about["fingerprints"], settings, rows)


def _differing(found: Sequence[Contender]) -> dict[str, list[Any]]:
    """The settings that all of them have, and not all of them alike: a value for each."""
    shared = [name for name in found[0].settings if all(name in one.settings for one in found)]
    values: Mapping[str, list[Any]] = {name: [one.settings[name] for one in found] for name in shared}
    return {name: told for name, told in values.items() if any(value != told[0] for value in told)}


def _table(found: Sequence[Contender]) -> list[str]:
    """The table in columns, a line a network."""
    rows = [["Network", "Defense", *HEAD]]
    rows += [[name, defense, *cells(row)] for name, defense, row in comparison_rows(found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _write(record: dict[str, Any], page: Path) -> None:
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        build(record, page.parent, page)
    except OSError as error:
        raise DataError(
            f"The page {str(page)!r} cannot be written.",
            slug="out-not-writable",
            seen=error.strerror or str(error),
            needed="a file in a folder that may be written",
            hint="Choose another: --page defenses.html",
        ) from error
