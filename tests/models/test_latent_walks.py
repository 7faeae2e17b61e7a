"""Walks over codes: grids of equal probability, paths that hit their ends, and a direction that is known."""

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import ConvVAE
from amiss.models.latent_walks import direction, encode_all, interpolate, manifold


class Flat:
    """Codes are the images' own numbers, scaled."""

    latent = 4

    def encode(self, x):
        return 2 * x.flatten(1)


def codes(n, seed=0):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


def test_a_grid_has_equal_probability_between_neighbors():
    grid = manifold(Flat(), 5, axes=(3, 1)).view(5, 5, 4)
    assert (grid[..., [0, 2]] == 0).all()
    down, right = torch.distributions.Normal(0.0, 1.0).cdf(grid[:, 0, 3]), grid[0, :, 1]
    torch.testing.assert_close(down, torch.tensor([0.05, 0.275, 0.5, 0.725, 0.95]))
    torch.testing.assert_close(right, grid[:, 0, 3])
    assert (grid[1:, :, 3] > grid[:-1, :, 3]).all() and (grid[:, 1:, 1] > grid[:, :-1, 1]).all()
    around = manifold(Flat(), 2, center=torch.arange(4.0))
    assert (around[:, 2] == 2).all() and (around[:, 3] == 3).all()


def test_a_path_begins_and_ends_at_the_codes_of_its_images():
    a, b = (codes(3, seed).view(3, 1, 2, 2) for seed in (1, 2))
    for spherical in (False, True):
        path = interpolate(Flat(), a, b, 5, spherical=spherical)
        torch.testing.assert_close(path[:, 0], encode_all(Flat(), a))
        torch.testing.assert_close(path[:, -1], encode_all(Flat(), b, batch=2))
    straight = interpolate(Flat(), a, b, 5)
    torch.testing.assert_close(straight.diff(dim=1), straight.diff(dim=1)[:, :1].expand(3, 4, 4))


def test_a_path_on_a_sphere_stays_on_it():
    a, b = (torch.nn.functional.normalize(codes(3, seed)).view(3, 1, 2, 2) for seed in (1, 2))
    path = interpolate(Flat(), a, b, 7, spherical=True)
    torch.testing.assert_close(path.norm(dim=2), torch.full((3, 7), 2.0))
    assert interpolate(Flat(), a, b, 3)[:, 1].norm(dim=1).max() < 2
    torch.testing.assert_close(interpolate(Flat(), a, a, 3, spherical=True)[:, 1], encode_all(Flat(), a))


def test_the_direction_of_an_attribute_is_the_step_that_made_it():
    step = torch.tensor([0.0, 3, 0, -1])
    without = codes(6)
    both = torch.cat([without, without + step])
    there = torch.arange(12) >= 6
    torch.testing.assert_close(direction(both, there), step)
    torch.testing.assert_close(direction(both, there.float()), step)
    torch.testing.assert_close(direction(both, ~there), -step)


def test_a_real_autoencoder_is_walked_as_well():
    vae = ConvVAE(size=8, latent=2, width=4, hidden=8).eval()
    assert vae.decode(manifold(vae, 3)).shape == (9, 1, 8, 8)


@pytest.mark.parametrize("wrong", [{"side": 1}, {"side": 257}, {"axes": (0, 0)}, {"axes": (0, 4)}, {"axes": (-1, 0)}])
def test_a_grid_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError) as refused:
        manifold(Flat(), **wrong)
    assert refused.value.slug == "walk-grid"


def test_paths_and_directions_that_are_none_are_refused():
    x = codes(2).view(2, 1, 2, 2)
    for a, b, steps in ((x, x[:1], 3), (x, x, 1), (x, x, 300)):
        with pytest.raises(UsageError) as refused:
            interpolate(Flat(), a, b, steps)
        assert refused.value.slug == "walk-path"
    for there in (torch.zeros(2), torch.ones(2), torch.ones(3)):
        with pytest.raises(UsageError) as refused:
            direction(codes(2), there)
        assert refused.value.slug == "walk-attribute"
