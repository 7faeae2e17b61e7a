"""What models say in words: texts that begin with a prompt, and sentences about images."""

import json
import math
from pathlib import Path
from typing import Any

import torch

from amiss.cli.command import refuse_file
from amiss.data import Images
from amiss.disk import Disk
from amiss.errors import UsageError
from amiss.models import Captioner, TextModel, TokenDensity
from amiss.repro import generator, versions

__all__ = ["told_captions", "written_texts"]

REPORT = "sample.json"
_DRAWS = 8  # stream of randomness
_BATCH, _BEAM = 100, 5  # images at a time, and beginnings that a beam search carries on


def written_texts(
    model: TextModel,
    facts: dict[str, Any],
    command: str,
    *,
    prompt: str,
    n: int,
    length: int | None,
    temperature: float,
    top_k: int | None,
    seed: int,
    out: Path | None,
) -> dict[str, Any]:
    """Draw texts, and write sample.json into a folder where one is named.

    Raises:
        UsageError: A number that cannot mean anything.
        ModelError: The prompt has a character that the model does not know.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(
            "This cannot be sampled.",
            slug="sample-options",
            seen=f"--temperature {temperature:g}",
            needed="a number above 0",
            hint="--temperature 0.8; --top-k 1 takes the likeliest character each time.",
        )
    _ready(out)
    texts = model.write(
        prompt, n=n, length=length, temperature=temperature, top_k=top_k, generator=generator(seed, _DRAWS)
    )
    told = {"seed": seed, "temperature": temperature, "top_k": top_k, "prompt": prompt, "texts": texts}
    return _reported(model, facts, command, told, out)


def told_captions(
    model: Captioner, facts: dict[str, Any], command: str, images: Images, out: Path | None
) -> dict[str, Any]:
    """A sentence about each image with its nats, and sample.json in a folder where one is named.

    Raises:
        ContractError: The images do not fit the captioner.
    """
    _ready(out)
    device = next(model.parameters()).device
    rows = []
    for start in range(0, len(images), _BATCH):
        part = images.pick(slice(start, start + _BATCH))
        x = part.images().to(device)
        said = model.answer(x, width=_BEAM)
        with torch.no_grad():
            nats = model.log_prob(said, x).tolist()
        rows += [
            {"given": name, "caption": text, "nats": value}
            for name, text, value in zip(part.names, said, nats, strict=True)
        ]
    return _reported(model, facts, command, {"captions": rows}, out)


def _ready(out: Path | None) -> None:
    """Refuse a file in the place of the folder, before anything is done."""
    if out is not None:
        refuse_file(out)


def _reported(
    model: TokenDensity, facts: dict[str, Any], command: str, told: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """What sample.json holds; written where a folder is named."""
    report = {
        "command": command,
        "kind": facts.get("kind"),
        "architecture": facts["recipe"].get("architecture"),
        "bound": model.bound,
        **told,
        "versions": versions(),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        Disk().write(out / REPORT, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    return report
