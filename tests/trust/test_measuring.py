"""What measurements share: which images they draw, their own randomness, and failures that are told."""

from collections import Counter

import pytest
import torch

from amiss.errors import ModelError
from amiss.trust.flags import found
from amiss.trust.measuring import attempt, sample, seeded


def test_a_sample_holds_as_many_of_each_class_as_can_be():
    labels = torch.tensor([0] * 100 + [1] * 20 + [2] * 3)
    rows = sample(labels, 123, seed=0)
    assert len(rows) == 32 == len(set(rows.tolist()))
    assert rows.tolist() == sorted(rows.tolist())
    taken = Counter(labels[rows].tolist())
    assert taken[2] == 3 and {taken[0], taken[1]} <= {14, 15}


def test_a_sample_is_the_seeds_alone_and_everything_where_there_is_little():
    labels = torch.arange(200) % 7
    assert torch.equal(sample(labels, 200, 1), sample(labels, 200, 1))
    assert not torch.equal(sample(labels, 200, 1), sample(labels, 200, 2))
    assert sample(None, 5, 3).tolist() == [0, 1, 2, 3, 4]
    assert len(sample(None, 200, 3)) == 32
    assert sample(torch.zeros(0, dtype=torch.int64), 0, 0).tolist() == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("the network gives up\nat line 3"), "RuntimeError: the network gives up"),
        (
            ModelError("The network returns no tensor.", slug="model-output", hint="x"),
            "The network returns no tensor.",
        ),
    ],
)
def test_a_failure_becomes_flags_that_say_why(error, said):
    def fail():
        raise error

    flags = attempt(["parity", "randomness"], fail)
    assert [(flag.slug, flag.state) for flag in flags] == [("parity", "not measured"), ("randomness", "not measured")]
    assert all(flag.measured == f"The measurement failed. {said}" for flag in flags)
    assert attempt(["parity"], lambda: [found("parity", True, 1.0, "x")])[0].fired


def test_a_user_who_interrupts_is_obeyed():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(["parity"], stop)


def test_global_randomness_begins_at_the_seed_and_is_given_back():
    before = torch.get_rng_state()

    def fail(seed):
        with seeded(torch.device("cpu"), seed):
            drawn.append(torch.rand(3))
            raise ZeroDivisionError

    drawn = []
    for seed in (3, 3, 4):
        with pytest.raises(ZeroDivisionError):
            fail(seed)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)
