"""The bench of sequences: parts in their quick form, and what needs no training measured in full."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch

from amiss.analysis.findings.statistics import auc
from amiss.bench.bench import Run, load_bench
from amiss.bench.sequences_drawn import marker_svg, signals_svg
from amiss.bench.sequences_movies import bins, intervals
from amiss.data.sequences import Sequences

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
    gains = {"movie_auc_gain", "movie_auc_gain_shuffled", "marker_curve_slope", "caption_over_prior"}
    assert all(0 <= value < 100 for name, value in figures.items() if name not in {*gains, "feedback_gain"})
    assert all(-1 < value < 1 for name, value in figures.items() if name in gains)


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


def test_cells_are_judged_by_what_had_been_seen_at_the_end_of_a_stretch_and_by_no_later_frame():
    left, lengths = torch.tensor([3, 9, 20, 38]), torch.tensor([12, 12, 15, 15])
    found = {near: dict(zip(*(t.tolist() for t in part), strict=True)) for near, _, part in bins(left, lengths)}
    # One is marked before it was seen often enough; one lives to the marker; two divide 5 and 23 frames before it.
    assert found == {0: {1: 9, 2: 15}, 8: {2: 12}, 16: {2: 4, 3: 15}, 24: {3: 14}, 32: {3: 6}}


def test_intervals_hold_families_together():
    family = torch.arange(40).repeat_interleave(5)
    labels = family % 2
    score = labels + torch.randn(40, generator=torch.Generator().manual_seed(0)).repeat_interleave(5)  # of a family
    data = Sequences.of(torch.zeros(200, 1, 1), None, labels, table={"family": family})
    together = intervals({"a": score, "b": score}, data, 0)
    apart = intervals({"a": score}, replace(data, table={"family": torch.arange(200)}), 0)
    assert together["b - a"] == [0, 0]
    low, high = together["a"]
    assert low < auc(score, labels) < high
    assert high - low > 1.5 * (apart["a"][1] - apart["a"][0])  # as if 200 cells were 200 families


def test_time_before_the_marker_runs_from_left_to_right_and_higher_is_better():
    ends = {name: [0.6, 0.9] for name in ("movie", "frame", "known")}
    near, far = ({"from": a, "to": a + 8, "movie": m, "frame": 0.6, "known": 0.9, "intervals": ends} for a, m in
                 ((0, 0.9), (8, 0.7)))  # fmt: skip
    svg = ElementTree.fromstring(marker_svg([near, far]))
    line = svg.find("{*}polyline").get("points").split()
    (right, high), (left, low) = (tuple(map(float, point.split(","))) for point in line)
    assert left < right and high < low  # y grows downwards


def test_a_burst_is_marked_where_it_is():
    t = torch.arange(256) / 128
    burst = torch.where((t - 1.5).abs() < 0.25, 3.0, 0.0)[None]
    svg = ElementTree.fromstring(signals_svg(burst, ["calm"], [1.5], 2.0))
    mark = svg.findall("{*}rect")[1]
    left = float(mark.get("x"))
    right = left + float(mark.get("width"))
    places = [tuple(map(float, point.split(","))) for point in svg.find("{*}polyline").get("points").split()]
    level = places[0][1]
    loud = [x for x, y in places if y < level]
    assert left <= min(loud) < left + 5 and right - 5 < max(loud) <= right
