"""A density and its own samples: what the gap must be where it is known."""

import math

import pytest
import torch

from amiss.errors import DataError
from amiss.models import FVBN, RowLSTM
from amiss.training.measures.own_samples import own_samples


def coins(p):
    """A density of 3x3 images whose pixels are independent coins."""
    model = FVBN(channels=1, size=3).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.regressions.bias.fill_(math.log(p / (1 - p)))
    return model


def test_both_means_are_those_of_the_coins():
    p, n = 0.2, 4000
    black = torch.zeros(10, 1, 3, 3)
    found = own_samples(coins(p), black, n=n)
    entropy = -9 * (p * math.log(p) + (1 - p) * math.log(1 - p))
    spread = 3 * math.log((1 - p) / p) * math.sqrt(p * (1 - p))
    assert abs(found.unseen + 9 * math.log(1 - p)) < 1e-5
    assert abs(found.own - entropy) < 4 * spread / math.sqrt(n)
    assert abs(found.error - spread / math.sqrt(n)) < 0.1 * spread / math.sqrt(n)  # black images do not spread
    assert found.gap == abs(found.own - found.unseen)


def test_images_of_the_density_itself_leave_no_gap():
    torch.manual_seed(0)
    model = RowLSTM(size=4, width=6, state=6, first=3, hidden=6).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.uniform_(-1, 1)
    unseen = model.sample(2000, generator=torch.Generator().manual_seed(1))
    found = own_samples(model, unseen, n=2000, generator=torch.Generator().manual_seed(2))
    assert found.gap < 4 * found.error
    assert found.samples.shape == (2000, 1, 4, 4)
    assert not torch.equal(found.samples, unseen)
    # Sharper samples are likelier than images.
    sharp = own_samples(model, unseen, n=2000, temperature=0.5)
    assert sharp.own < sharp.unseen - 4 * sharp.error


def test_conditions_go_with_their_images():
    """A density that draws black for one class and white for the other finds images of the other class unlikely."""
    model = RowLSTM(size=2, width=4, state=4, first=3, hidden=4, classes=2).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.condition.name.weight.copy_(torch.tensor([[0.0], [8.0]]).expand(2, 4))
        model.head.read[0].weight.fill_(1)
        model.head.write[0].weight.fill_(1)
        model.head.write[0].bias.fill_(-9)
    c = torch.arange(6) % 2
    x = c.float().view(6, 1, 1, 1).expand(6, 1, 2, 2)
    found = own_samples(model, x, c, n=4)
    assert torch.equal(found.samples, x[:4])
    assert found.unseen < 0.01
    assert own_samples(model, 1 - x, c, n=4).unseen > 30


def test_too_few_images_are_refused():
    images = torch.zeros(4, 1, 3, 3)
    for call in (lambda: own_samples(coins(0.5), images, n=1), lambda: own_samples(coins(0.5), images[:1], n=5)):
        with pytest.raises(DataError, match="own-samples"):
            call()
