"""`amiss show DIR`: what a run is, how far it is, and whether its successes hold; its table, its papers, its page."""

import json
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from amiss.citations import bibtex
from amiss.cli.command import shown
from amiss.cli.config import CONFIG, RunConfig, goes_on, read_config, trusted
from amiss.cli.defended import remade, rounds_csv
from amiss.cli.device import usable
from amiss.cli.flags import told_flags
from amiss.cli.looking import Look, look
from amiss.cli.progress import showing
from amiss.cli.remaking import Checked, checked, rebuilt
from amiss.data.cells import csv_text
from amiss.errors import DataError, UsageError

__all__ = ["show"]

_NAMED = 10  # successes that do not hold, by name in a message
_SUCCESSES = {"feature_opt": "imposters", "label_opt": "label adversaries", "invert": "inversions"}
"""What a success of the experiment is, by the recipe of its study."""


def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a run folder")],
    open_page: Annotated[bool, typer.Option("--open", help="open its report in the browser")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print one row a sample, finished or not")] = False,
    papers: Annotated[bool, typer.Option("--bibtex", help="print the papers of the recipes that it used")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="judge every success by its file once more")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="remake tables, flags, images and report")] = False,
    model: Annotated[str | None, typer.Option(help="for --verify and --rebuild, where MODEL is Python code")] = None,
    judge: Annotated[str | None, typer.Option(help="likewise, where the judge of an audit is")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print all of it as JSON")] = False,
) -> None:
    """Say what a run is and how far it is, from its ledger and shards; no model is loaded for that.

    --verify judges every success by its file once more and changes nothing; one that does not hold ends with code 1.
    --rebuild remakes what follows from the shards. Both want the model; Python code must be named by --model.
    Of a defense, --csv prints a row a network, and --rebuild remakes table, drawing and page without the model.
    """
    wishes = {"--open": open_page, "--csv": as_csv, "--bibtex": papers, "--verify": verify, "--rebuild": rebuild}
    _refuse([name for name, wish in wishes.items() if wish], as_json, model or judge)
    seen = look(folder)
    device = None if device is None else usable(device)
    if rebuild and _defense(seen):
        remade(folder)
        seen = look(folder)
    elif verify or rebuild:
        config = _config(seen, model, judge, "verify" if verify else "rebuild")
        with showing(quiet or as_json) as tell:
            if verify:
                found, whole = checked(config, folder, device, tell)
            else:
                rebuilt(config, folder, device, tell)
                seen = look(folder)
        if verify:
            _conclude(seen, found, whole, as_json)
            return
    if as_csv:
        text = _csv(seen)
        # A file gets the cells as they are; a terminal is commanded by none of them.
        sys.stdout.write("\n".join([*map(shown, text.splitlines()), ""]) if sys.stdout.isatty() else text)
    elif papers:
        typer.echo(bibtex(*_references(seen)))
    elif open_page:
        page = _page(seen)
        opened = webbrowser.open(page.resolve().as_uri())
        typer.echo(f"Report: {page}" if opened else f"No browser was found here. Report: {page}")
    elif as_json:
        typer.echo(json.dumps(seen.to_json()))
    else:
        typer.echo("\n".join(shown(line) for line in _lines(seen)))


def _refuse(asked: list[str], as_json: bool, code: str | None) -> None:
    """One thing at a time, and a model only where one is used.

    Raises:
        UsageError: Options that do not go together.
    """
    alone = as_json and asked and asked[0] not in ("--verify", "--rebuild")
    idle = code is not None and not {"--verify", "--rebuild"} & set(asked)
    if len(asked) > 1 or alone or idle:
        raise UsageError(
            "These options do not go together."
            if not idle
            else "A model is loaded for --verify and --rebuild alone.",
            slug="show-options",
            seen=" ".join([*asked, *["--json"] * bool(alone), *["--model or --judge"] * idle]),
            needed="one of --open, --csv, --bibtex, --verify, --rebuild, or none of them",
            hint="amiss show DIR --verify --model nets.py:build",
        )


def _config(seen: Look, model: str | None, judge: str | None, wish: str) -> RunConfig:
    """The settings of a run, its code only where the user names it.

    Raises:
        DataError: There are none.
        UsageError: Code that was not named.
    """
    folder = seen.folder
    if _defense(seen):
        raise DataError(
            "A defense has no successes that could be judged by their files.",
            slug="run-settings-missing",
            seen=f"a defense in {folder}",
            needed="a run or an audit",
            hint="amiss check judges the hardened network; amiss show DIR --rebuild remakes the page.",
        )
    if not (folder / CONFIG).is_file():
        inner = folder.parent.name == "studies"
        raise DataError(
            "This run does not say which model and data it was made with.",
            slug="run-settings-missing",
            seen=f"no {CONFIG} in {folder}",
            needed="a run that a command made",
            why="it is one study of an audit" if inner else "it was made in Python, where its Study knows them",
            hint=f"amiss show {folder.parent.parent} --{wish}" if inner else "amiss.study.check.failing(study)",
        )
    config = read_config(folder)
    named = trusted(config.model, model, folder, f"amiss show {folder} --{wish} --model {config.model}")
    network = dict(config.network)
    if "judge" in network and wish == "verify":
        del network["judge"]  # it has no part in what a success is
    elif "judge" in network:
        hint = f"amiss show {folder} --{wish} --model {named} --judge {network['judge']}"
        network["judge"] = trusted(network["judge"], judge, folder, hint)
    return replace(config, model=named, network=network)


def _conclude(seen: Look, found: Checked, whole: bool, as_json: bool) -> None:
    """Say which successes hold.

    Raises:
        DataError: One does not.
    """
    lost = [
        {"study": name, "sample": i, "name": study.inputs.names[i], "why": why}
        for name, (study, failed) in found.items()
        for i, why in failed
    ]
    parts = [part for name, part in seen.studies.items() if name in found] if seen.audit else [seen]
    entries = [entry for part in parts for entry in (*part.entries, *part.found.spoiled)]
    n = sum(entry.outcome.met for entry in entries)
    kinds = _kinds(parts) if seen.about.get("kind") == "imposters" else {}
    if as_json:
        told = {"successes": n, **({"kinds": kinds} if kinds else {}), "whole": whole}
        typer.echo(json.dumps({**told, "failing": lost, "damage": seen.damage}))
    else:
        typer.echo("".join(shown(f"Damaged, and not believed: {text}") + "\n" for text in seen.damage), nl=False)
        for row in lost:
            typer.echo(shown(f"{row['study']}: {row['name']} (sample {row['sample']}): {row['why']}"))
        if not whole:
            typer.echo("This run is not finished, or an image of it is gone: studies after that were not judged.")
    if lost:
        names = ", ".join(str(row["name"]) for row in lost[:_NAMED])
        raise DataError(
            f"{len(lost):,} of {n:,} successes do not hold.",
            slug="run-unverified",
            seen=names + (f" and {len(lost) - _NAMED:,} more" if len(lost) > _NAMED else ""),
            needed="files that hold what the ledger says of them",
            why="files were changed, or the model answers otherwise here",
            hint=f"amiss show {seen.folder} --rebuild remakes images from the shards.",
        )
    if not as_json:
        words = ", ".join(f"{k:,} {kind}" for kind, k in kinds.items())
        what = f"successes ({words})" if kinds else "successes"
        held = f"All {n:,} {what} hold: each was read from its file and judged again."
        typer.echo(held if n else "There was no success to judge.")


def _kinds(parts: list[Look]) -> dict[str, int]:
    """How many successes of the experiment are what, imposters first: inversions prove no imposter."""
    found = {"imposters": 0}
    for part in parts:
        kind = _SUCCESSES.get(str(part.about.get("recipe")), "others")
        met = sum(entry.outcome.met for entry in (*part.entries, *part.found.spoiled))
        found[kind] = found.get(kind, 0) + met
    return found


def _csv(seen: Look) -> str:
    """results.csv as the ledger gives it now; for an audit that of every study, with a column that names it."""
    if _defense(seen):
        return rounds_csv(seen.folder)
    if not seen.audit:
        return csv_text(*seen.rows())
    tables = {name: part.rows() for name, part in seen.studies.items()}
    columns = list(dict.fromkeys(column for head, _ in tables.values() for column in head))
    rows = []
    for name, (head, table) in tables.items():
        for row in table:
            cells = dict(zip(head, row, strict=True))
            rows.append([name, *(cells.get(column, "") for column in columns)])
    return csv_text(["study", *columns], rows)


def _defense(seen: Look) -> bool:
    return bool(seen.about.get("kind") == "defense")


def _references(seen: Look) -> list[str]:
    if not seen.references:
        raise DataError(
            "Which papers this run used is not known.",
            slug="run-recipe",
            seen=f"recipe {seen.about.get('recipe')!r}",
            needed="a run of a recipe, or an audit with a study",
            why="a study made in Python without a recipe's name, or an audit that has not come so far",
            hint='In Python: Study(..., about={"recipe": "pgd"})',
        )
    return seen.references


def _page(seen: Look) -> Path:
    page = seen.folder / "report.html"
    if not page.is_file():
        raise DataError(
            "This run has no report.",
            slug="run-no-report",
            seen=f"no report.html in {seen.folder}",
            needed="a run that came to its end",
            why="" if seen.finished else "it was stopped before its end",
            hint=f"amiss show {seen.folder} --rebuild" if seen.finished else _on(seen),
        )
    return page


def _lines(seen: Look) -> list[str]:
    """What is printed of a run."""
    about = seen.about
    title = "audit" if about.get("kind") == "audit" else str(about.get("recipe", "a study"))
    words = [f"{title} on {about['model']}, {about['data']}" if "model" in about else title]
    words += [str(about["command"])] if about.get("command") else []
    if seen.audit:
        record = seen.record or {}
        words += [str(record["sentence"])] if "sentence" in record else []
        for name, part in seen.studies.items():
            words.append(f"  {name}: {_told(part)}")
    else:
        words.append(_told(seen))
    words += [f"  {name} {value:.6g}" for name, value in seen.figures.items()]
    for gate in (seen.record or {}).get("gates", []):
        words.append(f"{'met' if gate['met'] else 'not met'}: {gate['text']}")
    words += ["Trust: not measured yet."] if seen.flags is None else told_flags(seen.flags)
    words += [f"Damaged, and not believed: {text}" for text in seen.damage]
    words += [f"Left out: {name}: {reason}" for name, reason in seen.unreadable]
    sessions = about.get("sessions", [])
    words.append(f"Begun {about.get('created', 'at a time unknown')}, in {_number(len(sessions), 'session')}.")
    words += [f"Begun beside {about['parent']}, by --fork."] if about.get("parent") else []
    if seen.finished:
        page = seen.folder / "report.html"
        return [*words, f"Report: {page}"] if page.is_file() else words
    return [*words, f"Not finished. It goes on by: {_on(seen)}"]


def _told(seen: Look) -> str:
    """How many samples ended how."""
    tally = ", ".join(f"{k:,} {status}" for status, k in seen.counts.items())
    return f"{len(seen.found.entries):,} of {_number(seen.n, 'sample')} finished: {tally or 'none'}"


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _on(seen: Look) -> str:
    """The command that goes on with a run."""
    if seen.about.get("kind") in ("audit", "defense"):
        return f"{seen.about.get('command') or 'the command that began it'} --out {seen.folder}"
    if not (seen.folder / CONFIG).is_file():
        return "study.run() of the Study that began it"
    return goes_on(read_config(seen.folder), seen.folder)
