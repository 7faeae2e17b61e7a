"""Sequences, and the drawn worlds of movies and signals: their truths are measured in what is drawn."""

import math

import pytest
import torch

from amiss.data import open_data
from amiss.data.sequences import Sequences
from amiss.data.worlds.cell_movies import sample_cells
from amiss.data.worlds.digit_movies import digit_movies
from amiss.data.worlds.signals import RATE, sample_signals
from amiss.errors import DataError, UsageError


def some(**kwargs):
    return Sequences.of(torch.arange(24.0).reshape(3, 4, 2), [4, 1, 3], [0, 1, 0], **kwargs)


def test_rows_are_picked_cut_and_shuffled_within_their_lengths():
    x = some(beside=torch.rand(3, 4, 1), table={"age": torch.tensor([1.0, 2, 3])})
    part = x.pick([2, 0])
    assert torch.equal(part.frames, x.frames[[2, 0]]) and part.table["age"].tolist() == [3, 1]
    cut = x.cut(torch.tensor([2, 0, 9]))
    assert cut.lengths.tolist() == [2, 3] and cut.truth.tolist() == [0, 0]
    mixed = x.shuffled(1)
    for row, end in enumerate(x.lengths):
        assert sorted(mixed.frames[row, :end, 0].tolist()) == x.frames[row, :end, 0].tolist()
        places = [x.frames[row, :, 0].tolist().index(v) for v in mixed.frames[row, :, 0].tolist()]
        assert torch.equal(mixed.beside[row], x.beside[row, places])  # what is beside a frame goes with it
    assert not torch.equal(mixed.frames[0], x.frames[0])


def test_labels_of_frames_behind_a_new_end_are_0():
    x = Sequences.of(torch.zeros(3, 4, 2), [4, 1, 3], torch.ones(3, 4))
    cut = x.cut(torch.tensor([2, 0, 9]))
    assert cut.frame_truth.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert x.frame_truth.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]


def test_what_stands_behind_an_end_is_no_part_of_the_content():
    x, frames = some(), torch.arange(24.0).reshape(3, 4, 2)
    frames[1, 1:] = torch.nan
    assert Sequences.of(frames, [4, 1, 3], [0, 1, 0]).fingerprint == x.fingerprint
    assert Sequences.of(frames[:, :1], None, [0, 1, 0]).fingerprint != x.fingerprint


def test_labels_of_frames_go_with_them_and_count_as_far_as_they_do():
    frames, marks = torch.arange(24.0).reshape(3, 4, 2), torch.arange(12).reshape(3, 4) % 5
    x = Sequences.of(frames, [4, 1, 3], marks)
    assert x.classes == ("0", "1", "2", "3", "4")
    assert x.frame_truth.tolist() == [[0, 1, 2, 3], [4, 0, 0, 0], [3, 4, 0, 0]]
    mixed = x.shuffled(1)
    for row, end in enumerate(x.lengths):
        for at in range(int(end)):
            place = x.frames[row, :, 0].tolist().index(float(mixed.frames[row, at, 0]))
            assert mixed.frame_truth[row, at] == x.frame_truth[row, place]
    behind, within = marks.float(), marks.clone()
    behind[1, 1:] = torch.nan  # behind an end there is no label
    within[2, 2] = 1
    assert Sequences.of(frames, [4, 1, 3], behind).fingerprint == x.fingerprint
    assert Sequences.of(frames, [4, 1, 3], within, x.classes).fingerprint != x.fingerprint
    with pytest.raises(DataError, match="sequences-labels"):
        _ = x.truth
    with pytest.raises(DataError, match="sequences-labels"):
        _ = some().frame_truth


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        ((torch.zeros(3, 4), None), "sequences"),
        ((torch.zeros(3, 4, 2, dtype=torch.int64), None), "sequences"),
        ((torch.zeros(0, 4, 2), None), "sequences"),
        ((torch.zeros(3, 0, 2), None), "sequences"),
        ((torch.zeros(3, 4, 0), None), "sequences"),
        ((torch.zeros(3, 4, 2), [4, 0, 1]), "sequences"),
        ((torch.zeros(3, 4, 2), [4, 5, 1]), "sequences"),
        ((torch.zeros(3, 4, 2), [4, 4]), "sequences"),
        ((torch.zeros(3, 4, 2), None, [0, 1]), "sequences"),
        ((torch.zeros(3, 4, 2), None, [0, 1, 2], ["a", "b"]), "sequences"),
        ((torch.zeros(3, 4, 2), None, torch.zeros(3, 3)), "sequences"),
        ((torch.zeros(3, 4, 2), None, torch.full((3, 4), 0.5)), "sequences"),
        ((torch.zeros(3, 4, 2), None, torch.full((3, 4), torch.nan)), "sequences"),
        ((torch.zeros(3, 4, 2), None, [[0, 1], [0], [1]]), "sequences"),
        ((torch.full((3, 4, 2), torch.nan), None), "sequences-finite"),
    ],
)
def test_what_are_no_sequences_is_refused(arguments, slug):
    with pytest.raises(DataError) as caught:
        Sequences.of(*arguments)
    assert caught.value.slug == slug
    with pytest.raises(DataError, match="sequences-labels"):
        _ = Sequences.of(torch.zeros(3, 4, 2)).truth


@pytest.mark.parametrize(
    ("labels", "names", "seen", "said"),
    [
        ([0] * 20, (), "[20], from 0 to 0", "[40] for sequences or [40, 12]"),
        (torch.zeros(40, 7), (), "[40, 7], from 0 to 0", "one for each frame"),
        (torch.eye(3)[torch.arange(480).reshape(40, 12) % 3], (), "[40, 12, 3]", "argmax"),
        ([-1] * 40, (), "[40], from -1 to -1", "from 0"),
        (torch.full((40,), 1.5), (), "from 1.5 to 1.5", "whole numbers"),
        (torch.eye(3)[torch.arange(40) % 3], (), "[40, 3]", "argmax"),
        ([5] * 40, ("a", "b"), "from 5 to 5", "from 0 to 1"),
        (["a"] * 40, (), "words", "[40]"),
        ([[0, 1], [0]], (), "rows of different lengths", "padded"),
    ],
)
def test_labels_that_do_not_fit_are_shown_beside_those_that_would(labels, names, seen, said):
    with pytest.raises(DataError) as caught:
        Sequences.of(torch.zeros(40, 12, 3), None, labels, names)
    assert caught.value.slug == "sequences"
    assert seen in caught.value.seen and said in str(caught.value)


@pytest.mark.parametrize("lengths", [[0, 4], [13, 4], [-1, 4], [1.5, 4], [4], []])
def test_lengths_that_do_not_fit_are_shown_beside_those_that_would(lengths):
    with pytest.raises(DataError) as caught:
        Sequences.of(torch.zeros(2, 12, 3), lengths)
    assert caught.value.slug == "sequences" and caught.value.needed == "[2], whole numbers from 1 to 12"
    assert caught.value.seen.startswith(f"[{len(lengths)}], ")
    if lengths:
        assert caught.value.seen.endswith(f"from {min(lengths):g} to {max(lengths):g}")


def test_labels_have_no_wide_gaps_but_where_all_classes_have_names():
    def of(most, kinds=2, **kwargs):
        labels = torch.arange(40) % kinds
        labels[0] = most - 1
        return Sequences.of(torch.zeros(40, 3, 1), None, labels, **kwargs)

    assert len(of(100).classes) == 100
    assert len(of(300, 39).classes) == 300  # 40 of them are there
    names = [str(i) for i in range(101)]
    assert of(101, classes=names).classes == tuple(names)
    for most in (101, 100_001, 2 * 10**12):
        with pytest.raises(DataError, match="3 are there"):
            of(most)


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.int32, torch.float64, torch.bool])
def test_labels_of_any_type_are_the_same_labels(kind):
    found = Sequences.of(torch.zeros(3, 4, 2), None, torch.tensor([0, 1, 1]).to(kind))
    assert found.truth.dtype == torch.int64 and found.truth.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (torch.zeros(3, 4, 2, dtype=torch.int64), "floats"),
        (torch.zeros(3, 4), "one number a frame"),
        (torch.zeros(3, 4, 8, 8, dtype=torch.uint8), "gray pictures"),
        (torch.zeros(3, 4, 1, 8, 8), "bytes"),
        (torch.zeros(3), "Pad"),
    ],
)
def test_frames_that_do_not_fit_are_told_what_is_missing(frames, said):
    with pytest.raises(DataError) as caught:
        Sequences.of(frames)
    assert caught.value.slug == "sequences" and said in caught.value.hint


def test_samples_of_signals_are_joined_into_frames():
    x = Sequences.of(torch.arange(14.0).reshape(2, 7, 1), [7, 5], [0, 1])
    joined = x.joined(3)
    assert joined.frames[0].tolist() == [[0, 1, 2], [3, 4, 5]] and joined.lengths.tolist() == [2, 1]
    assert torch.equal(joined.truth, x.truth)
    movies = Sequences.of(torch.zeros(2, 7, 1, 8, 8, dtype=torch.uint8))
    for sequences, k in ((x, 6), (x, 0), (movies, 2), (some(beside=torch.rand(3, 4, 1)), 1)):
        with pytest.raises(DataError, match="sequences-joined"):
            sequences.joined(k)


@pytest.fixture(scope="module")
def cells():
    return sample_cells(1500, seed=1)


def test_families_are_those_of_two_divisions(cells):
    assert len(cells) == 7 * 1500
    for generation, count in enumerate((1, 2, 4)):
        assert int((cells.generation == generation).sum()) == count * 1500
    daughters = cells.generation > 0
    mothers = cells.mother[daughters]
    assert torch.equal(cells.generation[mothers] + 1, cells.generation[daughters])
    assert torch.equal(cells.lineage[mothers], cells.lineage[daughters])
    assert torch.equal(cells.family[mothers], cells.family[daughters])
    assert set(mothers.bincount(minlength=len(cells))[cells.generation < 2].tolist()) == {2}


def test_a_marker_comes_in_the_last_generation_and_is_counted_from_all_that_came_before(cells):
    last = cells.generation == 2
    assert bool((cells.onset[~last] == -1).all())
    assert bool(((cells.onset >= 0) & (cells.onset < cells.lengths))[last].all())
    left = cells.before_marker()
    assert torch.equal(left[last], cells.onset[last])
    founder = int((cells.generation == 0).nonzero()[3])
    daughters = (cells.mother == founder).nonzero().flatten().tolist()
    ways = [
        int(cells.lengths[founder] + cells.lengths[d] + cells.onset[g])
        for d in daughters
        for g in (cells.mother == d).nonzero().flatten().tolist()
    ]
    assert int(left[founder]) == min(ways)


def test_lineages_differ_in_shape_and_in_which_way_they_turn_and_not_in_the_length_of_their_steps(cells):
    last = cells.generation == 2
    groups = [last & (cells.lineage == y) for y in (0, 1)]
    longer = (cells.elongation[groups[1]].mean() - cells.elongation[groups[0]].mean()) / 0.12
    assert longer == pytest.approx(1.5, abs=0.08)
    for group, sign in zip(groups, (-1, 1), strict=True):
        steps = cells.steps[group]
        x, y = steps[:, :-1], steps[:, 1:]
        kept = (x * y).sum(2).mean() / steps.square().sum(2).mean()
        bent = (x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]).mean() / steps.square().sum(2).mean()
        assert kept == pytest.approx(0.85 * math.cos(0.3), abs=0.03)
        assert bent == pytest.approx(sign * 0.85 * math.sin(0.3), abs=0.03)
        assert steps.square().mean().sqrt() == pytest.approx(2.0, rel=0.03)


def test_a_track_read_backwards_is_one_of_the_other_lineage(cells):
    """All covariances of steps of one lineage are those of the other in the opposite order, and steps are normal."""
    last = cells.generation == 2
    one, other = (cells.steps[last & (cells.lineage == y)][:, :6] / 2 for y in (0, 1))
    back = other.flip(1)
    forth, turned = (torch.einsum("nic,njd->ijcd", s, s) / len(s) for s in (one, back))
    assert (forth - turned).abs().max() < 0.12
    assert (forth - torch.einsum("nic,njd->ijcd", other, other) / len(other)).abs().max() > 0.4


def test_the_odds_are_those_of_the_cells(cells):
    shape, motion = cells.log_odds(cells.before_marker())
    for odds in (
        shape,
        motion,
        shape + motion,
    ):  # of cells with odds of about e^x, a share of sigmoid(x) is of lineage 1
        for low in (-2.0, -1.0, 0.0, 1.0):
            here = (odds > low) & (odds <= low + 1)
            assert cells.lineage[here].double().mean() == pytest.approx(float(odds[here].sigmoid().mean()), abs=0.04)
    assert not bool(cells.log_odds(torch.ones(len(cells), dtype=torch.int64))[1].any())  # one frame has no turn
    assert torch.equal(cells.log_odds()[0], shape)


def test_what_is_drawn_is_what_the_table_says():
    few = sample_cells(60, seed=2)
    movies = few.movies()
    assert movies.frames.shape[1:] == (20, 1, 27, 27) and movies.frames.dtype == torch.uint8
    assert torch.equal(movies.lengths, few.lengths) and torch.equal(movies.truth, few.lineage)
    assert torch.equal(sample_cells(3, seed=2).movies().frames, movies.frames[:21])  # families stand for themselves
    # The second moments of the dark rim give back the axes' ratio, but for noise and each frame's own wobble.
    axis = torch.arange(27.0) - 13
    near = (axis.square() + axis[:, None].square()) < 60
    dark = ((0.42 - movies.frames[:, :10, 0].float() / 255).clamp(min=0) * near).flatten(2)
    moments = [(dark * m.expand(27, 27).flatten()).sum(2) / dark.sum(2) for m in
               (axis.square(), axis[:, None].square(), axis * axis[:, None])]  # fmt: skip
    middle, half = (moments[0] + moments[1]) / 2, (moments[0] - moments[1]) / 2
    spread = (half.square() + moments[2].square()).sqrt()
    ratio = (((middle + spread) / (middle - spread)).sqrt().log()).mean(1)
    assert torch.corrcoef(torch.stack([ratio, few.elongation]))[0, 1] > 0.8


def test_clear_frames_show_their_digit_and_others_noise():
    images = open_data("digits", limit=40)
    movies = digit_movies(images, frames=5, shown=(1, 3), noise=0.3)
    assert torch.equal(movies.truth, images.truth)
    x = images.images()[:, 0].flatten(1)
    x = x - x.mean(1, keepdim=True)
    for t in range(5):
        frame = movies.frames[:, t, 0].float().flatten(1)
        frame = frame - frame.mean(1, keepdim=True)
        told = float(torch.nn.functional.cosine_similarity(x, frame).mean())
        assert (told > 0.6) if t in (1, 3) else abs(told) < 0.05
    assert torch.equal(movies.frames[:3], digit_movies(images.pick(slice(3)), 5, (1, 3), noise=0.3).frames)


def test_signals_hold_a_burst_of_their_band():
    signals = sample_signals(400, seed=0)
    assert signals.frames.shape == (400, 2 * RATE, 1)
    bare = sample_signals(400, seed=0, loudness=0.0)
    burst = (signals.frames - bare.frames)[:, :, 0]
    power = torch.fft.rfft(burst, n=16 * RATE).abs().square()
    peak = power.argmax(1) / 16
    assert bool(((peak - signals.table["frequency"]).abs() < 1.0).all())
    assert torch.equal(signals.truth, (signals.table["frequency"] > 15).long())
    t = torch.arange(2 * RATE) / RATE
    middle = (burst.square() * t).sum(1) / burst.square().sum(1)
    assert bool(((middle - signals.table["middle"]).abs() < 0.02).all())
    noise = bare.frames[:, :, 0]
    assert noise.std() == pytest.approx(1.0, rel=0.05)
    spectrum = torch.fft.rfft(noise).abs().square().mean(0)[1:100].log()
    f = torch.arange(1, 100.0).log()
    slope = ((f - f.mean()) * (spectrum - spectrum.mean())).sum() / (f - f.mean()).square().sum()
    assert slope == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_cells(0, 0),
        lambda: sample_cells(3, 0, math.nan),
        lambda: sample_signals(0, 0),
        lambda: sample_signals(3, 0, seconds=0.5),
        lambda: sample_signals(3, 0, loudness=-1),
        lambda: digit_movies(open_data("digits", limit=3), frames=0),
        lambda: digit_movies(open_data("digits", limit=3), shown=(9,)),
        lambda: digit_movies(open_data("digits", limit=3), clear=2.0),
        lambda: digit_movies(open_data("digits", limit=3), noise=-1.0),
    ],
)
def test_worlds_that_there_are_not_are_refused(call):
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.slug in {"cells-argument", "signals-argument", "digit-movies"}
