"""`amiss audit MODEL DATA`: the main job."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from amiss.classifier import Classifier
from amiss.cli.model import load_classifier, load_decoder, model_name
from amiss.cli.progress import showing
from amiss.data import Images, open_data
from amiss.errors import DataError, UsageError
from amiss.spaces.latent import Codec

__all__ = ["audit", "audit_to_folder"]

RECORD = "audit.json"


def audit(
    model: Annotated[str, typer.Argument(help="file.py:function or a .safetensors file; or just: digits")],
    data: Annotated[
        str | None, typer.Argument(help="a folder with one folder a class, idx files, an npz, digits or faces")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="run folder; runs/NAME where left out")] = None,
    decoder: Annotated[str | None, typer.Option(help="a decoder that amiss train vae made")] = None,
    judge: Annotated[str | None, typer.Option(help="an independent MODEL that says what repairs show")] = None,
    split: Annotated[str, typer.Option(help="which part of DATA")] = "test",
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many images, drawn by the seed")] = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network: .485,.456,.406")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    accuracy: Annotated[float | None, typer.Option(help="the accuracy you know; refused if it is another")] = None,
    mistakes: Annotated[int, typer.Option(min=1, help="repair at most so many")] = 1000,
    attacked: Annotated[int, typer.Option(min=1, help="attack at most so many images")] = 256,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    overwrite: Annotated[bool, typer.Option(help="replace an audit that lies in the folder")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Find the mistakes, repair them, break what is right, fool every class; write one report."""
    from amiss.audit import Plan

    if data is None:
        if model != "digits":
            raise UsageError(
                "DATA is missing.",
                slug="usage-data",
                seen=f"amiss audit {model}",
                hint="amiss audit MODEL DATA; 'amiss audit digits' alone trains a classifier on the spot.",
            )
        from amiss.cli.digits import digits

        classifier, codec, images, data = *digits(seed, quiet), "digits"
        out = out or Path("runs/digits")
        judged_by = None
    else:
        images = open_data(data, split=split, size=size, channels=channels, limit=limit, seed=seed)
        numbers = [None if text is None else _numbers(text) for text in (mean, std)]
        classifier = load_classifier(model, device=device, mean=numbers[0], std=numbers[1])
        if images.labels is not None and accuracy is not None:
            classifier.check(images.pixels, images.labels, accuracy=accuracy, batch=batch)
        codec = None if decoder is None else load_decoder(decoder)
        judged_by = None if judge is None else load_classifier(judge, device=device)
        out = out or Path("runs") / f"{_slug(model_name(model))}-{_slug(Path(data).name)}"
    plan = Plan(mistakes=mistakes, attacked=attacked, seed=seed, batch=batch)
    command = shlex.join(["amiss", "audit", model_name(model), Path(data).name, "--seed", str(seed)])
    audit_to_folder(
        classifier,
        images,
        out,
        model=model_name(model),
        data=Path(data).name,
        command=command,
        decoder=codec,
        judge=judged_by,
        judge_name="" if judge is None else model_name(judge),
        plan=plan,
        overwrite=overwrite,
        quiet=quiet or as_json,
        as_json=as_json,
    )


def audit_to_folder(
    classifier: Classifier,
    images: Images,
    out: Path,
    *,
    model: str,
    data: str,
    command: str,
    decoder: Codec | None = None,
    judge: Classifier | None = None,
    judge_name: str = "",
    plan: object = None,
    overwrite: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> Path:
    """Run an audit, write its record and report into a folder, and say what was found and where it lies."""
    from amiss.audit import Plan, record, run_audit
    from amiss.report import build

    if out.is_dir() and any(out.iterdir()):
        if not (out / RECORD).is_file():
            raise DataError(
                f"The folder {str(out)!r} holds something else.",
                slug="out-not-empty",
                seen=f"files, but no {RECORD}",
                hint="Choose an empty folder: --out runs/new",
            )
        if not overwrite:
            raise DataError(
                f"An audit lies in {str(out)!r} already.",
                slug="out-exists",
                hint="Choose another folder by --out, or replace it by --overwrite.",
            )
    for name, message in images.unreadable:
        typer.echo(f"Left out: {name}\n{message}", err=True)
    with showing(quiet) as tell:
        found = run_audit(
            classifier,
            images,
            out,
            decoder=decoder,
            judge=judge,
            plan=plan if isinstance(plan, Plan) else None,
            progress=tell,
        )
        account = record(found, classifier, out, model=model, data=data, command=command, judge=judge_name)
        (out / RECORD).write_text(json.dumps(account, indent=1), encoding="utf-8")
        page = build(account, out)
    if as_json:
        typer.echo(json.dumps({"sentence": account["sentence"], "report": str(page), **account["figures"]}))
    else:
        for notice in account["notices"]:
            if notice["level"] == "warning" and not notice["title"].startswith("Left out"):
                typer.echo(f"{notice['title']}. {notice['text']}")
        typer.echo(account["sentence"])
        typer.echo(f"Report: {page}")
    return page


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            "These are not numbers.",
            slug="usage-numbers",
            seen=repr(text),
            needed="one number a channel, with commas between",
            hint="--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        ) from None


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text).strip("-").lower() or "run"
