"""The guard that shows what a density looks at: known fields, a blind spot of known size, a leak that is found."""

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import FVBN, MADE, GatedPixelCNN, PixelCNN
from amiss.training.measures.causality import causality

torch.set_num_threads(1)


def random(model):
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=draw) * min(0.5, p[0].numel() ** -0.5))
    return model.eval()


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_the_plain_network_overlooks_a_wedge_and_the_gated_one_nothing(blocks):
    """With a first kernel of reach 3 each block widens the field by 1 and the wedge by one pixel more."""
    reach = 3 + blocks
    earlier = reach * (2 * reach + 1) + reach  # rows above, and the own row to the left
    plain = causality(random(PixelCNN(size=21, width=6, blocks=blocks, hidden=8)), draws=24)
    gated = causality(random(GatedPixelCNN(size=21, width=6, blocks=blocks, hidden=8)), draws=24)
    assert (plain.later, gated.later) == (0, 0)
    assert plain.reach == gated.reach == reach
    blind = blocks * (blocks + 1) // 2
    assert plain.share == pytest.approx(1 - blind / earlier)
    assert gated.share == 1
    missed = gated.picture[0] & ~plain.picture[0]
    assert int(missed.sum()) == blind
    assert bool((missed.nonzero()[:, 1] > 10 + 3).all())  # all to the right


@pytest.mark.parametrize("model", [FVBN(size=4), MADE(size=4, hidden=40)], ids=["FVBN", "MADE"])
def test_dense_networks_see_all_that_is_earlier(model):
    told = causality(random(model), range(16))
    assert told.later == 0
    assert torch.equal(told.seen, torch.ones(16, 16).tril(-1).bool())


def test_a_leak_is_found():
    model = random(PixelCNN(size=7, width=4, blocks=1, first=3, hidden=6))
    model.first.mask[-1] = 1  # the kernel sees its own pixel, and the one to the right
    told = causality(model, range(49))
    assert told.later > 49


def test_channels_see_the_earlier_ones_of_their_pixel():
    told = causality(random(PixelCNN(channels=3, size=5, width=6, blocks=1, first=3, hidden=8)), draws=24)
    red, green, blue = told.at
    own = told.seen[:, red : blue + 1]
    assert torch.equal(own, torch.ones(3, 3).tril(-1).bool())
    assert (red, green, blue) == (36, 37, 38)


def test_the_network_is_not_changed_and_other_dimensions_are_refused():
    model = FVBN(size=3)
    causality(model)
    assert next(model.parameters()).dtype == torch.float32
    assert all(p.grad is None for p in model.parameters())
    for at in ([], [-1], [9]):
        with pytest.raises(UsageError, match="causality-dimensions"):
            causality(model, at)
