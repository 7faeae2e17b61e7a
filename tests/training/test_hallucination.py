"""Hallucination: thresholds by hand, counts by hand, and models of which it is known what they say of nothing."""

import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import LabelSequence
from amiss.training.measures.hallucination import answer_above, drawn_labels, hallucination

SURE = torch.tensor([0.9, 0.2, 0.8, 0.7, 0.7])
RIGHT = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(("rate", "above"), [(1.0, 0.8), (0.76, 0.8), (0.75, 0.7), (0.6, 0.2), (0.01, 0.2)])
def test_the_least_confidence_is_taken_at_which_answers_are_right_often_enough(rate, above):
    found = answer_above(SURE, RIGHT, rate)
    assert found == pytest.approx(above)
    assert RIGHT[found <= SURE].mean() >= rate  # of all that are as sure, ties among them


def test_a_threshold_is_found_wherever_new_tensors_are_made():
    with torch.device("meta"):  # as on a GPU: what is made by default lies elsewhere than the answers
        assert answer_above(SURE, RIGHT, 0.75) == pytest.approx(0.7)
        assert hallucination(SURE, RIGHT > 0, 0.65).hallucinated == 3


def test_a_model_that_is_never_right_answers_nothing():
    assert answer_above(SURE, torch.zeros(5), 0.5) == math.inf
    h = hallucination(SURE, torch.ones(5), math.inf)
    assert (h.asked, h.answered, h.plausible, h.hallucinated, h.rate) == (5, 0, 5, 0, 0)


def test_what_is_sure_and_could_be_true_is_counted():
    h = hallucination(SURE, torch.tensor([True, True, False, True, False]), 0.65)
    assert (h.answered, h.plausible, h.hallucinated) == (4, 3, 2)
    assert h.rate == pytest.approx(0.4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: answer_above(SURE, RIGHT, 0.0),
        lambda: answer_above(SURE, RIGHT, math.nan),
        lambda: answer_above(SURE, RIGHT[:3]),
        lambda: answer_above(SURE[:0], RIGHT[:0]),
        lambda: answer_above(SURE.log().where(SURE < 0.9, math.nan), RIGHT),
        lambda: answer_above(SURE, RIGHT / 0),
        lambda: hallucination(SURE, RIGHT[:3], 0.5),
        lambda: hallucination(SURE * math.nan, RIGHT, 0.5),
        lambda: hallucination(SURE[None], RIGHT[None], 0.5),
    ],
)
def test_what_cannot_be_counted_is_refused(call):
    with pytest.raises(UsageError, match="hallucination"):
        call()


def counting(feedback):
    """A model by hand that has a label follow the one before, where it hears it; of frames it knows nothing."""
    net = LabelSequence(1, 3, hidden=3, cell="rnn", feedback=feedback).requires_grad_(False)
    row = net.recurrent.rows[0]
    for p in row.parameters():
        p.zero_()
    row.weight_ih_l0[:, :3] = 5 * torch.eye(3)  # the state is the label before
    net.readout.weight.copy_(4 * torch.eye(3).roll(1, 0))
    net.readout.bias.zero_()
    net.embedding.weight[3] = 0
    return net


def test_a_model_that_hears_itself_is_sure_of_what_it_began_and_one_that_does_not_is_not():
    lengths = torch.tensor([8] * 300 + [5] * 300)
    for feedback, steady in ((True, 4 - math.log(math.exp(4) + 2)), (False, -math.log(3))):
        said, sure = drawn_labels(counting(feedback), torch.zeros(600, 8, 1), lengths)
        follows = ((said[:, 1:] - said[:, :-1]) % 3 == 1)[:, :4].all(1)
        assert float(follows.double().mean()) == pytest.approx(math.exp(4 * steady), abs=0.05)
        kept = sure[:300][((said[:300, 1:] - said[:300, :-1]) % 3 == 1).all(1)]
        if feedback:
            torch.testing.assert_close(
                kept, torch.full_like(kept, math.exp((7 * steady - math.log(3)) / 8)), rtol=1e-3, atol=0
            )
        else:
            torch.testing.assert_close(sure, torch.full_like(sure, 1 / 3))


def test_confidence_is_that_of_the_rows_alone():
    net, x = LabelSequence(2, 3, hidden=4, feedback=True).requires_grad_(False), torch.randn(4, 5, 2)
    said, sure = drawn_labels(net, x, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(sure, (net.log_prob(said, x) / 5).exp())
    assert torch.equal(said, net.sample(4, x, generator=torch.Generator().manual_seed(2)))
