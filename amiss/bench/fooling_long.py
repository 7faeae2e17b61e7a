"""Evolution over a thousand classes for four times as long, in pieces of a quarter of an hour."""

import time
from typing import Any

import torch

from amiss.bench.bench import Bar, Bench, Run, Skip
from amiss.bench.fooling_imagenet import evolve, target
from amiss.probe import Probe
from amiss.recipes import classes, fool_cppn
from amiss.study.pack import pack, unpack
from amiss.task import State
from amiss.tensorfile import read_tensors, write_tensors

__all__ = ["BENCH", "long"]

_CHILDREN, _EVALUATIONS, _QUICK = 200, 400_000, 2_000
_MARKS = 20_000  # evaluations after which the median is noted
_SAVED, _PIECE = 20, 14 * 60.0  # generations between two states on disk, seconds of a piece


def long(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV1 0.25: the median champion of CPPN after 400,000 evaluations; stopped, it goes on where it was.

    Raises:
        Skip: A quarter of an hour is over, and there is more to do: measure again to go on.
    """
    torch.set_num_threads(1)
    classifier, shape = target(run)
    total = _QUICK if run.quick else _EVALUATIONS
    probe = fool_cppn(shape, generations=total // _CHILDREN - 1, until="budget", seed=run.seed, batch=100)
    file, began = run.place / "long.safetensors", time.monotonic()
    medians: dict[str, float] = {}
    state = probe.search(classifier, classes(classifier)).start()
    if file.is_file():
        tensors, about = read_tensors(file)
        _refuse_another(about, probe)
        state, medians = unpack(tensors, about["state"]), about["medians"]

    def keep(now: State) -> None:
        spent = int(now["queries"].max())
        if spent % _MARKS == 0:
            medians[str(spent)] = float((-now["best"]["loss"]).exp().median())
        over = time.monotonic() - began > _PIECE
        if over or now["turn"] % _SAVED == 0 or spent == total:
            held, plain = pack(now)
            write_tensors(file, held, {"state": plain, "medians": medians, "probe": repr(probe)})
        if over and spent < total:
            raise Skip(f"{spent:,} of {total:,} evaluations so far: measure again to go on")

    found, _ = evolve(classifier, probe, state, keep)
    p = found.confidence
    return {
        "imagenet_cppn_400k": float(p.median()),
        "imagenet_cppn_400k_mean": float(p.mean()),
    }, {"evaluations": found.evaluations, "n": len(p), "at_least_99": int((p >= 0.99).sum()), "medians": medians}


def _refuse_another(about: dict[str, Any], probe: Probe) -> None:
    """A state of another search is not gone on with."""
    if about["probe"] != repr(probe):
        raise Skip("long.safetensors is of another search: delete it to begin again")


BENCH = Bench("fooling-long", {"long": long}, {"imagenet_cppn_400k": Bar(">=", 0.75, seeds=1)})
"""How far evolution comes with time."""
