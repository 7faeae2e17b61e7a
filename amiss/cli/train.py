"""`amiss train`: a classifier, an autoencoder or a flow from images, with progress, resume and figures."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from amiss.cli.device import usable
from amiss.cli.model import Table
from amiss.data import Images, open_data
from amiss.errors import DataError, UsageError
from amiss.repro import versions
from amiss.training import (
    Preset,
    Progress,
    attributes_for,
    classifier_for,
    decoder_for,
    flow_for,
    load_model,
    write_curve,
)
from amiss.training import train as train_model
from amiss.training.curves import thinned

__all__ = ["TrainRequest", "train", "train_to_folder"]

KINDS = ("classifier", "attributes", "vae", "flow")
MODEL_FILE, REPORT_FILE, CURVE_FILE = "model.safetensors", "training.json", "curve.svg"


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for.

    Attributes:
        kind: "classifier", "attributes", "vae" or "flow".
        data: A source that `amiss.data.open_data` knows.
        out: Folder for the model, its figures and the state of the run.
        epochs: Passes over the data; None lets the preset decide.
        latent: Dimensions of an autoencoder's code; None lets the preset decide.
        codes: The autoencoder whose codes a flow maps; None for a flow on pixels.
        columns: The attributes to learn; None for all that the images have.
        label: The column of labels, where they stand in a table.
        table: A table of attributes for images that have labels already.
        seed: Of weights, order, noise and subset.
        limit: At most so many training images.
        size: Side that images are brought to; None keeps theirs.
        device: Where to train.
        network: The classifier's architecture; None lets the preset decide.
    """

    kind: str
    data: str
    out: Path
    epochs: float | None = None
    latent: int | None = None
    seed: int = 0
    limit: int | None = None
    size: int | None = None
    device: str = "cpu"
    codes: str | None = None
    columns: tuple[str, ...] | None = None
    label: str | None = None
    table: str | None = None
    network: str | None = None

    def open(self, split: str, limit: int | None = None) -> Images:
        """The images of a split; only a classifier of classes needs labels."""
        return open_data(
            self.data,
            split=split,
            size=self.size,
            limit=limit,
            seed=self.seed,
            label=self.label,
            table=self.table,
            unlabeled=self.kind != "classifier",
        )


def train_to_folder(request: TrainRequest, on_step: Callable[[Progress], None] | None = None) -> dict[str, Any]:
    """Train, evaluate on the test split, and write model.safetensors, training.json and curve.svg.

    Args:
        request: What to train.
        on_step: Told after each step.

    Returns:
        What training.json holds: kind, preset, data, figures, history, versions.

    Raises:
        UsageError: The kind or device is unknown.
        DataError: The images cannot be read, or do not suit the kind.
        CheckpointError: The folder holds the state of a run with other options.
        TrainingError: A loss or gradient was not finite.
    """
    if request.kind not in KINDS:
        raise UsageError(
            "There is no such kind of model to train.",
            slug="train-kind",
            seen=request.kind,
            needed=", ".join(KINDS),
            hint="Write, for instance: amiss train classifier digits --out runs/digits",
        )
    images = request.open("train", request.limit)
    test = _test_images(request, images)
    preset = _preset(request, images)
    done = train_model(preset, images, test, out=request.out, on_step=on_step, device=usable(request.device))
    done.save(request.out / MODEL_FILE)
    history = done.history
    report = {
        "kind": done.facts["kind"],
        "preset": {"model": preset.model, "loss": asdict(cast(Any, preset.loss)), "training": asdict(preset.training)},
        "data": {"fingerprint": images.fingerprint, "train": len(images), "test": len(test) if test else 0},
        "figures": done.facts["figures"],
        "history": {
            **{name: getattr(history, name) for name in ("steps", "epochs", "seconds", "resumed", "clocked")},
            "losses": {name: thinned(values) for name, values in history.losses.items()},
        },
        "versions": versions(),
    }
    (request.out / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_curve(request.out / CURVE_FILE, history.losses)
    return report


def _test_images(request: TrainRequest, images: Images) -> Images | None:
    """The test split, or None where it holds nothing but training images."""
    try:
        test = request.open("test")
    except DataError as error:
        if error.slug == "data-split":
            return None
        raise
    if request.kind == "classifier" and test.classes != images.classes[: len(test.classes)]:
        raise DataError(
            "Training and test images have different classes.",
            slug="train-classes",
            seen=f"test: {', '.join(test.classes[:6])}",
            needed=f"train: {', '.join(images.classes[:6])}",
            why="a class folder is missing from one of the splits",
            hint="Give both splits the same class folders.",
        )
    seen = set(images.ids)
    fresh = [i for i, name in enumerate(test.ids) if name not in seen]
    return test.pick(fresh) if fresh else None


def _preset(request: TrainRequest, images: Images) -> Preset:
    if request.latent is not None and request.kind != "vae":
        raise UsageError(
            f"A model of kind {request.kind} has no latent code whose dimensions could be chosen.",
            slug="train-latent",
            seen=f"--latent {request.latent}",
            hint="Leave --latent away, or train a vae.",
        )
    if request.codes is not None and request.kind != "flow":
        raise UsageError(
            f"A model of kind {request.kind} maps no codes of another model.",
            slug="train-codes",
            seen=f"--codes {request.codes}",
            hint="Leave --codes away, or train a flow.",
        )
    if request.columns is not None and request.kind != "attributes":
        raise UsageError(
            f"A model of kind {request.kind} learns no columns of a table.",
            slug="train-columns",
            seen=f"--columns {','.join(request.columns)}",
            needed="--columns for the kind attributes alone",
            hint="Leave --columns away, or train attributes; --label-column names a classifier's column.",
        )
    if request.network is not None and request.kind not in ("classifier", "attributes"):
        raise UsageError(
            f"A model of kind {request.kind} has an architecture of its own.",
            slug="train-architecture",
            seen=f"--network {request.network}",
            needed="--network for the kinds classifier and attributes alone",
            hint="Leave --network away.",
        )
    if request.kind == "attributes":
        return attributes_for(images, request.columns, request.seed, request.epochs, request.network)
    if request.kind == "classifier":
        return classifier_for(images, request.seed, request.epochs, request.network)
    if request.kind == "flow":
        codes = None if request.codes is None else load_model(request.codes)
        preset = flow_for(images, codes=codes, seed=request.seed, epochs=request.epochs)
    else:
        preset = decoder_for(images, latent=request.latent, seed=request.seed, epochs=request.epochs)
    # At the command line the user can wait, and equal commands must give equal models: no clock.
    return replace(preset, training=replace(preset.training, seconds=None))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if seconds < 360_000 else "-:--"


@contextmanager
def _reporter(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on a terminal; elsewhere a line every five seconds; nothing when quiet."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        last = [time.monotonic()]

        def line(p: Progress) -> None:
            if time.monotonic() - last[0] >= 5 or p.fraction >= 1:
                last[0] = time.monotonic()
                loss = ", ".join(f"{name} {value:.4g}" for name, value in p.losses.items())
                typer.echo(
                    f"step {p.step} ({p.fraction:.0%}), epoch {p.epoch:.1f}, loss {loss}, "
                    f"{_clock(p.seconds)} gone, {_clock(p.remaining)} to go",
                    err=True,
                )

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=1.0)

        def move(p: Progress) -> None:
            loss = ", ".join(f"{value:.4g}" for value in p.losses.values())
            text = f"epoch {p.epoch:.1f}  loss {loss}  {_clock(p.remaining)} to go"
            bar.update(task, completed=p.fraction, description=text)

        yield move


def train(
    kind: Annotated[str, typer.Argument(help="classifier, attributes, vae or flow")],
    data: Annotated[str, typer.Argument(help="digits, faces, a folder, idx files or an npz file")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the model; an unfinished run goes on")],
    epochs: Annotated[float | None, typer.Option(help="passes over the images; else the preset's")] = None,
    latent: Annotated[int | None, typer.Option(min=1, help="dimensions of a vae's code")] = None,
    codes: Annotated[str | None, typer.Option(help="the vae whose codes a flow maps; else its pixels")] = None,
    columns: Annotated[
        str | None, typer.Option(help="the attributes to learn, with commas between; else all of the table")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    network: Annotated[
        str | None, typer.Option(help="LeNet, SmallCNN or ResNet, for a classifier; else the one that fits")
    ] = None,
    seed: Annotated[int, typer.Option(help="of weights, order, noise and subset")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many training images")] = None,
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    device: Annotated[str, typer.Option(help="where to train: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress, no summary")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print training.json instead of a summary")] = False,
) -> None:
    """Train a classifier, of classes or of attributes, an autoencoder or a flow.

    The same command goes on where it was interrupted.
    """
    names = None if columns is None else tuple(name.strip() for name in columns.split(","))
    request = TrainRequest(
        kind, data, out, epochs, latent, seed, limit, size, device, codes, names, label_column, table, network
    )
    with _reporter(quiet or as_json) as on_step:
        report = train_to_folder(request, on_step)
    if as_json:
        typer.echo(json.dumps(report))
    elif not quiet:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in report["figures"].items() if ":" not in name)
        typer.echo(f"{out / MODEL_FILE}: {report['kind']}, {figures or 'no test images, so no figures'}")
