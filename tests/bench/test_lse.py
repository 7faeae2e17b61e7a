"""The bench of repairs in its quick form, and what it makes of many seeds."""

import json
from pathlib import Path

import pytest
import torch

from amiss.bench import lse
from amiss.bench.bench import Run, load_bench, run_bench
from amiss.recipes import lse as recipe
from amiss.testing import LinearWorld, RingWorld

torch.set_num_threads(1)


def test_the_quick_form_measures_and_misses_no_bar(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = run_bench(load_bench("lse"), 0, Path("lse.json"), quick=True, tell=lambda _: None)
    assert book == json.loads(Path("lse.json").read_text())
    assert {"repaired_2d", "stuck_2d", "unreachable_2d", "eps_saved_faces", "eps_saved"} <= set(book["figures"])
    bars = load_bench("lse").bars
    assert all(bars[name].holds(v, quick=True) for name, vs in book["figures"].items() if name in bars for v in vs)


def test_a_ring_that_can_be_reached_is_repaired_and_its_trapped_images_are_stuck():
    figures, told = lse.plane(Run(0, True, Path("nowhere")))
    ring = RingWorld(decoy=0.2)
    assert figures["repaired_2d"] == 1 and figures["unreachable_2d"] == 0
    assert "unreachable_plain_holds" not in figures
    assert figures["stuck_2d"] == pytest.approx(float(ring.trapped.double().mean()))
    assert told["alone"]["exhausted"] == int(ring.trapped.sum())


def test_the_savings_are_those_of_sizes_that_are_known():
    world = LinearWorld(n=20)
    first, small = (
        recipe(world.codec, minimize=how, levels=None).run(world.classifier(), world.task)
        for how in (None, "euclidean")
    )
    told = lse._compared(first, small)
    least = world.latent_optimum(0.5)
    assert told["eps_minimal"] == pytest.approx(float(least.mean()), rel=1e-3)
    assert told["eps_saved"] == pytest.approx(1 - float(least.mean() / first.size.double().mean()), abs=1e-3)
    assert told["repaired"] == told["repaired_first"] == 1


def test_the_least_saving_of_all_seeds_counts():
    def part(name, value):
        return {"figures": {name: value}}

    both = {"repairs": part("eps_saved_mnist", 0.4), "faces": part("eps_saved_faces", 0.3)}
    assert lse.merged({"0": both, "1": {"faces": part("eps_saved_faces", 0.25)}}) == {"eps_saved": 0.25}
    assert lse.merged({"0": {}}) == {}
