"""Figures of a run are those of its ledger; what could not be measured is left out."""

from itertools import pairwise

from amiss.result import Outcome
from amiss.study.figures import figures, figures_known, telling
from amiss.study.ledger import Entry

NAN = float("nan")


def entry(sample, status="met", claimed=None, size=0.5, l2=1.0, queries=4):
    outcome = Outcome(status, size, 0.0, queries, queries, 0, "")
    return Entry(
        sample, "", outcome, outcome.met if claimed is None else claimed, 1, 1, l2, 0.1, 0.0, 0, sample, "", ""
    )


def test_nothing_finished_says_only_that():
    assert figures([], 5) == {"samples": 5, "finished": 0, "met": 0}


def test_shares_are_of_what_is_finished_and_sizes_of_what_moved():
    done = [
        entry(0, size=0.2, l2=2.0, queries=3),
        entry(1, size=0.4, l2=4.0, queries=9),
        entry(2, "already-met", size=0.0, l2=0.0, queries=1),
        entry(3, "exhausted", claimed=True, size=9.0, l2=9.0, queries=10),
        entry(4, "not-finite", size=8.0, l2=NAN, queries=2),
    ]
    told = figures(done, 8)
    assert (told["samples"], told["finished"], told["met"]) == (8, 5, 3)
    assert told["success_rate"] == 3 / 5
    assert told["verified_from_disk"] == 3 / 4
    assert told["queries"] == 3
    assert (told["size"], told["l2"]) == (0.2 + 0.1, 3.0)
    assert set(told) <= set(figures_known())


def test_a_length_that_is_none_is_left_out():
    told = figures([entry(0, l2=NAN)], 1)
    assert "l2" not in told
    assert "size" in told
    assert "verified_from_disk" not in figures([entry(0, "exhausted")], 1)


def test_few_samples_all_stand_for_themselves():
    assert telling([entry(i) for i in range(10)], most=10) == list(range(10))


def test_of_many_some_are_spread_out():
    chosen = telling([entry(i) for i in range(1000)], most=50)
    assert len(chosen) == len(set(chosen)) == 50
    assert {b - a for a, b in pairwise(chosen)} == {20}
    assert telling([], most=50) == []
