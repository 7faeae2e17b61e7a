"""The options that hold a run to its figures, `--require` and `--junit`, and what becomes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from amiss.cli.command import shown
from amiss.gates import Gate, Verdict, judge, junit, parse, refuse_unknown, to_json

__all__ = ["NOT_MET", "Junit", "Require", "asked", "conclude", "settled"]

NOT_MET = 3
"""Exit code where a gate is not met."""

Require = Annotated[
    list[str] | None,
    typer.Option("--require", help='a figure to reach: "mistakes_repaired>=0.9"; may be repeated; missed: code 3'),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", dir_okay=False, help="also write gates and trust flags as JUnit XML, to this file"),
]

_FLAGS = {"flags_fired": "no trust flag was measured"}


def asked(require: Sequence[str] | None, known: Mapping[str, str]) -> tuple[Gate, ...]:
    """Read the gates of a command line, before any work is done.

    Args:
        require: What `--require` holds.
        known: Every figure that the run can have, each with the reason why it may come out without it.

    Raises:
        UsageError: A gate cannot be read, or its figure or radius is none that the run will have.
    """
    gates = tuple(parse(text) for text in require or ())
    refuse_unknown(gates, {**known, **_FLAGS})
    return gates


def settled(gates: Sequence[Gate], record: dict[str, Any], known: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Judge the gates by a record's figures, and write the verdicts into it as `record["gates"]`.

    Args:
        gates: What must hold.
        record: With "figures", and "flags" where they were measured; "flags_fired" counts those that fired.
        known: As for `asked`.

    Raises:
        UsageError: A gate's figure is neither known nor measured.
    """
    figures: dict[str, float | str] = {**known, **_FLAGS, **record.get("figures", {})}
    if record.get("flags"):
        figures["flags_fired"] = sum(flag["state"] == "fired" for flag in record["flags"])
    verdicts = judge(gates, figures)
    record["gates"] = to_json(verdicts)
    return verdicts


def conclude(verdicts: Sequence[Verdict], record: Mapping[str, Any], file: Path | None, *, quiet: bool) -> None:
    """Say how the run did at its gates, write the JUnit file, and end with its exit code. The last thing to do.

    Args:
        verdicts: What `settled` returned.
        record: With "flags" where they were measured.
        file: Where `--junit` wants them; None for nowhere.
        quiet: Print no table, because the output is JSON.

    Raises:
        typer.Exit: With code 3, where a gate is not met.
        DataError: The file cannot be written.
    """
    if verdicts and not quiet:
        typer.echo("\n".join(_table(verdicts)))
    if file is not None:
        junit(verdicts, record.get("flags", ()), file)
    if not all(verdict.met for verdict in verdicts):
        raise typer.Exit(NOT_MET)


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    """One line a gate: whether it is met, what was asked, and what was measured."""
    rows = [("met" if v.met else "not met", shown(v.gate.text), shown(v.why or f"{v.value:.10g}")) for v in verdicts]
    width = max(len(text) for _, text, _ in rows)
    return [f"{word:<7}  {text:<{width}}  {said}" for word, text, said in rows]
