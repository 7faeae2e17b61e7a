"""A bench is a list of parts; each part measures figures of one seed, and is kept as soon as it is done."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from amiss.repro import versions

__all__ = ["BENCHES", "Bar", "Bench", "Part", "Run", "Skip", "load_bench", "merge", "run_bench"]

BENCHES = {
    "spine": "amiss.bench.spine",
    "trust": "amiss.bench.trust",
    "lse": "amiss.bench.lse",
    "findings": "amiss.bench.findings",
    "features": "amiss.bench.features",
    "fooling": "amiss.bench.fooling",
    "fooling-long": "amiss.bench.fooling_long",
    "camera": "amiss.bench.camera",
    "attacks": "amiss.bench.attacks",
    "defend": "amiss.bench.defend",
    "density": "amiss.bench.density",
    "density-long": "amiss.bench.density_long",
    "sampling": "amiss.bench.sampling",
    "autoencoders": "amiss.bench.autoencoders",
    "gan": "amiss.bench.gan",
    "sequences": "amiss.bench.sequences",
    "frames": "amiss.bench.frames",
    "char": "amiss.bench.char",
    "char-long": "amiss.bench.char_long",
}
"""Benches by name, and the module that holds each as BENCH."""


class Skip(Exception):
    """A part that cannot be measured here, and why."""


@dataclass(frozen=True)
class Bar:
    """What a figure must meet: at least or at most a bound.

    Attributes:
        sign: ">=" or "<=" or "==" or ">" or "<".
        bound: The bound.
        quick: The looser bound of `--quick`; None: the part's quick form does not judge it.
        seeds: How many seeds a figure needs at the least: many where they are merged into one value, one where a run
            takes an hour. 0: one value a seed, of three or more.
    """

    sign: str
    bound: float
    quick: float | None = None
    seeds: int = 0

    def holds(self, value: float, quick: bool = False) -> bool:
        """Whether a value meets it."""
        bound = self.quick if quick else self.bound
        if bound is None:
            return True
        return {
            ">=": value >= bound,
            "<=": value <= bound,
            "==": value == bound,
            ">": value > bound,
            "<": value < bound,
        }[self.sign]

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Run:
    """What a part is given.

    Attributes:
        seed: The seed to measure.
        quick: Whether less must do.
        place: A folder of this seed's own, for weights that later parts use.
    """

    seed: int
    quick: bool
    place: Path

    def data(self, *parts: str) -> Path:
        """A path inside the folder of real data, or `Skip` where there is none."""
        root = Path(os.environ.get("AMISS_DATA", "../shared/data"))
        path = root.joinpath(*parts)
        if not path.exists():
            raise Skip(f"AMISS_DATA holds no {'/'.join(parts)}")
        return path


Part = Callable[[Run], tuple[dict[str, float], dict[str, Any]]]
"""Measures one seed: figures by name, and the raw counts behind them."""


@dataclass(frozen=True)
class Bench:
    """A named list of parts and the bars of their figures.

    Attributes:
        name: Of the bench.
        parts: What is measured, by name.
        bars: What the figures must meet.
        merged: Figures that are one value of all seeds (a share, a mean), from what the parts measured by seed.
    """

    name: str
    parts: Mapping[str, Part]
    bars: Mapping[str, Bar] = field(default_factory=dict)
    merged: Callable[[Mapping[str, Any]], dict[str, float]] | None = None


def load_bench(name: str) -> Bench:
    """The bench of that name."""
    bench: Bench = import_module(BENCHES[name]).BENCH
    return bench


def run_bench(
    bench: Bench,
    seed: int,
    file: Path,
    *,
    quick: bool = False,
    only: tuple[str, ...] = (),
    again: bool = False,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure one seed and merge it into a file; parts that the file holds already are not measured again.

    Args:
        bench: What to measure.
        seed: The seed.
        file: JSON, made where it is missing.
        quick: Less work, looser bars.
        only: Parts to measure; all of them where left out.
        again: Measure even what the file holds.
        tell: Told what is done.

    Returns:
        The contents of the file.
    """
    book = _read(file, bench.name)
    done = book["raw"].setdefault(str(seed), {})
    place = Path("runs") / "bench" / f"{bench.name}-{seed}{'-quick' if quick else ''}"
    place.mkdir(parents=True, exist_ok=True)
    for name, part in bench.parts.items():
        # What was measured in full answers a quick question too, but not the other way round.
        there = name in done and (quick or not done[name]["quick"])
        if (only and name not in only) or (there and not again):
            continue
        tell(f"{bench.name} {name}, seed {seed} ...")
        began, cpu = time.monotonic(), _cpu()
        try:
            figures, raw = part(Run(seed, quick, place))
        except Skip as reason:
            tell(f"  left out: {reason}")
            continue
        spent = {"wall": round(time.monotonic() - began, 2), "cpu": round(_cpu() - cpu, 2)}
        done[name] = {"figures": figures, "raw": raw, "seconds": spent, "commit": _commit(), "quick": quick}
        book = merge(book, bench, quick)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(book, indent=1) + "\n", encoding="utf-8")
        for figure, value in figures.items():
            tell(f"  {figure} {value:.6g}{_verdict(bench.bars.get(figure), value, quick)}")
    return book


def merge(book: dict[str, Any], bench: Bench, quick: bool = False) -> dict[str, Any]:
    """The book with its figures gathered: one list a figure, one value a seed, in the order of the seeds."""
    seeds = sorted(map(int, book["raw"]))
    figures: dict[str, list[float]] = {}
    for seed in seeds:
        for part in bench.parts:
            for name, value in book["raw"][str(seed)].get(part, {}).get("figures", {}).items():
                figures.setdefault(name, []).append(value)
    if bench.merged is not None:
        figures |= {name: [value] for name, value in bench.merged(book["raw"]).items()}
    return {
        **book,
        "command": f"amiss bench {bench.name} --seed N" + (" --quick" if quick else ""),
        "commit": _commit(),
        "machine": _machine(),
        "versions": versions(),
        "seeds": seeds,
        "figures": figures,
    }


def _read(file: Path, name: str) -> dict[str, Any]:
    if file.is_file():
        book: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return book
    return {"name": name, "raw": {}, "figures": {}, "seeds": []}


def _verdict(bar: Bar | None, value: float, quick: bool) -> str:
    bound = None if bar is None else bar.quick if quick else bar.bound
    if bar is None or bound is None:
        return ""
    return f"  (bar {bar.sign} {bound:g}: {'holds' if bar.holds(value, quick) else 'MISSED'})"


def _cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip() or "unknown"


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "gpu": torch.cuda.is_available()}
