"""The bench of learned acquisition: parts in their quick form, and choices of frames by hand."""

import pytest
import torch

from amiss.bench.bench import Run, load_bench
from amiss.bench.frames import merged
from amiss.bench.frames_picker import evenly_spaced, informative

BENCH = load_bench("frames")


@pytest.fixture
def run(tmp_path):
    return Run(11, True, tmp_path)


@pytest.mark.parametrize("part", list(BENCH.parts))
def test_parts_have_a_quick_form(run, part):
    threads = torch.get_num_threads()
    try:
        figures, raw = BENCH.parts[part](run)
    finally:
        torch.set_num_threads(threads)
    assert all(-1 <= value <= 1 for name, value in figures.items() if name != "frames_kept")
    if part == "picker":
        assert figures["frames_kept"] == len(raw["found"]) == len(raw["shown"]) == 3
        assert figures["found"] == (raw["found"] == raw["shown"])
    else:
        lights = raw["accuracy" if part == "mask" else "exact"]
        gain = lights["learned"] - sum(lights[f"random {i}"] for i in range(3)) / 3
        assert figures["mask_gain" if part == "mask" else "mask_gain_caption"] == pytest.approx(gain)


def test_evenly_spaced_choices_by_hand():
    assert evenly_spaced(5, 3) == [(0, 1, 2), (0, 2, 4), (1, 2, 3), (2, 3, 4)]
    assert len(evenly_spaced(9, 3)) == 16


def test_what_is_informative_differs_by_seed_and_is_never_evenly_spaced():
    drawn = [informative(seed) for seed in range(100, 140)]
    assert drawn == [informative(seed) for seed in range(100, 140)]
    assert len(set(drawn)) > 10
    assert not set(drawn) & set(evenly_spaced(9, 3))
    assert all(len(set(choice)) == 3 and list(choice) == sorted(choice) for choice in drawn)


def test_the_share_of_seeds_is_one_value():
    raw = {str(seed): {"picker": {"figures": {"found": float(seed != 3)}}} for seed in range(10)}
    assert merged(raw) == {"frames_found": 0.9}
    assert merged({"0": {}}) == {}
