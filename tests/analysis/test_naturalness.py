"""How natural images are: ranks among natural ones, by a density whose probabilities are known."""

import pytest
import torch

from amiss.analysis.naturalness import naturalness
from amiss.errors import ContractError, UsageError


class Coins:
    """Independent pixels, each 1 with probability p."""

    def __init__(self, p, bound="exact"):
        self.p, self.bound = p, bound

    def log_prob(self, x, /):
        assert ((x == 0) | (x == 1)).all()
        chance = torch.where(x == 1, self.p, 1 - self.p)
        return chance.log().flatten(1).sum(1)


def coins(n, p, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 1, 8, 8, generator=g) < p).float()


def test_images_of_the_same_source_have_uniform_ranks():
    found = naturalness(Coins(0.2), coins(4000, 0.2), coins(4000, 0.2, 1))
    # Ties are of one rank, the lowest, so the mean of the ranks lies a little below a half.
    assert float(found.rank.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(found.strange(0.05).double().mean()) == pytest.approx(0.05, abs=0.03)
    assert found.bound == "exact"


def test_strange_images_are_below_and_plain_ones_above_all():
    natural = coins(500, 0.2)
    found = naturalness(Coins(0.2), natural, torch.cat([coins(20, 0.8, 1), torch.zeros(1, 1, 8, 8)]))
    assert (found.rank[:20] == 0).all()
    assert found.strange()[:20].all()
    assert found.rank[20] == 1
    assert not found.strange()[20]


def test_the_score_is_the_density_and_does_not_depend_on_the_batch():
    x, natural = coins(7, 0.3, 2), coins(5, 0.3, 3)
    found = naturalness(Coins(0.3), natural, x, batch=2)
    torch.testing.assert_close(found.nats, Coins(0.3).log_prob(x).double())
    assert found.reference.equal(found.reference.sort().values)
    assert found.nats.equal(naturalness(Coins(0.3), natural, x, batch=100).nats)


def test_gray_images_are_brought_to_the_levels_that_are_asked_for():
    gray = coins(6, 0.3) * 0.4 + 0.3
    found = naturalness(Coins(0.3), coins(5, 0.3), gray, levels=2)
    assert found.nats.equal(naturalness(Coins(0.3), coins(5, 0.3), coins(6, 0.3)).nats)


def test_what_cannot_be_scored_is_refused():
    x = coins(3, 0.5)
    for density, natural in ((Coins(0.5, "none"), x), (Coins(0.5), x[:0])):
        with pytest.raises(ContractError) as error:
            naturalness(density, natural, x)
        assert error.value.slug == "naturalness"
    with pytest.raises(UsageError) as error:
        naturalness(Coins(0.5), x, x, levels=1)
    assert error.value.slug == "naturalness-levels"
