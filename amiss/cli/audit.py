"""`amiss audit MODEL DATA`: the main job."""

import json
from dataclasses import replace
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from amiss.cli.auditing import AuditWork, account_of, open_audit, settings_of_plan, write_account
from amiss.cli.command import data_name, left_out, model_name, shown, written
from amiss.cli.config import CONFIG, RunConfig, read_config
from amiss.cli.device import usable
from amiss.cli.flags import told_flags
from amiss.cli.folder import beside, cleared
from amiss.cli.gates import Junit, Require, asked, conclude, settled
from amiss.cli.model import MODEL_HELP, Head, Table, Weights
from amiss.cli.progress import showing
from amiss.cli.stopping import stopping
from amiss.errors import DataError, UsageError
from amiss.gates import Gate
from amiss.study import refuse_foreign

__all__ = ["audit", "audit_to_folder", "numbers"]

_SIGHT = ("split", "size", "channels", "label_column", "table")
_OF_DATA = ("decoder", *_SIGHT, "mean", "std", "head", "weights", "accuracy")
"""Options that mean nothing where the classifier is trained on the spot."""


def audit(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help=f"{MODEL_HELP}; or just: digits")],
    data: Annotated[
        str | None,
        typer.Argument(help="a folder with one folder a class or a CSV, a zip, idx files, an npz, digits or faces"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="run folder; runs/NAME where left out")] = None,
    decoder: Annotated[str | None, typer.Option(help="a decoder that amiss train vae made")] = None,
    judge: Annotated[str | None, typer.Option(help="an independent MODEL that says what repairs show")] = None,
    train_judge: Annotated[
        bool, typer.Option("--train-judge", help="train a judge: two networks, each on half of the images")
    ] = False,
    split: Annotated[str, typer.Option(help="which part of DATA")] = "test",
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many images, drawn by the seed")] = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network: .485,.456,.406")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    head: Head = None,
    weights: Weights = None,
    accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="the accuracy you know; refused if it is another")
    ] = None,
    margin: Annotated[float, typer.Option(help="how far a repair's true label must be ahead, in logits")] = 0.5,
    mistakes: Annotated[int, typer.Option(min=0, help="repair at most so many; 0: none")] = 1000,
    eps: Annotated[str | None, typer.Option(help="L_inf radii, ascending: 2/255,8/255 or .1,.2,.3")] = None,
    attacked: Annotated[int, typer.Option(min=0, help="attack at most so many images; 0: none")] = 256,
    steps: Annotated[int, typer.Option(min=1, help="gradient steps of an attack")] = 40,
    fooled: Annotated[int, typer.Option(min=0, help="fool at most so many classes; 0: none")] = 100,
    imposters: Annotated[
        int, typer.Option(min=0, help="make at most so many images with the features of others; 0: none")
    ] = 24,
    findings: Annotated[
        int, typer.Option(min=0, help="ask at most so many kinds of mistake what they have in common; 0: none")
    ] = 4,
    maps: Annotated[int, typer.Option(min=0, help="map the codes around at most so many cases; 0: none")] = 4,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    require: Require = None,
    junit: Junit = None,
    overwrite: Annotated[bool, typer.Option(help="begin anew where the folder holds a run")] = False,
    fork: Annotated[bool, typer.Option(help="where the folder holds another run, begin a new one beside it")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Find the mistakes, repair them, break what is right, fool every class; write one report.

    The same command goes on where it was stopped.
    """
    from amiss.audit import Plan
    from amiss.audit.figures import known

    plan = Plan(
        margin=margin,
        mistakes=mistakes,
        attacked=attacked,
        steps=steps,
        fooled=fooled,
        imposters=imposters,
        findings=findings,
        maps=maps,
        train_judge=train_judge,
        batch=batch,
        seed=seed,
    )
    radii = numbers(eps, "radii in pixel values of [0, 1], with commas between", "--eps 2/255,8/255")
    if radii is not None:
        plan = replace(plan, epsilons=radii)
    gates = asked(require, known(plan, judge=judge is not None))
    device = None if device is None else usable(device)
    if data is None:
        _refuse(context, model)
    given: dict[str, Any] = {"mean": numbers(mean), "std": numbers(std), "head": head}
    given |= {"weights": weights and str(weights)}
    given |= {"decoder": decoder, "judge": judge, "accuracy": accuracy}
    sight = {"split": split, "size": size, "channels": channels, "limit": limit, "label": label_column}
    sight |= {"table": table}
    kind, network, data = ("digits", "", "") if data is None else ("audit", model, data)
    config = RunConfig(
        kind,
        network,
        data,
        seed,
        batch,
        0,
        settings_of_plan(plan),
        {name: value for name, value in sight.items() if value is not None},
        {name: value for name, value in given.items() if value is not None},
    )
    out = out or Path("runs") / _slug(f"{model_name(network)}-{data_name(data)}" if network else "digits")
    refuse_foreign(out)
    parent = ""
    if fork and kind == "digits" and _another(out, config):
        parent, out = out.name, beside(out)  # before its models are taken for those of another seed
    if overwrite and kind == "digits":  # else its models of before would be taken
        cleared(out)
    work = open_audit(config, out, device=device, quiet=quiet or as_json)
    if overwrite and kind == "audit":  # not before the new one is known to be possible
        cleared(out)
    audit_to_folder(
        work,
        out,
        command=written(context),
        parent=parent,
        gates=gates,
        junit=junit,
        where_other="fork" if fork else "refuse",
        quiet=quiet or as_json,
        as_json=as_json,
    )


def audit_to_folder(
    work: AuditWork,
    out: Path,
    *,
    command: str,
    parent: str = "",
    gates: tuple[Gate, ...] = (),
    junit: Path | None = None,
    where_other: Literal["refuse", "fork", "replace"] = "refuse",
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """Run an audit, or go on with it, write its record and report, and say what was found and where it lies.

    Where the folder holds a run of something else it is refused, begun beside it, or, where it is of the same kind,
    replaced. Where a gate is not
    met, it all ends with exit code 3, once everything is written and said.
    """
    from amiss.audit import run_audit
    from amiss.audit.figures import known

    left_out(work.images)
    about = {"model": work.model, "data": work.data, "command": command}
    about |= {"parent": parent} if parent else {}
    with showing(quiet) as tell, stopping() as stop:
        given: dict[str, Any] = {**work.given, "judge": work.judge, "progress": tell, "stop": stop}
        given["settings"] = work.config.text(out)
        try:
            found = run_audit(work.classifier, work.images, out, about=about, **given)
        except DataError as error:
            if error.slug != "run-other" or where_other == "refuse":
                raise
            if where_other == "replace" and _kind(out) != work.config.recipe:  # nobody asked to lose another's run
                raise
            if where_other == "replace":
                cleared(out)
            else:
                out, about = beside(out), {**about, "parent": out.name}
                given["settings"] = work.config.text(out)
            found = run_audit(work.classifier, work.images, out, about=about, **given)
        tell("Writing the report", 0, 1)
        account = account_of(found, work, out, command)
        verdicts = settled(gates, account, known(found.plan, judge=work.judge is not None))
        page = write_account(account, out)
    if as_json:
        told = {"sentence": account["sentence"], "report": str(page), **account["figures"]}
        typer.echo(json.dumps({**told, "gates": account["gates"], "flags": account["flags"]}))
    else:
        for notice in account["notices"]:
            if notice["level"] == "warning" and not notice["title"].startswith("Left out"):
                typer.echo(shown(f"{notice['title']}. {notice['text']}"))
        typer.echo("\n".join(told_flags(account["flags"])))
        typer.echo(account["sentence"])
        typer.echo(f"Report: {page}")
    conclude(verdicts, account, junit, quiet=as_json)


def numbers(
    text: str | None,
    needed: str = "one number a channel, with commas between",
    hint: str = "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
) -> tuple[float, ...] | None:
    """The finite numbers of "0.485,0.456,0.406" or "2/255,8/255"; None where nothing was given.

    Raises:
        UsageError: They are none.
    """
    if text is None:
        return None
    try:
        found = tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        found = ()
    if not found or not all(map(isfinite, found)):
        raise UsageError(
            "These are not numbers.",
            slug="usage-numbers",
            seen=repr(text),
            needed=needed,
            why="a decimal comma, or a word",
            hint=hint,
        )
    return found


def _refuse(context: typer.Context, model: str) -> None:
    """Without DATA, only "digits" means something, and only with options that it heeds."""
    if model != "digits":
        raise UsageError(
            "DATA is missing.",
            slug="usage-data",
            seen=f"amiss audit {model}",
            needed="a model and labeled images",
            hint="amiss audit MODEL DATA; 'amiss audit digits' alone trains a classifier on the spot.",
        )
    defaults = {parameter.name: parameter.default for parameter in context.command.params}
    if idle := [name for name in _OF_DATA if context.params[name] != defaults[name]]:
        raise UsageError(
            f"'amiss audit digits' does not heed --{idle[0].replace('_', '-')}.",
            slug="usage-digits",
            seen=", ".join(f"--{name.replace('_', '-')} {context.params[name]}" for name in idle),
            needed="a MODEL of your own, and DATA",
            why="its classifier and its decoder are trained on the spot",
            hint="Leave it out, or audit a model of yours on it: amiss audit nets.py:build digits",
        )


def _another(out: Path, config: RunConfig) -> bool:
    """Whether a folder holds a run that was asked for something else."""
    path = out / CONFIG
    return path.is_file() and path.read_text(encoding="utf-8") != config.text(out)


def _kind(out: Path) -> str:
    """What a folder's run calls itself; nothing where it does not say."""
    try:
        return read_config(out).recipe
    except DataError:
        return ""


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text).strip("-").lower() or "run"
