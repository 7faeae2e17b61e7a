"""A language model of characters that is trained for longer, and larger: bits a held-out character."""

from typing import Any

from amiss.bench.bench import Bar, Bench, Run
from amiss.bench.char import learned, scored, splits
from amiss.training import KINDS

__all__ = ["BENCH"]


def text(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Bits a held-out character, and what was done for it. An interrupted training goes on."""
    lines, test = splits(run)
    options = _QUICK if run.quick else _LONG
    model, spent = learned(run, "long", lines, KINDS["text"].preset(lines, seed=run.seed, **options))
    told = scored(run, model, lines, test)
    return {"char_bpc_long": told["bits"]}, {**told, "training": spent, "options": options}


_LONG: dict[str, Any] = {"hidden": 384, "dropout": 0.4, "epochs": 14}
_QUICK: dict[str, Any] = {"hidden": 16, "dropout": 0.1, "window": 30, "warm": 10, "epochs": 3}

BENCH = Bench("char-long", {"text": text}, {"char_bpc_long": Bar("<=", 2.2, seeds=1)})
"""Some ten minutes with one thread; one seed."""
