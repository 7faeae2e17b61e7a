"""Pairing two runs: laws of the counts, McNemar's p against another's, and duplicates by their order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from amiss.result import Outcome
from amiss.study.ledger import Entry
from amiss.study.pairing import Fourfold, differences, fourfold, mcnemar, paired, ratio

IDS = st.lists(st.sampled_from("abcd"), max_size=12)
NAN = float("nan")


def entry(l2, status="met", linf=NAN):
    outcome = Outcome(status, l2, 0.0, 1, 1, 1, "")
    return Entry(0, "id", outcome, True, 1, 1, l2, linf, 0.0, 0, 0, "", "")


@given(IDS, IDS)
def test_pairs_are_of_one_image_each_used_once_and_as_many_as_can_be(first, second):
    pairs = paired(first, second)
    assert all(first[i] == second[j] for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert len(pairs) == sum(min(first.count(id), second.count(id)) for id in set(first))
    assert {(j, i) for i, j in pairs} == set(paired(second, first))


def test_duplicates_meet_in_their_order():
    assert paired(["a", "b", "a"], ["a", "a", "c"]) == ((0, 0), (2, 1))
    assert paired(["a"], ["b"]) == ()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_swapping_the_runs_swaps_what_was_broken_and_fixed(pairs):
    table, other = fourfold(pairs), fourfold((b, a) for a, b in pairs)
    assert table.both + table.broken + table.fixed + table.neither == len(pairs)
    assert (other.both, other.broken, other.fixed, other.neither) == (
        table.both,
        table.fixed,
        table.broken,
        table.neither,
    )
    assert other.p == table.p


@given(st.lists(st.booleans(), max_size=30))
def test_a_run_beside_itself_differs_nowhere(held):
    table = fourfold((h, h) for h in held)
    assert (table.broken, table.fixed, table.p) == (0, 0, 1.0)
    assert table.both == sum(held)


@given(st.integers(0, 60), st.integers(0, 60))
def test_p_is_that_of_the_binomial_test(broken, fixed):
    expected = binomtest(broken, broken + fixed, 0.5).pvalue if broken + fixed else 1.0
    assert mcnemar(broken, fixed) == pytest.approx(expected, rel=1e-9)


def test_p_is_a_number_for_many_images():
    assert 0 < mcnemar(2300, 2700) < 1e-7
    assert Fourfold(0, 0, 1, 0).p == 1.0
    assert Fourfold(0, 0, 6, 0).p == 2 / 2**6


def test_sizes_are_compared_where_both_changed_the_image():
    pairs = [(entry(1.0), entry(2.0)), (entry(2.0), entry(1.0)), (entry(1.0), entry(8.0))]
    assert ratio(pairs, "l2") == 2.0
    assert ratio([(b, a) for a, b in pairs], "l2") == 0.5
    none = [(entry(1.0), entry(9.0, "exhausted")), (entry(NAN), entry(1.0)), (entry(0.0, "already-met"), entry(1.0))]
    assert ratio(none, "l2") is None
    assert ratio([(pairs[0][0], replace(pairs[0][1], l2=3.0)), *none], "l2") == 3.0
    assert ratio(pairs, "linf") is None


def test_settings_differ_by_name():
    one = {"recipe": "pgd", "settings": {"eps": 0.1, "steps": 40}}
    two = {"recipe": "pgd", "settings": {"eps": 0.2, "steps": 40, "norm": "l2"}}
    assert differences(one, two) == {"settings.eps": (0.1, 0.2), "settings.norm": (None, "l2")}
    assert differences(one, one) == {}
