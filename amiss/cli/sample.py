"""`amiss sample CHECKPOINT`: draws, completions, grids and walks of codes, sums of attributes, as PNG files."""

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import nn

from amiss.cli import sampling
from amiss.cli.command import refuse_file, shown, written
from amiss.cli.device import usable
from amiss.cli.sampling import Made
from amiss.cli.writing import told_captions, written_texts
from amiss.data import Images, open_data, read_image, to_bytes, write_png
from amiss.data.files import SUFFIXES
from amiss.disk import Disk
from amiss.errors import DataError, UsageError
from amiss.models import Captioner, TextModel, TokenDensity, bits_per_dim
from amiss.models.token_density import LONGEST
from amiss.repro import versions
from amiss.training import load_model
from amiss.training.pictures import condition_of, magnified, sheet

__all__ = ["sample"]

REPORT, SHEET = "sample.json", "sheet.png"
_FEW = 8  # images of a folder that are taken where nothing says how many
_MOST = 4096  # images in all
_LONG_TEXT = 10_000  # characters, from which a text takes a while


def sample(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="a model that amiss train made: model.safetensors")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for the images, sheet.png and sample.json")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--number",
            min=1,
            max=_MOST,
            help="so many: 16 images, of each given one or on the way; 1 text",
        ),
    ] = None,
    given: Annotated[
        str | None, typer.Option(help="an image, or images as DATA: to complete, enlarge, walk between or change")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="what stays of a given image: top, bottom, left, right, or a mask (white stays)"),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="how many rows or columns stay; else half of them")] = None,
    grid: Annotated[bool, typer.Option("--grid", help="codes on a grid of the first two dimensions")] = False,
    walk: Annotated[bool, typer.Option("--walk", help="codes on the way from each given image to the next")] = False,
    sum_: Annotated[
        str | None, typer.Option("--arithmetic", help='a sum of attributes, of --data: "glasses - none"')
    ] = None,
    data: Annotated[str | None, typer.Option(help="images whose attributes and classes are known")] = None,
    label: Annotated[str | None, typer.Option(help="the class to draw; else all in turn")] = None,
    caption: Annotated[str | None, typer.Option(help="the sentence to draw")] = None,
    prompt: Annotated[str | None, typer.Option(help="what a text begins with")] = None,
    length: Annotated[int | None, typer.Option(min=1, help="characters behind the prompt")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="draw among the so many likeliest characters")] = None,
    temperature: Annotated[float, typer.Option(help="below 1 likelier images or texts, above 1 stranger ones")] = 1.0,
    limit: Annotated[int, typer.Option(min=1, help="at most so many given images")] = _FEW,
    size: Annotated[int | None, typer.Option(min=1, help="side that given images are brought to")] = None,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    device: Annotated[str, typer.Option(help="where to draw: cpu, cuda, ...")] = "cpu",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no summary; of words, nothing but those that no file holds")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print sample.json instead of a summary")] = False,
) -> None:
    """Draw images from a generative model, show what its codes hold, let a language model write, or describe images.

    Without further options: samples. With --given: completions of what --keep leaves, or what an image of low
    resolution could have been, as the model is trained for.
    """
    model, facts = load_model(checkpoint)
    model.to(usable(device))
    texts = {"--prompt": prompt is not None, "--length": length is not None, "--top-k": top_k is not None}
    if isinstance(model, TokenDensity):
        words = _Words(prompt, n, length, temperature, top_k, seed)
        if isinstance(model, TextModel) and _LONG_TEXT < (length or 0) <= LONGEST and not quiet:
            typer.echo(f"Writing {length:,} characters, one after the other ...", err=True)
        told = _in_words(
            model, facts, written(context), given, words, limit, size, out,
            {"--caption": caption, "--label": label, "--grid": grid, "--walk": walk, "--keep": keep, "--data": data},
        )  # fmt: skip
        if not quiet or out is None:  # words that lie in no file are the result, not a summary of it
            typer.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))
        return
    _refuse_idle({"images": True}, texts)
    if out is None:
        raise _unsuited("no --out", "a folder for the images", "--out samples/")
    n = n or 16
    _refuse_unsuited({"--grid": grid, "--walk": walk, "--arithmetic": sum_, "--keep": keep}, given, data, rows)
    _refuse_idle(
        {"--grid": grid, "--walk": walk, "--arithmetic": sum_},
        {"--label": label is not None, "--caption": caption is not None, "--temperature": temperature != 1},
    )
    if not (math.isfinite(temperature) and temperature > 0):
        raise _unsuited(f"--temperature {temperature:g}", "a number above 0", "--temperature 0.8")
    begin = None if given is None else _opened(given, limit, size)
    _ready(out)
    made = _made(model, facts, n, begin, keep, rows, grid, walk, sum_, data, label, caption, temperature, seed, size)
    if not bool(made.images.isfinite().all()):
        raise _unsuited("images that are not finite", "finite images", "Train again, or take a lower --temperature.")
    report = _report(model, facts, checkpoint, made, seed, temperature, written(context))
    for path in out.glob("[0-9][0-9][0-9][0-9].png"):
        path.unlink()
    for i, image in enumerate(to_bytes(made.images).cpu()):
        write_png(out / f"{i:04d}.png", image)
    page = sheet(made.images if made.shown is None else made.shown, made.columns)
    write_png(out / SHEET, magnified(page))
    Disk().write(out / REPORT, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        typer.echo(json.dumps(report))
    elif not quiet:
        said = "" if "mean_nats" not in report else f", {report['mean_nats']:.4g} nats an image ({report['bound']})"
        count = len(made.images)
        typer.echo(f"{out / SHEET}: {count} image{'' if count == 1 else 's'}{said}")


@dataclass(frozen=True)
class _Words:
    """How a text is drawn."""

    prompt: str | None
    n: int | None
    length: int | None
    temperature: float
    top_k: int | None
    seed: int


def _in_words(
    model: TokenDensity,
    facts: dict[str, Any],
    command: str,
    given: str | None,
    words: _Words,
    limit: int,
    size: int | None,
    out: Path | None,
    idle: dict[str, Any],
) -> dict[str, Any]:
    """Texts that a language model writes, or what a captioner says of the images given."""
    _refuse_idle({"texts": True}, {name: bool(value) for name, value in idle.items()})
    if isinstance(model, TextModel):
        _refuse_idle({"texts": True}, {"--given": given is not None})
        return written_texts(
            model, facts, command, prompt=words.prompt or "", n=words.n or 1, length=words.length,
            temperature=words.temperature, top_k=words.top_k, seed=words.seed, out=out,
        )  # fmt: skip
    if not isinstance(model, Captioner):
        raise _unsuited(
            "a model of labels",
            "one of texts, images or sentences",
            "In Python: load_model(CHECKPOINT)[0].label(frames), .sample(len(frames), frames).",
        )
    if given is None:
        raise _unsuited("no image", "images to describe", "amiss sample CHECKPOINT --given photos/")
    drawn = {"--prompt": words.prompt, "--length": words.length, "--top-k": words.top_k, "--number": words.n}
    _refuse_idle({"captions": True}, {name: value is not None for name, value in drawn.items()})
    channels = model.channels if model.channels in (1, 3) else None
    return told_captions(model, facts, command, _opened(given, limit, size or model.size, channels), out)


def _lines(told: dict[str, Any]) -> list[str]:
    """Texts with a blank line between them, or a line for each image; what a text would do to a terminal is shown."""
    if "texts" in told:
        return [shown(line) for line in "\n\n".join(told["texts"]).split("\n")]
    return [shown(f"{row['given']}: {row['caption'] or '(nothing)'}") for row in told["captions"]]


def _made(
    model: nn.Module,
    facts: dict[str, Any],
    n: int,
    given: Images | None,
    keep: str | None,
    rows: int | None,
    grid: bool,
    walk: bool,
    sum_: str | None,
    data: str | None,
    label: str | None,
    caption: str | None,
    temperature: float,
    seed: int,
    size: int | None,
) -> Made:
    """What was asked of the model, by what it offers."""
    if grid:
        return sampling.code_grid(model, n)
    if walk:
        return sampling.code_walk(model, given, n, seed)
    if sum_ is not None:
        known = open_data(str(data), split="train", size=size, seed=seed, unlabeled=True)
        return sampling.arithmetic(model, sum_, known, given, n)
    count = n * (1 if given is None else len(given))
    if count > _MOST:
        raise _unsuited(f"{count:,} images", f"at most {_MOST:,}", "Lower -n or --limit.")
    asked = condition_of(model)
    enlarge = asked is not None and asked.kind == "image"
    low = None if given is None or not enlarge else given.images().repeat_interleave(n, 0)
    own = (
        [] if given is None or given.labels is None else [given.classes[i] for i in given.labels.repeat_interleave(n)]
    )
    c, said = sampling.conditions(model, count, list(facts.get("classes", ())), label, caption, low, own)
    c = None if c is None else c.to(next(model.parameters()).device)
    if given is None:
        made = sampling.draws(model, n, c, temperature, seed)
    elif enlarge and c is not None and keep is None:
        made = sampling.enlarged(model, given, n, c, temperature, seed)
    else:
        drawn = None if keep is None or not keep.lower().endswith(SUFFIXES) else read_image(keep, channels=1)
        height, width = given.pixels.shape[-2:]
        mask = sampling.kept(keep or "top", rows, (height, width), drawn)
        made = sampling.completions(model, given, mask, n, c, temperature, seed)
        kept = {"kept": "a mask" if drawn is not None else f"{keep or 'top'} {rows or 'half'}"}
        made = replace(made, rows=[row | kept for row in made.rows])
    merged = [{**a, **b} for a, b in zip(made.rows or [{}] * count, said or [{}] * count, strict=True)]
    return Made(made.images, made.columns, c, merged, made.shown)


def _report(
    model: nn.Module,
    facts: dict[str, Any],
    checkpoint: Path,
    made: Made,
    seed: int,
    temperature: float,
    command: str,
) -> dict[str, Any]:
    """What sample.json holds."""
    nats = sampling.nats_of(model, made)
    rows: list[dict[str, Any]] = made.rows or [{} for _ in made.images]
    numbers: list[dict[str, Any]] = [{} for _ in rows] if nats is None else [{"nats": v} for v in nats.tolist()]
    report: dict[str, Any] = {
        "command": command,
        "checkpoint": checkpoint.name,
        "kind": facts.get("kind"),
        "architecture": facts["recipe"].get("architecture"),
        "bound": getattr(model, "bound", None),
        "seed": seed,
        "temperature": temperature,
        "images": [
            {"file": f"{i:04d}.png", **row, **number}
            for i, (row, number) in enumerate(zip(rows, numbers, strict=True))
        ],
        "versions": versions(),
    }
    if nats is not None and bool(nats.isfinite().all()):
        report["mean_nats"] = float(nats.double().mean())
        report["bits_per_dim"] = float(bits_per_dim(nats.double(), made.images[0].numel()).mean())
    return report


def _opened(given: str, limit: int, size: int | None, channels: int | None = None) -> Images:
    """The images that were given: one file, or the first of a set."""
    path = Path(given)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return Images.of(read_image(path, channels, size)[None], names=[path.name])
    images = open_data(given, size=size, channels=channels, unlabeled=True)
    return images.pick(slice(limit))


def _ready(out: Path) -> None:
    """An empty folder, or one of earlier samples.

    Raises:
        DataError: It holds something else, or is a file.
    """
    refuse_file(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    ours = {REPORT, SHEET}
    strange = [p.name for p in out.iterdir() if p.name not in ours and not re.fullmatch(r"\d{4}\.png", p.name)]
    if strange or not (out / REPORT).is_file():
        raise DataError(
            f"The folder {str(out)!r} holds something else than samples.",
            slug="out-not-empty",
            seen=", ".join(sorted(strange)[:4]) or "images without a sample.json",
            needed="a new folder, or one of an earlier amiss sample",
            hint="Choose another folder: --out samples/new",
        )


def _refuse_unsuited(asked: dict[str, Any], given: str | None, data: str | None, rows: int | None) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: There are such.
    """
    said = [name for name, value in asked.items() if value]
    if len(said) > 1:
        raise _unsuited(" and ".join(said), "one of them", "Run the command once for each.")
    only = said[0] if said else ""
    if only == "--keep" and given is None:
        raise _unsuited("--keep without --given", "an image to keep something of", "--given photo.png --keep top")
    if rows is not None and (given is None or only not in ("", "--keep")):
        raise _unsuited("--rows without --given and --keep", "an image to keep them of", "--given x.png --rows 7")
    if (only == "--arithmetic") != (data is not None):
        raise _unsuited(
            "--arithmetic without --data" if data is None else "--data without --arithmetic",
            "both: a sum, and the images whose attributes it names",
            '--arithmetic "glasses - none" --data faces',
        )
    if only == "--grid" and given is not None:
        raise _unsuited("--grid with --given", "one of them", "A grid shows the codes themselves.")


def _refuse_idle(shows: dict[str, Any], idle: dict[str, bool]) -> None:
    """Refuse options of draws where codes are shown: they would change nothing.

    Raises:
        UsageError: There are such.
    """
    for asked in (name for name, value in shows.items() if value):
        for name in (name for name, value in idle.items() if value):
            raise _unsuited(
                f"{name} with {asked}", f"{asked} alone", f"Leave {name} out: no image is drawn by it here."
            )


def _unsuited(seen: str, needed: str, hint: str) -> UsageError:
    return UsageError("This cannot be sampled.", slug="sample-options", seen=seen, needed=needed, hint=hint)
