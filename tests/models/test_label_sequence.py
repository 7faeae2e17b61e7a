"""Labels of sequences: what each may depend on, beams against all rows there are, and one label for a whole."""

from itertools import product

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models.beam import beam
from amiss.models.label_sequence import LabelSequence
from amiss.models.sequence_classifier import SequenceClassifier, mean_of
from amiss.models.token_density import TokenDensity


def labels(**kwargs):
    torch.manual_seed(0)
    net = LabelSequence(2, 3, hidden=5, **kwargs).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    return net.requires_grad_(False)


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_labels_look_at_what_they_may_look_at(feedback, both):
    net = labels(feedback=feedback, bidirectional=both)
    x, y = torch.randn(1, 5, 2, dtype=torch.float64, requires_grad=True), torch.randint(3, (1, 5))
    (slope,) = torch.autograd.grad(net(y, x)[0, :, 2].square().sum(), x)
    assert (slope[0].abs().sum(1) > 0).tolist() == [True] * 3 + [both] * 2
    for t in range(5):
        other = y.clone()
        other[0, t] = (y[0, t] + 1) % 3
        changed = (net(other, x) - net(y, x)).abs().sum((0, 1)) > 1e-9
        assert changed.tolist() == [feedback and s > t for s in range(5)]


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_probabilities_of_all_labelings_sum_to_1_and_draws_follow_them(feedback, both):
    net, x = labels(feedback=feedback, bidirectional=both), torch.randn(1, 3, 2, dtype=torch.float64)
    rows = torch.tensor(list(product(range(3), repeat=3)))
    chances = net.log_prob(rows, x.expand(27, 3, 2)).exp()
    assert abs(float(chances.sum()) - 1) < 1e-10
    drawn = net.sample(9000, x.expand(9000, 3, 2), generator=torch.Generator().manual_seed(0))
    shares = torch.stack([(drawn == row).all(1).double().mean() for row in rows])
    assert bool(((shares - chances).abs() < 4 * (chances * (1 - chances) / 9000).sqrt() + 1e-9).all())
    assert torch.equal(net.sample(20, x.expand(20, 3, 2)), net.sample_naive(
        20, x.expand(20, 3, 2), given=torch.zeros(20, 3, dtype=torch.int64), mask=torch.tensor(False)))  # fmt: skip


def test_the_likeliest_label_each_time_is_taken():
    net, x = labels(feedback=True), torch.randn(4, 6, 2, dtype=torch.float64)
    chosen = net.label(x)
    assert torch.equal(net(chosen, x).argmax(1), chosen)


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_rows_of_different_lengths_are_labeled_as_each_alone(feedback, both):
    net, lengths = labels(feedback=feedback, bidirectional=both), torch.tensor([5, 1, 3])
    x, y = torch.randn(3, 5, 2, dtype=torch.float64), torch.randint(3, (3, 5))
    for row, end in enumerate(lengths):
        x[row, end:] = torch.nan
    together, said = net.log_probs(y, x, lengths), net.label(x, lengths)
    found, log_p = beam(net, 3, net.ragged(x, lengths), width=4, length=5)
    drawn = net.sample(3, net.ragged(x, lengths), generator=torch.Generator().manual_seed(1))
    for row, end in enumerate(lengths):
        alone, own = x[row : row + 1, :end], y[row : row + 1, :end]
        assert torch.allclose(together[row, :end], net.log_probs(own, alone)[0])
        assert together[row, end:].tolist() == [0] * (5 - int(end))
        assert torch.allclose(net.log_prob(y, x, lengths)[row], net.log_prob(own, alone)[0])
        assert torch.equal(said[row, :end], net.label(alone)[0])
        best, its = beam(net, 1, alone, width=4, length=int(end))
        assert torch.equal(found[row, :end], best[0]) and torch.allclose(log_p[row], its[0])
        for rows in (said, found, drawn):
            assert rows[row, end:].tolist() == [0] * (5 - int(end))
    assert torch.allclose(net.log_prob(drawn, net.ragged(x, lengths)), net.log_prob(drawn, x, lengths))


def test_probabilities_of_all_labelings_of_a_short_row_sum_to_1():
    net, x = labels(feedback=True), torch.randn(1, 4, 2, dtype=torch.float64).expand(27, 4, 2)
    rows = torch.cat([torch.tensor(list(product(range(3), repeat=3))), torch.zeros(27, 1, dtype=torch.int64)], 1)
    assert float(net.log_prob(rows, net.ragged(x, torch.full((27,), 3))).exp().sum()) == pytest.approx(1)


@pytest.mark.parametrize("lengths", [[4, 0], [4, 5], [4]])
def test_lengths_that_frames_have_not_are_refused(lengths):
    net, x = labels(), torch.zeros(2, 4, 2).double()
    with pytest.raises(ContractError, match="sequence-lengths"):
        net.log_prob(torch.zeros(2, 4, dtype=torch.int64), x, torch.tensor(lengths))


def test_frames_with_one_number_more_are_not_taken_for_lengths():
    c = torch.ones(1, 4, 3).double()
    for marks in ([1.0, 0.0, 1.0, 0.0], [0.5] * 4, [0.0, 1.0, 1.0, 1.0]):
        c[0, :, 2] = torch.tensor(marks)
        with pytest.raises(ContractError, match="sequence-shape"):
            labels().label(c)


@pytest.mark.parametrize(
    "c", [None, torch.zeros(2, 4), torch.zeros(2, 3, 2), torch.zeros(1, 4, 2), torch.zeros(2, 4, 3)]
)
def test_labels_without_their_frames_are_refused(c):
    with pytest.raises(ContractError):
        labels().log_prob(torch.zeros(2, 4, dtype=torch.int64), None if c is None else c.double())


@pytest.mark.parametrize("both", [False, True])
def test_labels_and_frames_are_as_many_as_each_other(both):
    net, x = labels(bidirectional=both), torch.zeros(2, 10, 2).double()
    y = torch.zeros(2, 12, dtype=torch.int64)
    for call in (
        lambda: net.log_prob(y[:, :9], x),
        lambda: net.log_prob(y, x),
        lambda: net.log_prob(y[:, :9], x, torch.tensor([10, 3])),
        lambda: net.log_prob(y[:1, :10], x),
        lambda: net(y[:, :9], x),
        lambda: beam(net, 2, x, length=12),
        lambda: net.sample(2, x, given=y, mask=torch.tensor(False)),
    ):
        with pytest.raises(ContractError) as caught:
            call()
        assert caught.value.slug == "label-frames" and "10" in caught.value.seen
    assert beam(net, 2, x, length=10)[0].shape == (2, 10)


@pytest.mark.parametrize("both", [False, True])
def test_frames_of_another_type_are_brought_to_that_of_the_weights(both):
    net, x, y = labels(bidirectional=both), torch.randn(2, 4, 2), torch.zeros(2, 4, dtype=torch.int64)
    assert torch.equal(net.log_prob(y, x), net.log_prob(y, x.double()))
    assert torch.equal(net.label(x), net.label(x.double()))
    assert torch.equal(net.float().label(x), net.label(x.double()))


def tokens(end=None):
    torch.manual_seed(1)
    net = TokenDensity(3, 4, end, hidden=5).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(4)
    return net.requires_grad_(False)


@pytest.mark.parametrize("end", [None, 2])
def test_a_beam_as_wide_as_there_are_rows_finds_the_likeliest(end):
    net, rows = tokens(end), torch.tensor(list(product(range(3), repeat=4)))
    chances = net.log_prob(rows)
    found, log_p = beam(net, 2, width=81)
    assert torch.equal(found[0], rows[chances.argmax()])
    assert torch.allclose(log_p, chances.max().expand(2))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_beams_say_how_likely_what_they_found_is(width):
    net = tokens(2)
    found, log_p = beam(net, 3, width=width, length=6)
    assert torch.allclose(net.log_prob(found), log_p)
    if width == 1:
        assert torch.equal(found, net.sample(3, given=torch.zeros(3, 6, dtype=torch.int64),
                                             mask=torch.tensor(False), top_k=1))  # fmt: skip


def test_beams_keep_the_rows_of_a_batch_apart():
    net, x = labels(feedback=True), torch.randn(5, 6, 2, dtype=torch.float64)
    together, log_p = beam(net, 5, x, width=4, length=6)
    for i in range(5):
        alone, its = beam(net, 1, x[i : i + 1], width=4, length=6)
        assert torch.equal(together[i], alone[0])
        assert torch.allclose(log_p[i], its[0])


def test_a_beam_of_nothing_is_refused():
    with pytest.raises(UsageError, match="beam"):
        beam(tokens(), 1, width=0)


def test_any_labels_may_stand_behind_an_end_and_none_before_it():
    model = labels(feedback=True)
    x, y, lengths = torch.randn(2, 4, 2, dtype=torch.float64), torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0]]), [4, 2]
    ends = torch.tensor(lengths)
    padded = y.clone()
    padded[1, 2:] = -100
    told = model.log_probs(y, x, ends)
    assert torch.equal(model.log_probs(padded, x, ends), told)
    assert torch.equal(model.log_probs(padded, model.ragged(x, ends)), told)
    padded[1, 1] = -100
    for wrong in (padded, y[0]):
        with pytest.raises(ContractError, match="tokens"):
            model.log_probs(wrong, x, ends)


@pytest.mark.parametrize(("both", "pooling"), [(False, "last"), (False, "mean"), (True, "mean")])
def test_a_whole_sequence_is_labeled_whatever_stands_behind_its_end(both, pooling):
    torch.manual_seed(0)
    net = SequenceClassifier(2, 3, hidden=5, bidirectional=both, pooling=pooling).double()
    x, lengths = torch.randn(3, 6, 2, dtype=torch.float64), torch.tensor([6, 2, 4])
    padded = x.clone()
    for row, end in enumerate(lengths):
        padded[row, end:] = torch.nan
    for row, end in enumerate(lengths):
        alone = net(x[row : row + 1, :end])
        assert torch.allclose(net(padded, lengths)[row], alone[0])
    (slope,) = torch.autograd.grad(net(padded, lengths).square().sum(), net.readout.weight)
    assert bool(slope.isfinite().all())


def test_the_mean_counts_frames_that_count():
    x = torch.tensor([[[1.0], [3.0], [9.0]]])
    assert mean_of(x, torch.tensor([2])).tolist() == [[2.0]]
    assert mean_of(x, None).item() == pytest.approx(13 / 3)


@pytest.mark.parametrize("arguments", [{"classes": 0}, {"pooling": "max"}, {"bidirectional": True}])
def test_classifiers_that_there_are_not_are_refused(arguments):
    with pytest.raises(UsageError, match="sequence-classifier"):
        SequenceClassifier(**{"inputs": 2, "classes": 2, **arguments})
