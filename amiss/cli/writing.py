"""What a language model writes: texts that begin with a prompt, on the terminal and in a folder."""

import json
import math
from pathlib import Path
from typing import Any

from amiss.cli.command import refuse_file
from amiss.disk import Disk
from amiss.errors import UsageError
from amiss.models import TextModel
from amiss.repro import generator, versions

__all__ = ["written_texts"]

REPORT = "sample.json"
_DRAWS = 8  # stream of randomness


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
    if out is not None:
        refuse_file(out)
    texts = model.write(
        prompt, n=n, length=length, temperature=temperature, top_k=top_k, generator=generator(seed, _DRAWS)
    )
    report = {
        "command": command,
        "kind": facts.get("kind"),
        "architecture": facts["recipe"].get("architecture"),
        "bound": model.bound,
        "seed": seed,
        "temperature": temperature,
        "top_k": top_k,
        "prompt": prompt,
        "texts": texts,
        "versions": versions(),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        Disk().write(out / REPORT, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    return report
