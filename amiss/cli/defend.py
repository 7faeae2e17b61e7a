"""`amiss defend MODEL DATA --with NAME`: a hardened network, and what its hardening cost, round by round."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from amiss.audit.defense_pages import defense_record
from amiss.classifier import Classifier
from amiss.cli.command import data_name, left_out, model_name, shown, written
from amiss.cli.device import usable
from amiss.cli.flags import FLAGS, told_flags
from amiss.cli.folder import ROUNDS
from amiss.cli.model import MODEL_HELP, Table, Weights, named
from amiss.cli.progress import showing
from amiss.cli.stopping import stopping
from amiss.data import Images, open_data
from amiss.defend import DEFENSES, Defense, Hardened, Row, rounds_svg, table_of
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.loading import check_fit
from amiss.report import build
from amiss.repro import generator
from amiss.study import refuse_foreign
from amiss.tensorfile import write_tensors
from amiss.training import read_facts, save_model
from amiss.trust import before, refuse_other_order

__all__ = ["defend", "hardened_file"]

TABLE, CURVE, MODEL, WEIGHTS = "rounds.csv", "rounds.svg", "model.safetensors", "weights.safetensors"
_HELD_OUT = 5  # one image of so many is held out where DATA has no test split


def defend(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help=f"{MODEL_HELP}; but one that can be trained")],
    data: Annotated[
        str, typer.Argument(help="labeled images: a folder, a zip, idx files, an npz, digits or faces; split or not")
    ],
    with_: Annotated[str, typer.Option("--with", help=f"which defense: {', '.join(DEFENSES)}")],
    out: Annotated[Path, typer.Option("--out", "-o", help="run folder; an unfinished run there goes on")],
    rounds: Annotated[int, typer.Option(help="times that it is retrained")] = 5,
    champions: Annotated[int, typer.Option(help="images of nonsense that a round adds")] = 100,
    epochs: Annotated[float, typer.Option(help="passes over images and nonsense a round")] = 1.0,
    share: Annotated[float, typer.Option(help="share of what is trained on that is nonsense")] = 0.25,
    encoding: Annotated[str, typer.Option(help="how nonsense is written down: cppn or direct")] = "cppn",
    confidence: Annotated[float, typer.Option(help="softmax probability that counts as fooled")] = 0.99,
    learned_generations: Annotated[int, typer.Option(help="of an evolution that is learned from")] = 20,
    generations: Annotated[int, typer.Option(help="of one that measures what fooling costs")] = 100,
    children: Annotated[int, typer.Option(help="images a generation")] = 100,
    held_out: Annotated[int, typer.Option(help="champions of other seeds a round, for the test")] = 50,
    rate: Annotated[float, typer.Option(help="highest learning rate")] = 1e-3,
    shift: Annotated[int, typer.Option(help="images move by up to so many pixels while they are learned from")] = 0,
    layers: Annotated[
        str | None, typer.Option(help="modules that learn, with commas between; the whole network if left out")
    ] = None,
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most so many images a split, drawn by the seed")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network: .485,.456,.406")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass and a step")] = 128,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print rounds and figures as JSON")] = False,
) -> None:
    """Harden a classifier, round by round, and tell what it gained and what it lost.

    The same command goes on where it was stopped; with a larger --rounds it goes on after the last.
    """
    from amiss.cli.audit import numbers

    settings = {"rounds": rounds, "champions": champions, "epochs": epochs, "share": share, "encoding": encoding}
    settings |= {"confidence": confidence, "generations": generations, "children": children, "held_out": held_out}
    settings |= {
        "learned_generations": learned_generations,
        "rate": rate,
        "shift": shift,
        "layers": layers,
        "batch": batch,
        "seed": seed,
    }
    defense = _defense(with_, settings)
    refuse_foreign(out)
    classifier = named(
        model,
        device=None if device is None else usable(device),
        mean=numbers(mean),
        std=numbers(std),
        head=None,
        weights=weights,
    )
    sight = {"size": size or classifier.size, "channels": channels, "limit": limit, "label": label_column}
    train, test = _splits(data, {**sight, "table": table}, seed)
    check_fit(classifier, train)
    refuse_other_order(classifier, train)
    left_out(train)
    about: dict[str, Any] = {"recipe": with_, "model": model_name(model), "data": data_name(data)}
    about |= {"seed": seed, "command": written(context)}
    with showing(quiet or as_json) as tell, stopping() as stop:
        tell("Asking whether the model can be believed", 0, 1)
        flags = [flag.to_json() for flag in before(classifier, test, batch=batch, seed=seed)]
        done = defense.harden(
            classifier,
            train,
            test,
            out,
            about=about,
            progress=tell,
            stop=stop,
            on_row=lambda rows: _write(out, {"rows": rows}, rows),
        )
    file = hardened_file(done, model, out)
    told: dict[str, Any] = {"confidence": confidence, "flags": flags, "about": about, "settings": repr(defense)}
    build(defense_record(done, classifier, train, test, out, **told), out)
    record = {"sentence": done.sentence, "figures": done.figures, "rows": done.rows, "model": file.name}
    _write(out, record, done.rows)
    Disk().write(out / FLAGS, (json.dumps(flags, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        typer.echo(json.dumps({**record, "flags": flags, "folder": str(out), "report": str(out / "report.html")}))
        return
    typer.echo("\n".join(told_flags(flags)))
    typer.echo(shown(done.sentence))
    typer.echo(f"Rounds: {out / TABLE}")
    typer.echo(f"Report: {out / 'report.html'}")
    typer.echo(f"Hardened: {file}" + ("" if file.name == MODEL else _how(model, file, done.classifier)))


def hardened_file(done: Hardened, model: str, out: Path) -> Path:
    """Write the hardened network: as a checkpoint of ours where MODEL was one, as weights alone otherwise.

    Args:
        done: What the defense left.
        model: MODEL, as given.
        out: The run folder.

    Returns:
        The file.
    """
    network: Any = done.classifier.network
    labels = list(done.classifier.labels or ())
    if not model.endswith(".safetensors"):
        write_tensors(out / WEIGHTS, network.state_dict(), {"classes": labels})
        return out / WEIGHTS
    facts = read_facts(model)
    recipe = facts.pop("recipe")
    recipe = {**recipe, "arguments": {**recipe["arguments"], "classes": len(labels)}}
    figures = {name: done.figures[name] for name in ("accuracy", "called_rubbish")}
    save_model(out / MODEL, network, recipe, {**facts, "classes": labels, "figures": figures})
    return out / MODEL


def _defense(name: str, settings: dict[str, Any]) -> Defense:
    """The defense of that name, with those of the settings that it has.

    Raises:
        UsageError: There is none, or an option cannot mean anything.
    """
    if name not in DEFENSES:
        raise UsageError(
            f"There is no defense {name!r}.",
            slug="defend-unknown",
            seen=name,
            needed=f"one of {', '.join(DEFENSES)}",
            hint=f"--with {next(iter(DEFENSES))}",
        )
    made = DEFENSES[name]
    layers = tuple(part.strip() for part in (settings["layers"] or "").split(",") if part.strip())
    known = {field.name for field in fields(made)}
    return made(**{key: value for key, value in {**settings, "layers": layers}.items() if key in known})


def _splits(data: str, sight: dict[str, Any], seed: int) -> tuple[Images, Images]:
    """Images to learn from and images to be measured by, none of which are the same.

    Raises:
        DataError: They have no labels, or there are too few.
    """
    train = open_data(data, split="train", seed=seed, **sight)
    _ = train.truth  # refuses images without labels
    try:
        test = open_data(data, split="test", seed=seed, **sight)
    except DataError as error:
        if error.slug != "data-split":
            raise
        test = train
    known = set(train.ids)
    fresh = [i for i, name in enumerate(test.ids) if name not in known]
    if fresh:
        return train, test.pick(fresh)
    order = torch.randperm(len(train), generator=generator(seed))
    aside = len(train) // _HELD_OUT
    if not aside:
        raise DataError(
            "There are too few images to hold some out.",
            slug="defend-images",
            seen=f"{len(train)} images, and no others in a test split",
            needed=f"{_HELD_OUT} images or more",
            hint="Give more images, or a split named test beside the one named train.",
        )
    return train.pick(order[aside:].sort().values), train.pick(order[:aside].sort().values)


def _write(out: Path, record: dict[str, Any], rows: Any) -> None:
    """The record, the table and the drawing of the rounds so far."""
    disk, listed = Disk(), list[Row](rows)
    disk.write(out / ROUNDS, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    disk.write(out / TABLE, table_of(listed).encode())
    disk.write(out / CURVE, rounds_svg(listed).encode())


def _how(model: str, file: Path, classifier: Classifier) -> str:
    """How weights alone are used: with a function that builds the network with one output more."""
    return f" (weights for {model_name(model)} with {len(classifier.labels or ())} outputs: --weights {file})"
