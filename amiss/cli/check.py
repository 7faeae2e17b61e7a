"""`amiss check MODEL DATA`: does amiss see what you see? Nothing is optimized."""

import json
from math import isfinite
from typing import Annotated, Any

import typer

from amiss.cli.audit import numbers
from amiss.cli.command import data_name, left_out, model_name
from amiss.cli.device import usable
from amiss.cli.flags import told_flags
from amiss.cli.gates import Junit, Require, asked, conclude, settled
from amiss.cli.model import MODEL_HELP, Head, Table, Weights, named
from amiss.data import open_data
from amiss.loading import check_fit, open_decoder
from amiss.spaces.codec import refuse_constant
from amiss.trust import before, decoder_gate, refuse_other_order

__all__ = ["check"]

_KNOWN = {
    **dict.fromkeys(("accuracy", "images", "unreadable"), "nothing was asked of the classifier"),
    **dict.fromkeys(("lowest_logit", "highest_logit"), "the classifier answers with labels alone"),
    **dict.fromkeys(("decoder_explained", "decoder_agreement"), "there was no decoder"),
}
"""Every figure of a check, and why it may be missing."""


def check(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: Annotated[str, typer.Argument(help="labeled images")],
    accuracy: Annotated[float | None, typer.Option(min=0, max=1, help="the accuracy you know, in [0, 1]")] = None,
    decoder: Annotated[str | None, typer.Option(help="a decoder to check too")] = None,
    split: Annotated[str, typer.Option(help="which part of DATA")] = "test",
    size: Annotated[int | None, typer.Option(min=4, help="side that images are brought to")] = None,
    channels: Annotated[int | None, typer.Option(help="1 for gray, 3 for color")] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many images, drawn by the seed")] = None,
    mean: Annotated[str | None, typer.Option(help="mean a channel, for a bare network")] = None,
    std: Annotated[str | None, typer.Option(help="standard deviation a channel")] = None,
    head: Head = None,
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="of the images drawn")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="images a pass")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; where the model is, if left out")] = None,
    require: Require = None,
    junit: Junit = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Score the model as amiss sees it, beside the accuracy that you expect, and ask whether it can be believed."""
    known = _KNOWN if decoder is not None else {n: why for n, why in _KNOWN.items() if not n.startswith("decoder")}
    gates = asked(require, known)
    device = None if device is None else usable(device)
    given = numbers(mean), numbers(std)
    classifier = named(model, device=device, mean=given[0], std=given[1], head=head, weights=weights)
    side = classifier.size if size is None else size
    sight: dict[str, Any] = {"split": split, "size": side, "channels": channels, "limit": limit, "seed": seed}
    images = open_data(data, label=label_column, table=table, **sight)
    labels = images.truth
    left_out(images)
    check_fit(classifier, images)
    refuse_other_order(classifier, images)
    seen = classifier.check(images.pixels, labels, accuracy=accuracy, batch=batch)
    figures = {"accuracy": seen.accuracy, "images": seen.n, "unreadable": len(images.unreadable)}
    figures |= {"lowest_logit": seen.low, "highest_logit": seen.high}
    gate = None
    if decoder is not None:
        codec = open_decoder(decoder, classifier.device)
        gate = decoder_gate(classifier, codec, images.images(), batch=batch)
        refuse_constant(codec, images.images(slice(8)).to(classifier.device))
        figures |= {"decoder_explained": gate.explained, "decoder_agreement": gate.agreement}
    flags = before(classifier, images, accuracy=accuracy, decoder=gate, batch=batch, seed=seed)
    finite = {name: value for name, value in figures.items() if isfinite(value)}  # labels alone have no logits
    record: dict[str, Any] = {"figures": finite, "flags": [flag.to_json() for flag in flags]}
    verdicts = settled(gates, record, known)
    if as_json:
        typer.echo(json.dumps({**finite, "gates": record["gates"], "flags": record["flags"]}))
    else:
        typer.echo(f"{model_name(model)} on {data_name(data)}: {seen.accuracy:.1%} of {seen.n:,} images right")
        typer.echo(f"logits from {seen.low:.3g} to {seen.high:.3g}")
        if gate is not None:
            typer.echo(f"the decoder: {gate}")
        typer.echo("\n".join(told_flags(record["flags"])))
    conclude(verdicts, record, junit, quiet=as_json)
