"""From a request to a folder with a trained model: opened images, a preset, figures, and pictures while it runs."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from amiss.cli.command import refuse_file
from amiss.cli.device import usable
from amiss.data import Images, open_data
from amiss.data.files import encode_png
from amiss.data.sequence_sources import open_sequences
from amiss.data.sequences import Sequences
from amiss.data.text import open_text
from amiss.disk import Disk
from amiss.errors import AmissError, DataError, UsageError
from amiss.models import TextModel
from amiss.repro import generator, versions
from amiss.training import KINDS, Kind, Look, Preset, Progress, Watch, curve_svg, joined, rank_here
from amiss.training import train as train_model
from amiss.training.curves import thinned
from amiss.training.expected import expected_svg
from amiss.training.pictures import magnified, pictures_of
from amiss.training.trainer import STATE_FILE

__all__ = ["CURVE_FILE", "MODEL_FILE", "REPORT_FILE", "STATE_FILE", "TrainRequest", "kind_of", "train_to_folder"]

MODEL_FILE, REPORT_FILE, CURVE_FILE, TEXT_FILE = "model.safetensors", "training.json", "curve.svg", "samples.txt"
EXPECTED_FILE = "expected.svg"
_HELD, _SHOWN, _TEXTS = 128, 16, 3  # test rows that a look measures, images of a picture, texts of a look
_READ = 216  # characters held out that a picture shows: three lines of it
_WRITTEN = 14  # stream of randomness


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for.

    Attributes:
        kind: A name in `amiss.training.KINDS`.
        data: A source that `amiss.data.open_data` knows.
        out: Folder for the model, its figures and the state of the run.
        options: Arguments of the kind's own preset, by name.
        epochs: Passes over the data; None lets the preset decide.
        steps: Steps in all, instead of epochs.
        more: Steps beyond those that the folder has; None ends where the run was to end.
        seed: Of weights, order, noise and subset.
        limit: At most so many training images.
        size: Side that images are brought to; None keeps theirs.
        device: Where to train.
        label: The column of labels, where they stand in a table.
        table: A table of attributes for images that have labels already.
    """

    kind: str
    data: str
    out: Path
    options: dict[str, Any] = field(default_factory=dict)
    epochs: float | None = None
    steps: int | None = None
    more: int | None = None
    seed: int = 0
    limit: int | None = None
    size: int | None = None
    device: str = "cpu"
    label: str | None = None
    table: str | None = None

    def open(self, split: str, limit: int | None = None) -> Any:
        """The images of a split, the text, or the sequences; not every kind needs labels.

        Raises:
            UsageError: An option of images was passed for other data.
        """
        source = kind_of(self.kind).source
        if source != "images":
            for name, value in (("--size", self.size), ("--label-column", self.label), ("--table", self.table)):
                if value is not None:
                    raise option_error(f"A {source} has no {name}.", name, "options of its own", f"Leave {name} out.")
            if source == "text":
                return open_text(self.data, split=split, limit=limit)
            return open_sequences(self.data, split=split, limit=limit, seed=self.seed)
        return open_data(
            self.data,
            split=split,
            size=self.size,
            limit=limit,
            seed=self.seed,
            label=self.label,
            table=self.table,
            unlabeled=not kind_of(self.kind).labeled,
        )


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in KINDS:
        raise UsageError(
            "There is no such kind of model to train.",
            slug="train-kind",
            seen=name[:60],
            needed=", ".join(KINDS),
            hint="Write, for instance: amiss train classifier digits --out runs/digits",
        )
    return KINDS[name]


def train_to_folder(
    request: TrainRequest,
    on_step: Callable[[Progress], None] | None = None,
    on_look: Callable[[Look], None] | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train, evaluate on the test split, and write model.safetensors, training.json, curve.svg and pictures.

    While it runs, curve and pictures are renewed now and then: samples.png where the kind draws images,
    reconstructions.png where it has codes for them, and samples.txt where it writes texts; at the end expected.svg
    shows what it expects along a text held out. Of several processes the first alone evaluates and writes.

    Args:
        request: What to train.
        on_step: Told after each step.
        on_look: Told when curve and pictures were renewed.
        watch: How often that is.

    Returns:
        What training.json holds: kind, preset, data, figures, history, versions.

    Raises:
        UsageError: The kind, an option or the device is unknown.
        DataError: The images cannot be read, or do not suit the kind.
        CheckpointError: The folder holds the state of a run with other options.
        TrainingError: A loss or gradient was not finite.
    """
    kind, out = kind_of(request.kind), request.out
    usable(request.device)
    refuse_file(out)
    images = request.open("train", request.limit)
    first = rank_here()[0] == 0
    test = _test_images(request, images) if first else None
    preset = _preset(request, images)
    unit = {"images": "nats an image", "text": "nats a character"}.get(kind.source, "nats")
    shown = test.pick(slice(_SHOWN)).images() if isinstance(test, Images) else None

    def look(here: Look) -> None:
        _draw(out, here, shown, request.seed, unit)
        if on_look is not None:
            on_look(here)

    held: dict[str, Tensor] = {}
    if test is not None:
        some = test if kind.source == "text" else test.pick(slice(_HELD))  # rows of a text are made of all of it
        held = {name: t[:_HELD] for name, t in kind.data(preset, some).items()}
    watch = replace(watch or Watch(look), look=look, held=held)
    with joined(request.device) as device:
        done = train_model(
            preset, images, test, out=out, on_step=on_step, device=device, more=request.more, watch=watch
        )
    history = done.history
    report: dict[str, Any] = {
        "kind": done.facts["kind"],
        "preset": {
            "model": preset.model,
            "loss": asdict(cast(Any, preset.loss)),
            "training": asdict(preset.training),
        },
        "data": {"fingerprint": images.fingerprint, "train": len(images), "test": len(test) if test else 0},
        "figures": done.facts["figures"],
        "history": {
            **{name: getattr(history, name) for name in ("steps", "epochs", "seconds", "resumed", "clocked")},
            "losses": {name: thinned(values) for name, values in history.losses.items()},
            "held": history.held,
        },
        "versions": versions(),
    }
    if first:
        done.save(out / MODEL_FILE)
        _write(out / REPORT_FILE, json.dumps(report, indent=2) + "\n")
        _write(out / CURVE_FILE, curve_svg(history.losses, held=history.held, unit=unit))
        _pictures(out, done.model, shown, request.seed)
        if isinstance(done.model, TextModel) and test:
            _write(out / EXPECTED_FILE, expected_svg(done.model, test.characters[:_READ]))
    return report


def _draw(out: Path, here: Look, shown: Tensor | None, seed: int, unit: str) -> None:
    """Renew curve and pictures of a run that goes on."""
    _write(out / CURVE_FILE, curve_svg(here.losses, held=here.held, unit=unit))
    try:
        _pictures(out, here.model, shown, seed)
    except AmissError:  # a model that cannot be shown yet is no reason to stop its training
        return


def _pictures(out: Path, model: Any, shown: Tensor | None, seed: int) -> None:
    for name, picture in pictures_of(model, shown, seed, _SHOWN).items():
        Disk().write(out / f"{name}.png", encode_png(magnified(picture)))
    if isinstance(model, TextModel):
        texts = model.write(n=_TEXTS, generator=generator(seed, _WRITTEN))
        _write(out / TEXT_FILE, "\n\n".join(texts) + "\n")


def _write(path: Path, text: str) -> None:
    """Whole or not at all: somebody may be looking at it."""
    Disk().write(path, text.encode())


def _test_images(request: TrainRequest, images: Any) -> Any:
    """The test split, or None where it holds nothing but training images."""
    try:
        test = request.open("test")
    except DataError as error:
        if error.slug == "data-split":
            return None
        raise
    if kind_of(request.kind).labeled and test.classes != images.classes[: len(test.classes)]:
        raise DataError(
            "Training and test images have different classes.",
            slug="train-classes",
            seen=f"test: {', '.join(test.classes[:6])}",
            needed=f"train: {', '.join(images.classes[:6])}",
            why="a class is missing from one of the splits",
            hint="Give both splits the same classes.",
        )
    if isinstance(test, Sequences):
        _refuse_other_frames(test, images, picked=bool(request.options.get("keep")))
    if not isinstance(test, Images):
        return test if len(test) else None
    seen = set(images.ids)
    fresh = [i for i, name in enumerate(test.ids) if name not in seen]
    return test.pick(fresh) if fresh else None


def _preset(request: TrainRequest, images: Any) -> Preset:
    kind = kind_of(request.kind)
    if strange := [name for name in request.options if name not in kind.options]:
        raise option_error(
            f"The kind {kind.name} has no option {strange[0]!r}.",
            strange[0],
            ", ".join(kind.options) or "no option of its own",
            f"amiss train {kind.name} --help tells what it takes.",
        )
    preset = kind.preset(images, seed=request.seed, epochs=request.epochs, **request.options)
    # At the command line the user can wait, and equal commands must give equal models: no clock.
    training = replace(preset.training, seconds=None)
    if request.steps is not None:
        training = replace(training, steps=request.steps, epochs=request.epochs)
    return replace(preset, training=training)


def option_error(message: str, seen: str, needed: str, hint: str) -> UsageError:
    """The one error for an option that a kind does not take, or cannot take like this."""
    return UsageError(message, slug="train-option", seen=seen, needed=needed, hint=hint)


def _refuse_other_frames(test: Sequences, train: Sequences, *, picked: bool) -> None:
    """Before anything is trained: what is tested must fit the network that will be, and its choice of frames."""
    frames = [(tuple(part.frames.shape[2:]), part.beside.shape[2]) for part in (test, train)]
    if frames[0] != frames[1]:
        told = ["{} with {} numbers beside".format("x".join(map(str, shape)), extra) for shape, extra in frames]
        raise DataError(
            "Training and test sequences have different frames.",
            slug="train-frames",
            seen=f"test: {told[0]}",
            needed=f"train: {told[1]}",
            why="an array of one split was cut in another way, or beside_test is missing",
            hint="Give both splits the same arrays, with frames of one shape.",
        )
    if picked and test.frames.shape[1] > train.frames.shape[1]:
        raise DataError(
            "Test sequences are longer than those that frames are picked of.",
            slug="train-frames",
            seen=f"test: {test.frames.shape[1]} frames",
            needed=f"train: {train.frames.shape[1]} frames, or fewer",
            why="--keep learns which frames are recorded, and none behind the last of training",
            hint="Cut both splits to one length.",
        )
