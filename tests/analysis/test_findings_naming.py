"""Names of directions: read from real images and their table, and left out where the table does not say."""

import math

import pytest
import torch

from amiss.analysis.findings import Whitening, attribute_direction
from amiss.analysis.findings.naming import named, orthonormal

CODES = torch.randn(400, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHITENING = Whitening.of(CODES)
ALONG = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
POSITION = CODES[:, 0]


def names(ends=40, **table):
    return named(ALONG, POSITION, CODES, table, WHITENING, ends)


def test_the_attribute_along_the_direction_comes_first_with_its_sign():
    one, other = names(other=CODES[:, 1], less=-(CODES[:, 0] > 0).long())
    assert (one.name, other.name) == ("less", "other")
    assert one.difference < -1.5
    assert one.cosine < -0.9
    assert abs(other.cosine) < 0.3


def test_the_difference_is_that_of_the_ends_in_standard_deviations():
    """Ranks 0 ... 399: the outer 40 have means 19.5 and 379.5, the deviation is sqrt(400 * 401 / 12)."""
    ranks = POSITION.argsort().argsort()
    (one,) = names(rank=ranks)
    assert one.difference == pytest.approx(360 / math.sqrt(400 * 401 / 12))
    (most,) = names(ends=10_000, rank=ranks)
    assert most.difference == pytest.approx(300 / math.sqrt(400 * 401 / 12)), "at most a quarter at each end"


@pytest.mark.parametrize(
    "column",
    [
        torch.ones(400),
        torch.full((400,), math.nan),
        torch.where(torch.arange(400) == 7, math.nan, CODES[:, 0]),
        torch.where(torch.arange(400) == 7, math.nan, (CODES[:, 0] > 0).double()),
        torch.where(torch.arange(400) == 7, math.inf, CODES[:, 0]),
        torch.where(torch.arange(400) == 7, -math.inf, torch.ones(400)),
    ],
    ids=["never varies", "all unknown", "one unknown", "one unknown of two values", "infinite", "infinite once"],
)
def test_what_does_not_vary_or_is_not_known_of_every_image_is_left_out(column):
    assert names(column=column) == ()
    assert [one.name for one in names(column=column, good=CODES[:, 0])] == ["good"]


def test_noise_is_three_standard_errors_of_the_difference_of_the_ends():
    """Ends drawn at random: their means, in standard deviations, differ by sqrt(2 / 40) as a rule."""
    (one,) = names(other=CODES[:, 1])
    assert one.noise == pytest.approx(3 * math.sqrt(2 / 40))
    drawn = torch.Generator().manual_seed(1)
    apart = [(r[:40].mean() - r[40:80].mean()).abs() for r in torch.randn(300, 80, generator=drawn)]
    assert torch.stack(apart).gt(one.noise).double().mean() < 0.01


def test_an_empty_table_has_no_names():
    assert names() == ()


@pytest.mark.parametrize("kind", ["bool", "levels", "numbers"])
def test_the_direction_of_an_attribute_is_the_difference_of_two_means(kind):
    values = {"bool": CODES[:, 2] > 0, "levels": torch.where(CODES[:, 2] > 0, 9, -3), "numbers": CODES[:, 2]}[kind]
    more = CODES[:, 2] > (CODES[:, 2].median() if kind == "numbers" else 0)
    expected = CODES[more].mean(0) - CODES[~more].mean(0)
    torch.testing.assert_close(attribute_direction(CODES, values.double()), expected)


def test_an_attribute_with_most_images_at_its_top_is_split_below_it():
    values = torch.tensor([0.0, 1.0, 2.0, 2.0, 2.0]).double()
    codes = torch.tensor([[0.0], [1.0], [5.0], [6.0], [7.0]]).double()
    assert attribute_direction(codes, values).tolist() == [5.5]
    assert attribute_direction(codes, torch.ones(5).double()) is None


def test_a_basis_of_nothing_has_no_rows():
    assert orthonormal([], 4).shape == (0, 4)
    both = orthonormal([torch.ones(4), torch.arange(4.0)], 4)
    torch.testing.assert_close(both @ both.T, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(both.T @ both @ torch.ones(4).double(), torch.ones(4).double())
