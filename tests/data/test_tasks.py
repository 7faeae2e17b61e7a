"""Tasks for recurrent networks: their labels follow from their frames, and what is known of them is computed."""

from itertools import product

import pytest
import torch

from amiss.data.worlds.tasks import chained, echo, next_symbol, parity, recall
from amiss.errors import UsageError


def lots(seed=0):
    return torch.Generator().manual_seed(seed)


def test_labels_are_what_the_task_says():
    x = parity(50, 9, lots())
    for row, labels in zip(x.frames[:, :, 0].long().tolist(), x.labels.tolist(), strict=True):
        assert labels == [sum(row[: t + 1]) % 2 for t in range(9)]
    x = echo(50, 9, 3, lots())
    said = x.frames.argmax(2)
    assert torch.equal(x.labels[:, 3:], said[:, :6]) and bool((x.labels[:, :3] == 0).all())
    x = next_symbol(50, 9, lots())
    assert torch.equal(x.labels[:, :-1], x.frames.argmax(2)[:, 1:])


def test_a_symbol_is_shown_at_the_mark_alone_and_everything_else_is_noise():
    x = recall(3000, 20, lots(), symbols=3)
    assert x.frames.shape == (3000, 25, 4) and x.labels.shape == (3000,)
    marked = x.frames[:, :, -1] == 1
    assert bool((marked.sum(1) == 1).all()) and bool((x.frames[:, :, -1][~marked] == 0).all())
    assert torch.bincount(marked.long().argmax(1), minlength=25).gt(450).tolist() == [True] * 5 + [False] * 20
    assert torch.equal(x.frames[marked][:, :3], torch.nn.functional.one_hot(x.labels, 3).float())
    noise = x.frames[~marked][:, :3]
    assert abs(float(noise.mean())) < 0.01 and abs(float(noise.std()) - 1) < 0.01
    # Without the mark nothing tells: the channels of a row's noise know no more of its label than chance.
    total = torch.where(marked[:, :, None], 0, x.frames)[:, :, :3].sum(1).argmax(1)
    assert abs(float((total == x.labels).double().mean()) - 1 / 3) < 0.04


def test_neighbors_are_never_equal_and_frames_show_as_much_as_they_should():
    x = chained(2000, 12, lots(), symbols=4, clear=0.6)
    assert bool((x.labels[:, 1:] != x.labels[:, :-1]).all())
    shown = (x.frames.argmax(2) == x.labels).double().mean()
    assert shown == pytest.approx(0.6 + 0.4 / 4, abs=0.01)
    for t in (0, 5, 11):
        shares = torch.bincount(x.labels[:, t], minlength=4) / 2000
        assert bool((shares - 0.25).abs().max() < 0.04)


def test_a_habit_is_followed_and_blank_frames_show_nothing():
    x = chained(2000, 12, lots(), symbols=4, habit=0.9, blank=0.3)
    step = (x.labels[:, 1:] - x.labels[:, :-1]) % 4
    assert [float((step == by).double().mean()) for by in range(4)] == pytest.approx([0, 0.9, 0.05, 0.05], abs=0.01)
    assert float((x.frames.sum(2) == 0).double().mean()) == pytest.approx(0.3, abs=0.01)
    assert bool((x.frames.sum(2) <= 1).all())


@pytest.mark.parametrize(("habit", "blank"), [(None, 0.0), (0.8, 0.3)])
def test_the_information_of_a_label_before_is_that_of_all_labelings_counted_out(habit, blank):
    """Every labeling of three frames, weighed by its probability: the filter must agree."""
    symbols, clear = 3, 0.5
    x = chained(40, 3, lots(), symbols=symbols, clear=clear, habit=habit, blank=blank)
    emit = [[clear * (y == s) + (1 - clear) / symbols for s in range(symbols)] + [1.0] for y in range(symbols)]
    often = (1 / (symbols - 1),) * 2 if habit is None else (habit, (1 - habit) / (symbols - 2))
    move = [[(0.0, *often)[(b - a) % symbols] for b in range(symbols)] for a in range(symbols)]
    for row in range(40):
        shown = [int(frame.argmax()) if frame.sum() else symbols for frame in x.frames[row]]
        true = x.labels[row].tolist()
        for t in range(3):
            joint = {}
            for path in product(range(symbols), repeat=t + 1):
                p = emit[path[0]][shown[0]] / symbols
                for s in range(1, t + 1):
                    p *= move[path[s - 1]][path[s]] * emit[path[s]][shown[s]]
                joint[path] = p
            total = sum(joint.values())
            alone = sum(p for path, p in joint.items() if path[t] == true[t]) / total
            same = {path: p for path, p in joint.items() if path[:t] == tuple(true[:t])}
            given = sum(p for path, p in same.items() if path[t] == true[t]) / sum(same.values())
            assert float(x.information[row, t]) == pytest.approx(float(torch.tensor(given / alone).log()), abs=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: echo(3, 4, 4, lots()),
        lambda: recall(3, 0, lots()),
        lambda: chained(3, 4, lots(), clear=1.5),
        lambda: chained(3, 4, lots(), blank=-0.1),
        lambda: chained(3, 4, lots(), symbols=1),
        lambda: chained(3, 4, lots(), symbols=2, habit=0.9),
    ],
)
def test_tasks_that_there_are_not_are_refused(call):
    with pytest.raises(UsageError, match="task-argument"):
        call()
