"""The bench of sequences: parts in their quick form, and what needs no training measured in full."""

import pytest
import torch

from amiss.bench.bench import Run, load_bench

BENCH = load_bench("sequences")


@pytest.fixture
def run(tmp_path):
    return Run(11, True, tmp_path)


@pytest.mark.parametrize("part", list(BENCH.parts))
def test_parts_have_a_quick_form(run, part):
    threads = torch.get_num_threads()
    try:
        figures, _ = BENCH.parts[part](run)
    finally:
        torch.set_num_threads(threads)
    assert all(0 <= value < 100 for name, value in figures.items() if name != "feedback_gain")


def test_cells_need_no_training_and_meet_their_bars(run):
    figures, raw = BENCH.parts["cells"](run)
    assert all(BENCH.bars[name].holds(value) for name, value in figures.items())
    assert set(raw["apart"]) == {"rnn", "lstm", "gru"} < set(raw["gradients"])


def test_slopes_need_no_training_and_meet_their_bar(run):
    figures, raw = BENCH.parts["eigen"](run)
    assert BENCH.bars["eigen_slope_error"].holds(figures["eigen_slope_error"])
    assert raw["slopes"]["0.5"] < raw["slopes"]["0.9"] < 0 < raw["slopes"]["1.1"]


def test_the_smallest_text_is_learned(run):
    figures, raw = BENCH.parts["hello"](run)
    assert figures["hello_exact"] == 1 and raw["written"] == ["hello", "hello"]
