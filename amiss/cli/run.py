"""`amiss run RECIPE MODEL DATA`: one probe over a data set, in a folder that the same command goes on with."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from amiss.cli.audit import numbers
from amiss.cli.auditing import AUDITS
from amiss.cli.command import data_name, left_out, model_name, written
from amiss.cli.config import RunConfig, goes_on, read_config, trusted
from amiss.cli.device import usable
from amiss.cli.experiment import to_folder
from amiss.cli.experiments import EXPERIMENTS
from amiss.cli.flags import told_decoder, told_flags
from amiss.cli.folder import beside
from amiss.cli.gates import Junit, Require, asked, conclude, settled
from amiss.cli.model import MODEL_HELP, Head, Table, Weights
from amiss.cli.others import open_others
from amiss.cli.progress import showing
from amiss.cli.running import Tell, Work, derive, open_work
from amiss.cli.settings import find_recipe, parse_budget, parse_settings, words_alone
from amiss.cli.stopping import stopping
from amiss.cli.words import sorted_words
from amiss.errors import DataError, Interrupted, UsageError
from amiss.gates import Gate
from amiss.recipes import RECIPES
from amiss.study import Store
from amiss.study.figures import figures_known

__all__ = ["run"]


def run(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="a recipe, or the folder of a run that shall go on")],
    model: Annotated[str | None, typer.Argument(help=MODEL_HELP)] = None,
    data: Annotated[str | None, typer.Argument(help="a folder, CSV, zip, npz or idx files, digits or faces")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="run folder; runs/NAME where left out")] = None,
    fork: Annotated[bool, typer.Option(help="where --out holds another run, begin a new one beside it")] = False,
    decoder: Annotated[str | None, typer.Option(help="a decoder that amiss train vae made")] = None,
    frames: Annotated[int, typer.Option(min=0, help="images to keep of each path; 0: none")] = 0,
    split: Annotated[str, typer.Option(help="which part of DATA")] = "test",
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many images, drawn by the seed")] = None,
    label_column: Annotated[str | None, typer.Option(help="which column of a CSV is the label")] = None,
    table: Table = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network: .485,.456,.406")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    head: Head = None,
    weights: Weights = None,
    accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="the accuracy you know; refused if it is another")
    ] = None,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass, and samples a shard")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    budget: Annotated[
        str | None, typer.Option(help="limits beside the recipe's: steps=40,queries=500 a sample,seconds=60 a shard")
    ] = None,
    transfer: Annotated[
        str | None, typer.Option(help="of an experiment: other MODELs that see its images, with commas between")
    ] = None,
    require: Require = None,
    junit: Junit = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Run one recipe over a data set. Options of the recipe, such as --eps 8/255: amiss run RECIPE --help.

    `amiss run DIR` goes on with the run in a folder; where its model is Python code, name that once more:
    `amiss run DIR nets.py:build`. Code is never run because a file in a folder says so.
    """
    device = None if device is None else usable(device)
    # An option that only the recipe knows may have stood before an argument, and been taken for one.
    given_words = [word for word in (recipe, model, data) if word is not None]
    arguments, options = sorted_words([*given_words, *context.args], words_alone())
    recipe = arguments[0] if arguments else recipe  # an option alone: said to be no recipe
    asked_of = EXPERIMENTS.get(_recipe(recipe))
    alone = asked_of is not None and asked_of.alone and len(arguments) == 2  # MODEL, and no DATA
    if alone:  # the command is written down as it was meant
        context.params["data"], context.args = None, options
    if len(arguments) < 3 and not alone:
        folder = Path(recipe)
        config = _resumed(context, folder, arguments[1] if len(arguments) > 1 else None, options)
    else:
        _, model, data, *surplus = [*arguments, ""] if alone else arguments
        recipe = _recipe(recipe)
        read = asked_of.settings if asked_of is not None else partial(parse_settings, recipe)
        given: dict[str, Any] = {
            "mean": numbers(mean),
            "std": numbers(std),
            "head": head,
            "weights": weights and str(weights),
        }
        given |= {"decoder": decoder, "accuracy": accuracy, "transfer": transfer}
        sight = {"split": split, "size": size, "channels": channels, "limit": limit, "label": label_column}
        sight |= {"table": table}
        config = RunConfig(
            recipe,
            model,
            data,
            seed,
            batch,
            frames,
            read([*options, *surplus]),
            {name: value for name, value in sight.items() if value is not None},
            {name: value for name, value in given.items() if value is not None},
            parse_budget(budget),
        )
        if asked_of is not None:
            asked_of.asks.refuse_idle({"--decoder": decoder, "--frames": frames, "--budget": budget})
        folder = out or Path("runs") / _named(config)
    if transfer is not None and config.recipe not in EXPERIMENTS:
        raise UsageError(
            "Only an experiment shows its images to other models.",
            slug="recipe-option",
            seen=f"--transfer {transfer}, with {config.recipe}",
            needed=f"one of {', '.join(entry.asks.name for entry in EXPERIMENTS.values())}, with --transfer",
            hint="Leave --transfer out.",
        )
    known = EXPERIMENTS[config.recipe].known(config) if config.recipe in EXPERIMENTS else figures_known()
    gates = asked(require, known)
    with showing(quiet or as_json) as tell:
        if config.recipe in EXPERIMENTS:
            folder, record = _experiment(config, folder, written(context), device, gates, fork, tell)
        else:
            folder, record = _probed(config, folder, written(context), device, fork, tell, quiet or as_json)
    verdicts = settled(gates, record, known)
    report = folder / "report.html"
    if as_json:
        told = {"sentence": record["sentence"], "folder": str(folder), "report": str(report)}
        told |= {**record["figures"], "counts": record["outcomes"].get(config.recipe, record["outcomes"])}
        typer.echo(json.dumps({**told, "gates": record["gates"], "flags": record["flags"]}))
    else:
        typer.echo("\n".join(told_flags(record["flags"])))
        typer.echo(record["sentence"])
        typer.echo(f"Report: {report}")
    conclude(verdicts, record, junit, quiet=as_json)


def _probed(
    config: RunConfig, folder: Path, command: str, device: str | None, fork: bool, tell: Tell, quiet: bool
) -> tuple[Path, dict[str, Any]]:
    """Run one probe to its end: the folder that it lies in, and the record of its report."""
    work = open_work(config, folder, command=command, device=device, tell=tell)
    left_out(work.images)
    if not quiet and (line := told_decoder(work.flags)):
        typer.echo(line, err=True)
    work = _searched(work, fork, tell)
    return work.study.store.folder, derive(work, tell)


def _experiment(
    config: RunConfig,
    folder: Path,
    command: str,
    device: str | None,
    gates: tuple[Gate, ...],
    fork: bool,
    tell: Tell,
) -> tuple[Path, dict[str, Any]]:
    """Run an experiment to its end: its folder, and the record of its report."""
    work = EXPERIMENTS[config.recipe].opened(config, device=device)
    others = open_others(config, work.classifier, work.attempt, device)
    if work.images is not None:
        left_out(work.images)
    try:
        with stopping() as stop:
            found, folder = to_folder(work, folder, command=command, fork=fork, stop=stop, tell=tell)
            return folder, work.write(found, folder, tell, gates, others, stop)
    except Interrupted as error:
        raise _stopped(error, config, folder) from error


def _searched(work: Work, fork: bool, tell: Tell) -> Work:
    """Run the study to its end; with `fork`, beside a run of something else that holds the folder."""
    try:
        with stopping() as stop:
            work.study.run(stop=stop, progress=_progress(tell, work.config.recipe))
    except DataError as error:
        if not fork or error.slug != "run-other":
            raise
        return _searched(_forked(work), fork, tell)
    except Interrupted as error:
        raise _stopped(error, work.config, work.study.store.folder) from error
    return work


def _stopped(error: Interrupted, config: RunConfig, folder: Path) -> Interrupted:
    """The same, with the command that goes on; it names the model where that is code."""
    hint = f"{goes_on(config, folder)} goes on from here; so does the command that began it."
    return Interrupted(error.what, slug="interrupted", seen=error.seen, hint=hint)


def _forked(work: Work) -> Work:
    """The same run in a folder beside, which says whose child it is."""
    own = work.study.store.folder
    study = replace(work.study, folder=beside(own), about={**work.study.about, "parent": own.name})
    return replace(work, study=study)


def _resumed(context: typer.Context, folder: Path, model: str | None, options: list[str]) -> RunConfig:
    """The settings of the run in a folder; its code only where the user names it once more.

    Raises:
        UsageError: An option that a run that goes on does not heed, or code that was not named.
        DataError: No run lies there.
    """
    if not folder.is_dir():  # the likelier mistake: a recipe without MODEL and DATA
        if _recipe(str(folder)) not in EXPERIMENTS:
            find_recipe(_recipe(str(folder)))
        given = [] if model is None else [model]
        raise UsageError(
            f"The recipe {folder} needs MODEL and DATA, and {'only one' if given else 'none'} of them was named.",
            slug="usage-data",
            seen=" ".join(["amiss run", str(folder), *given, *options]),
            needed="a recipe, a MODEL and its DATA",
            hint=" ".join(["amiss run", str(folder), "MODEL DATA", *options]),
        )
    heeded = {"recipe", "model", "data", "device", "transfer", "require", "junit", "quiet", "as_json"}
    defaults = {p.name: p.default for p in context.command.params if p.name not in heeded}
    heedless = [name for name, default in defaults.items() if name and context.params[name] != default]
    idle = [f"--{name.replace('_', '-')}" for name in heedless]
    if idle or options:
        raise UsageError(
            "A run that goes on has its settings already.",
            slug="run-settings",
            seen=" ".join([*idle, *options]),
            needed="amiss run DIR alone",
            why="DATA is missing, if this should be a new run",
            hint="Leave the options out, or begin a new run: amiss run RECIPE MODEL DATA --out DIR",
        )
    about = Store(folder).about or {}
    config = read_config(folder)
    if config.recipe in AUDITS or about.get("kind") == "defense":
        command = about.get("command") or "the command that began it"
        what = "An audit" if config.recipe in AUDITS else "A defense"
        raise UsageError(
            f"{what} goes on by its own command.",
            slug="run-audit",
            seen=f"{what.lower()} in {folder}",
            needed="the folder of a run of one recipe",
            hint=f"{command} --out {folder}",
        )
    hint = goes_on(config, folder)
    network, transfer = dict(config.network), context.params["transfer"]
    named = trusted(config.model, model, folder, hint)
    if transfer is not None or "transfer" in network:
        network["transfer"] = trusted(network.get("transfer", ""), transfer, folder, hint)
    return replace(config, model=named, network=network)


def _progress(tell: Tell, recipe: str) -> Callable[[float, int, int], None]:
    return lambda done, total, met: tell(f"Searching by {recipe} ({met} met)", int(done), total)


def _recipe(word: str) -> str:
    """The name of a recipe, whether it was written with hyphens or not."""
    name = word.replace("-", "_")
    return name if name in RECIPES or name in EXPERIMENTS else word


def _named(config: RunConfig) -> str:
    words = f"{config.recipe}-{model_name(config.model)}"
    words += f"-{data_name(config.data)}" if config.data else ""
    return "".join(c if c.isalnum() else "-" for c in words).strip("-").lower()
