"""How batteries judge: expected failures are strict, laws that do not apply say why, errors list all that broke."""

import re

import pytest
import torch

from amiss.constraints import L2, Linf
from amiss.errors import UsageError
from amiss.objectives import Become
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.testing import BatteryError, Verdict, check_constraint, check_objective, check_probe, check_space, laws
from amiss.testing.batteries.values import apart, refuse_strange, same, saved, shaken
from amiss.testing.batteries.verdicts import Broken
from tests.testing.saboteurs import Dimmed, Offset, Reducing, Toothless

KINDS = ("space", "objective", "constraint", "optimizer", "probe")


def test_a_verdict_a_law_in_their_order():
    verdicts = check_constraint(L2())
    assert [v.id for v in verdicts] == list(laws("constraint"))
    skipped = {v.id: v.detail for v in verdicts if v.passed is None}
    assert set(skipped) == {"size-is-within-the-bound", "bounds-agree-with-projection"}
    assert all(skipped.values())


@pytest.mark.parametrize("kind", KINDS)
def test_laws_have_an_id_and_a_meaning_each(kind):
    for law, meaning in laws(kind).items():
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", law)
        assert meaning.endswith(".") and len(meaning) > 30


def test_an_expected_failure_is_forgiven_with_its_reason():
    reason = "starts in the dark on purpose"
    verdicts = check_space(Dimmed(), expected_failures={"start-is-the-image": reason})
    (broken,) = [v for v in verdicts if v.passed is False]
    assert broken.id == "start-is-the-image" and reason in broken.detail


def test_an_expected_failure_that_holds_is_an_error():
    with pytest.raises(BatteryError, match="held, though it was expected to break: long ago") as caught:
        check_space(Pixels(), expected_failures={"images-in-range": "long ago"})
    assert caught.value.failed == ("images-in-range",)


def test_a_law_that_there_is_not_is_refused(refuses):
    with refuses(UsageError, "battery-law"):
        check_space(Pixels(), expected_failures={"images-in-rage": "a typing mistake"})


class Loose(Toothless, Offset):
    """Broken in two ways."""


def test_all_that_broke_is_listed_at_once():
    with pytest.raises(BatteryError) as caught:
        check_constraint(Loose(0.05))
    error = caught.value
    assert {"size-is-within-the-bound", "size-begins-at-zero", "bounds-agree-with-projection"} <= set(error.failed)
    assert isinstance(error, AssertionError)
    assert [v.id for v in error.verdicts if v.passed is False] == list(error.failed)
    assert str(error).startswith(f"{len(error.failed)} of {len(error.verdicts)} laws fail for Loose(eps=0.05):")
    for name in error.failed:
        assert f"\n  {name}: {laws('constraint')[name]} seen " in str(error)


def test_a_noun_that_raises_breaks_the_law_and_not_the_battery():
    class Raising(Linf):
        def size(self, v, task):
            raise ValueError("no size today")

    with pytest.raises(BatteryError, match="seen ValueError: no size today; needed no error"):
        check_constraint(Raising(0.1))


def test_ctrl_c_is_not_swallowed():
    class Interrupted(Linf):
        def project(self, v, task):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_constraint(Interrupted(0.1))


def test_a_probe_breaks_by_its_nouns():
    with pytest.raises(BatteryError) as caught:
        check_objective(Reducing())
    assert "rows-are-scored" in caught.value.failed
    probe = Probe(Pixels(), Become(), Linf(0.05), Sign(0.01), budget=Budget(5))
    assert all(isinstance(v, Verdict) for v in check_probe(probe))


def test_checking_leaves_the_global_generators_alone():
    probe = Probe(Pixels(), Become(), Linf(0.05), Sign(0.01), budget=Budget(3))
    before = torch.get_rng_state()
    check_probe(probe)
    assert torch.equal(torch.get_rng_state(), before)
    with shaken():
        assert not torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


STATE = {
    "p": torch.randn(2, 3, dtype=torch.float64),
    "met": torch.tensor([True, False]),
    "none": None,
    "step": 3,
    "flag": False,
    "pace": float("inf"),
    "genomes": [[[2, 0, 1.5]], []],
    "inner": {"name": "second", "empty": torch.zeros(0, 2), "scalar": torch.tensor(float("nan"))},
}


def test_states_come_back_from_a_file_as_they_were():
    refuse_strange(STATE)
    assert same(saved(STATE), STATE)
    other = {**STATE, "p": STATE["p"] + 1e-16}
    other["p"][0, 0] += 1e-9
    assert not same(saved(other), STATE)


@pytest.mark.parametrize(
    "strange",
    [{1: 2}, (1, 2), {"a": {1, 2}}, [torch.ones(1, requires_grad=True)], {"f": print}, {"t": torch.float32}],
    ids=str,
)
def test_what_no_file_holds_is_refused(strange):
    with pytest.raises(Broken):
        refuse_strange(strange)


def test_same_is_strict_and_apart_is_honest():
    one = torch.ones(2)
    assert not same(one, one.double()) and not same(one, torch.ones(3)) and not same(1, 1.0) and not same(True, 1)
    assert not same({"a": 1}, {"b": 1}) and not same([1], [1, 2])
    assert same(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    assert apart(one, one + 0.5) == 0.5
    assert apart(one, torch.ones(3)) == apart(one, one * torch.nan) == float("inf")
    assert apart(one[:0], one[:0]) == 0
