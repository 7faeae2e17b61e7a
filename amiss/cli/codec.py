"""`amiss codec encode | decode`: images to one compressed file, and back."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from amiss.cli.command import shown
from amiss.codec import MAGIC, decode_images, encode_images, estimate, quantize
from amiss.data import open_data, write_png
from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.errors import DataError, ModelError
from amiss.models import ImageCodec
from amiss.training import load_model

__all__ = ["codec"]

_MOST = 2**30  # bytes of a compressed file

codec = typer.Typer(help="Compress images by a trained codec, and decompress them.", no_args_is_help=True)

Checkpoint = Annotated[Path, typer.Argument(help="a codec that amiss train codec made: model.safetensors")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no summary")]
Json = Annotated[bool, typer.Option("--json", help="print the figures instead of a summary")]


@codec.command()
def encode(
    checkpoint: Checkpoint,
    data: Annotated[str, typer.Argument(help="digits, faces, scenes, a folder, a CSV, idx files or an npz file")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="the file to write, new or of an earlier amiss codec encode")
    ],
    rate: Annotated[int | None, typer.Option(help="from 0, the finest; else the middle one")] = None,
    split: Annotated[str, typer.Option(help="train, val or test, where the data has splits")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many images")] = None,
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    seed: Annotated[int, typer.Option(help="of the subset")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compress the images of DATA to one file.

    The file holds the codes and the tables that they are coded by. The codec is not part of it: keep CHECKPOINT.
    """
    _spare(out)
    model = _codec(checkpoint)
    rate = model.middle if rate is None else rate
    images = open_data(data, split=split, limit=limit, size=size, seed=seed, unlabeled=True).pixels
    packed = encode_images(model, images, rate)
    Disk().write(out, packed)
    bits = estimate(model, quantize(model, images, rate), rate)
    pixels = images[:, 0].numel()
    told: dict[str, Any] = {"images": len(images), "rate": rate, "bytes": len(packed), "estimated_bytes": bits / 8}
    told |= {"bits_per_pixel": 8 * len(packed) / pixels, "raw_bytes": images.numel()}
    if as_json:
        typer.echo(json.dumps(told))
    elif not quiet:
        typer.echo(
            f"{shown(str(out))}: {len(images)} images, {len(packed):,} bytes, {told['bits_per_pixel']:.3f} bits a "
            f"pixel; the codec's own estimate is {bits / 8:,.0f} bytes, the pixels are {images.numel():,}"
        )


@codec.command()
def decode(
    checkpoint: Checkpoint,
    file: Annotated[Path, typer.Argument(help="what amiss codec encode wrote")],
    out: Annotated[Path, typer.Option("--out", "-o", help="a new folder, for one PNG an image")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Decompress a file to a folder of PNG images, in the order in which they were encoded."""
    model = _codec(checkpoint)
    packed = _read(file)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            f"The folder {str(out)!r} is not empty.",
            slug="out-not-empty",
            seen="a file of that name" if not out.is_dir() else "other files",
            needed="a new folder",
            hint="Choose another folder: --out images/",
        )
    images = decode_images(model, packed)
    for i, image in enumerate(images):
        write_png(out / f"{i:06d}.png", image)
    if as_json:
        typer.echo(json.dumps({"images": len(images), "bytes": len(packed)}))
    elif not quiet:
        typer.echo(f"{shown(str(out))}: {len(images)} images")


def _spare(out: Path) -> None:
    """Refuse to write over a file that holds something else, such as the codec itself.

    Raises:
        DataError: It does, or is a folder.
    """
    if not out.is_file() and not out.is_dir():
        return
    began = b"" if out.is_dir() else _read(out)[: len(MAGIC)]
    if began == MAGIC:
        return
    raise DataError(
        f"{out.name} is there, and holds no compressed images.",
        slug="codec-foreign",
        seen="a folder" if out.is_dir() else f"a file that begins with {began!r}",
        needed="a new name, or a file of an earlier amiss codec encode",
        hint="Choose another name: --out images.amc",
    )


def _codec(checkpoint: Path) -> ImageCodec:
    model, facts = load_model(checkpoint)
    if isinstance(model, ImageCodec):
        return model
    raise ModelError(
        f"{checkpoint.name} holds no codec.",
        slug="model-kind",
        seen=f"a {type(model).__name__}, of kind {facts.get('kind')!r}",
        needed="an ImageCodec that amiss train made",
        hint="Train one: amiss train codec DATA --out runs/codec",
    )


def _read(file: Path) -> bytes:
    try:
        with open_plain(file, _MOST) as opened:
            return opened.read(_MOST + 1)
    except OSError as error:
        raise DataError(
            f"{file.name} cannot be read.",
            slug="codec-file",
            seen=error.strerror or str(error),
            needed=f"a plain file of at most {_MOST >> 20} MB",
            hint="Name the file that was given as --out.",
        ) from error
