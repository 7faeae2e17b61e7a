"""Losses of tokens: truncated backpropagation, teacher forcing, and models that they are not for."""

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models import Captioner, LabelSequence, TextModel, TokenDensity, build
from amiss.training.batches import Batch
from amiss.training.losses import CaptionLoss, LabelLoss, TokenLoss


def density():
    torch.manual_seed(0)
    return TokenDensity(3, 9, hidden=5).double()


def batch(**rows):
    return Batch(rows, 0, 0.0, 0)


def test_a_window_costs_what_the_density_says_given_all_before_it():
    net, x = density(), torch.randint(3, (4, 9), generator=torch.Generator().manual_seed(0))
    for warm in (0, 4):
        loss = TokenLoss(warm).losses(net, batch(tokens=x), ("density",))["density"]
        torch.testing.assert_close(loss, -net.log_probs(x)[:, warm:].sum() / (9 - warm))


def test_no_gradient_flows_beyond_the_beginning_of_a_window():
    """Two symbols that are read before the window alone: their embedding gets no gradient, in the window it does."""
    net = density()
    before, within = torch.tensor([[0, 0, 0, 1, 1, 1, 1]]), torch.tensor([[1, 1, 1, 1, 0, 1, 1]])
    slopes = []
    for x in (before, within):
        net.zero_grad()
        TokenLoss(3).losses(net, batch(tokens=x), ("density",))["density"].backward()
        slopes.append(net.embedding.weight.grad[0].abs().sum().item())
    assert slopes[1] > 0
    whole = density()
    TokenLoss(0).losses(whole, batch(tokens=before), ("density",))["density"].backward()
    assert whole.embedding.weight.grad[0].abs().sum() > 0
    # The last symbol before the window is read as its first input: that is where gradients end.
    assert slopes[0] > 0
    net.zero_grad()
    TokenLoss(3).losses(net, batch(tokens=torch.tensor([[0, 0, 1, 1, 1, 1, 1]])), ("density",))["density"].backward()
    assert net.embedding.weight.grad[0].abs().sum() == 0


def test_gradients_in_reduced_precision_are_those_of_full_precision_up_to_rounding():
    """What is read before the window casts the weights without gradients; within it they are cast anew."""
    torch.manual_seed(0)
    net, x = TextModel("abcdefgh", hidden=32), torch.randint(8, (4, 30))
    slopes = []
    for reduced in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            loss = TokenLoss(10).losses(net, batch(tokens=x), ("density",))["density"]
        loss.backward()
        slopes.append([p.grad.clone() for p in net.parameters()])
    for exact, rounded in zip(*slopes, strict=True):
        assert 0 < (exact - rounded).norm() < 0.02 * exact.norm()


def test_a_captioner_pays_for_the_true_words_after_the_true_words():
    net = Captioner(("a", "b"), size=8, length=3, width=2, code=4, hidden=5)
    x, tokens = torch.rand(2, 1, 8, 8), net.vocabulary.rows(["a b", "b"], 3)
    loss = CaptionLoss().losses(net, batch(image=x, tokens=tokens), ("captioner",))["captioner"]
    torch.testing.assert_close(loss, -net.log_prob(["a b", "b"], x).sum())


@pytest.mark.parametrize("loss", [TokenLoss(), CaptionLoss()])
def test_other_models_are_refused(loss):
    rows = batch(tokens=torch.zeros(1, 2, dtype=torch.int64), image=torch.zeros(1, 1, 8, 8))
    with pytest.raises(ContractError, match="loss-model"):
        loss.losses(build({"architecture": "LeNet", "arguments": {"size": 8}}), rows, loss.turns[0])


def labels(feedback=True):
    torch.manual_seed(0)
    return LabelSequence(2, 3, hidden=5, feedback=feedback).double()


def test_labels_cost_a_frame_what_the_density_says():
    net, rows = labels(), batch(frames=torch.randn(4, 6, 2).double(), labels=torch.randint(3, (4, 6)))
    loss = LabelLoss().losses(net, rows, ("labels",))["labels"]
    torch.testing.assert_close(loss, -net.log_prob(rows["labels"], rows["frames"]).sum() / 6)


def test_what_stands_behind_an_end_costs_nothing_and_each_row_counts_alike():
    net, lengths = labels(), torch.tensor([6, 2, 4])
    rows = {"frames": torch.randn(3, 6, 2).double(), "labels": torch.randint(3, (3, 6)), "lengths": lengths}
    loss = LabelLoss(1.0).losses(net, Batch(rows, 3, 0.0, 0), ("labels",))["labels"]
    told = [
        -net.log_prob(rows["labels"][i : i + 1, :end], rows["frames"][i : i + 1, :end]).sum() / int(end)
        for i, end in enumerate(lengths)
    ]
    torch.testing.assert_close(loss, sum(told))
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters())
    other = rows["labels"].clone()
    other[1, 2:], other[2, 4:] = 2, 1
    again = LabelLoss(1.0).losses(net, Batch(rows | {"labels": other}, 3, 0.9, 0), ("labels",))["labels"]
    assert again == LabelLoss(1.0).losses(net, Batch(rows, 3, 0.9, 0), ("labels",))["labels"]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_of_labels_that_there_is_not_is_refused(share):
    with pytest.raises(UsageError, match="label-sampled"):
        LabelLoss(share)
    with pytest.raises(UsageError, match="label-sampled"):
        LabelLoss(0.5).fitting(feedback=False)


def test_a_model_is_fed_its_own_labels_the_more_the_longer_it_learns():
    rows = {"frames": torch.randn(4, 6, 2).double(), "labels": torch.randint(3, (4, 6))}
    early, late = Batch(rows, 3, 0.0, 0), Batch(rows, 3, 0.99, 0)
    net = labels()
    forced, first, last = (
        loss.losses(net, at, ("labels",))["labels"].item()
        for loss, at in ((LabelLoss(), early), (LabelLoss(1.0), early), (LabelLoss(1.0), late))
    )
    assert forced == first != last
    alone = labels(feedback=False)  # which is fed nothing
    assert LabelLoss(1.0).losses(alone, late, ("labels",)) == LabelLoss().losses(alone, late, ("labels",))
