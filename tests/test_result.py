"""What a probe hands back: counts that add up, changes measured, batches joined, words that cannot be markup."""

import html.parser

import pytest
import torch

from amiss.result import STATUSES, Outcome, Recorder, Result
from amiss.task import Task

IMAGE = torch.full((3, 1, 2, 2), 0.5)
CHANGE = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.3, 0.0, -0.4, 0.0], [0.1, 0.1, 0.1, 0.1]]).view(3, 1, 2, 2)


def outcome(status="met", reason="First met at turn 3."):
    return Outcome(status, 0.5, 0.25, 4, 5, 3, reason)


def result(image=IMAGE, **options):
    task = Task(torch.arange(3), image, label=torch.tensor([0, 1, 2]), extra={"z": torch.eye(3)})
    outcomes = tuple(outcome(s) for s in ("already-met", "met", "exhausted"))
    return Result(task, IMAGE + CHANGE, IMAGE + CHANGE, outcomes, probe="Probe()", **options)


def test_only_two_statuses_are_successes():
    assert [s for s in STATUSES if outcome(s).met] == ["met", "already-met"]
    assert len(set(STATUSES)) == len(STATUSES)


def test_counts_and_sizes():
    found = result()
    assert len(found) == 3
    assert found.met.tolist() == [True, True, False]
    assert found.counts == {"already-met": 1, "met": 1, "exhausted": 1}
    assert found.size.tolist() == [0.5] * 3
    assert found.l2.tolist() == pytest.approx([0, 0.5, 0.2], abs=1e-7)
    assert found.linf.tolist() == pytest.approx([0, 0.4, 0.1], abs=1e-7)
    assert result(image=None).l2.isnan().all()
    assert "3 samples" in repr(found) and "1 exhausted" in repr(found)


def test_the_table_names_what_there_is():
    first, *_ = rows = result().table
    assert [row["sample"] for row in rows] == [0, 1, 2]
    assert (first["label"], first["target"], first["status"]) == (0, None, "already-met")
    assert {(row["steps"], row["queries"], row["first"]) for row in rows} == {(4, 5, 3)}
    assert [row["linf"] for row in rows] == result().linf.tolist()


def test_batches_are_joined_in_order():
    whole = result(seconds=2.0)
    parts = [
        Result(
            whole.task.rows(torch.tensor(rows)),
            whole.images[rows],
            whole.p[rows],
            tuple(whole.outcomes[i] for i in rows),
            probe=whole.probe,
            seconds=1.0,
        )
        for rows in ([0, 1], [2])
    ]
    joined = Result.join(parts)
    assert torch.equal(joined.images, whole.images) and torch.equal(joined.p, whole.p)
    assert torch.equal(joined.task.extra["z"], whole.task.extra["z"])
    assert joined.task.target is None and joined.outcomes == whole.outcomes
    assert (joined.seconds, joined.probe) == (2.0, "Probe()")
    assert joined.table == whole.table
    assert Result.join([whole]) is whole


def test_genomes_are_joined_as_lists():
    task = Task(torch.arange(1))
    parts = [Result(task, IMAGE[:1], [[k, 1.5]], (outcome(),)) for k in range(3)]
    assert Result.join(parts).p == [[0, 1.5], [1, 1.5], [2, 1.5]]


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_html_shows_pairs_and_escapes_every_word():
    nasty = "<script>alert('x')</script> & \"quotes\""
    found = Result(Task(torch.arange(1), IMAGE[:1]), IMAGE[:1], IMAGE[:1], (outcome(reason=nasty),))
    reader = Reader()
    reader.feed(found._repr_html_())
    assert {tag for tag, _ in reader.tags} == {"table", "caption", "tr", "th", "td", "img"}
    assert nasty in reader.text
    pictures = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert len(pictures) == 2
    assert all(src.startswith("data:image/png;base64,") for src in pictures)
    color = Result(Task(torch.arange(1)), torch.rand(1, 3, 4, 4), torch.zeros(1), (outcome(),))
    assert color._repr_html_().count("<img") == 1


def test_a_recorder_thins_frames_evenly_and_keeps_every_number():
    recorder, n, turns = Recorder(frames=4), 2, 203
    for turn in range(turns):
        rows = torch.tensor([0, 1 if turn < 100 else -1])
        images = torch.full((n, 1, 1, 1), turn / 255)
        value = torch.full((n,), float(turn))
        recorder.add(turn, rows, value > 50, value, value, images)
    assert len(recorder.images) <= 17
    first, second = recorder.paths(torch.ones(n, 1, 1, 1))
    assert first.turns.tolist() == list(range(turns))
    assert first.loss.tolist() == list(range(turns))
    assert first.met.tolist() == [t > 50 for t in range(turns)]
    assert second.turns.tolist() == list(range(100))
    for path, last in ((first, turns - 1), (second, 99)):
        assert len(path.frames) == 4
        assert path.frames[:-1].flatten().tolist() == path.frame_turns[:-1].tolist()
        assert path.frames[-1].item() == 255
        assert path.frame_turns[-1].item() == last
        assert path.frame_turns[0].item() == 0
        assert path.frame_turns[:-1].max() >= 0.8 * last
