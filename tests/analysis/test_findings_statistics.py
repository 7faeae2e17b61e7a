"""The statistics behind findings: closed forms, another library's answers, and intervals that cover what they say."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from amiss.analysis.findings import Whitening
from amiss.analysis.findings.direction import unit
from amiss.analysis.findings.statistics import auc, bootstrap, difference, logistic


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("table", [(30, 10, 12, 40), (5, 50, 60, 4), (7, 7, 7, 7)])
def test_logistic_of_one_binary_feature_is_the_log_odds_ratio(table):
    """Of a 2 x 2 table a, b, c, d: slope log(a d / b c), standard error sqrt(1/a + 1/b + 1/c + 1/d)."""
    a, b, c, d = table
    feature = torch.tensor([1.0] * (a + b) + [0.0] * (c + d))[:, None]
    y = torch.tensor([1] * a + [0] * b + [1] * c + [0] * d)
    coefficients, wald = logistic(feature, y)
    slope = math.log(a * d / (b * c))
    assert float(coefficients[0]) == pytest.approx(math.log(c / d), abs=1e-5)
    assert float(coefficients[1]) == pytest.approx(slope, abs=1e-5)
    assert float(wald[1]) == pytest.approx(slope / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d), abs=1e-4)


def test_logistic_of_many_features_is_another_librarys():
    x = drawn(400, 3)
    y = torch.rand(400, generator=torch.Generator().manual_seed(1)) < torch.sigmoid(x @ drawn(3, seed=2) - 0.5)
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(x.numpy(), y.numpy())
    ours = logistic(x, y)[0]
    assert ours[0] == pytest.approx(float(theirs.intercept_[0]), abs=1e-4)
    assert ours[1:].tolist() == pytest.approx(theirs.coef_[0].tolist(), abs=1e-4)


@pytest.mark.parametrize("y", [[0] * 20 + [1] * 20, [1] * 40], ids=["separable", "one class"])
def test_logistic_stays_finite_where_there_is_no_maximum(y):
    coefficients, wald = logistic(torch.linspace(-1, 1, 40)[:, None], torch.tensor(y))
    assert bool(coefficients.isfinite().all())
    assert bool(wald.isfinite().all())


@pytest.mark.parametrize("levels", [2, 5, 10_000], ids=["mostly ties", "many ties", "no ties"])
def test_auc_is_another_librarys_ties_and_all(levels):
    score = (drawn(200, seed=levels) * levels / 4).round()
    positive = (score / levels + drawn(200, seed=7)) > 0
    assert auc(score, positive) == pytest.approx(roc_auc_score(positive.numpy(), score.numpy()), abs=1e-12)
    assert auc(-score, positive) == pytest.approx(1 - auc(score, positive), abs=1e-12)


def test_auc_of_one_class_is_not_a_number():
    assert math.isnan(auc(torch.arange(3.0), torch.ones(3)))
    assert math.isnan(auc(torch.arange(3.0), torch.zeros(3)))


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_bootstrap_interval_covers_the_known_share(share):
    """Of 400 samples of 80, 95 % of the intervals hold the share: within four standard errors, .906 to .994."""
    hits = torch.rand(400, 80, generator=torch.Generator().manual_seed(3)) < share
    inside = [one.low <= share <= one.high for one in (bootstrap(hit, i, 300) for i, hit in enumerate(hits))]
    assert 0.906 <= sum(inside) / len(inside) <= 0.994


def test_bootstrap_of_all_of_none_and_of_nothing():
    sure, never, empty = (
        bootstrap(torch.tensor(hit, dtype=torch.bool), 0, 50) for hit in ([True] * 9, [False] * 9, [])
    )
    # Of 9 of 9 Wilson's interval is 9 / (9 + z^2) to 1: nine images do not show that it is always so.
    least = 9 / (9 + 1.96**2)
    assert (sure.value, sure.low, sure.high, sure.n) == (1, pytest.approx(least), 1, 9)
    assert (never.value, never.low, never.high) == (0, pytest.approx(0, abs=1e-12), pytest.approx(1 - least))
    assert math.isnan(empty.value)
    assert empty.n == 0


def test_difference_is_the_share_of_the_right_that_would_be_wrong_there():
    """60 % wrong there, 20 % here: of the 80 % that are right here, 40 points would be wrong: a half."""
    there, here = torch.arange(100) < 60, torch.arange(50) < 10
    half = difference(there, here, 0, 400)
    assert half.value == pytest.approx(0.5)
    assert half.low < 0.5 < half.high
    assert half.n == 40
    assert difference(here, there, 0, 50).value == 0, "never below 0"
    assert difference(there, there.new_ones(4), 0, 50).n == 0


@pytest.mark.parametrize(("there", "here"), [(0, 4), (4, 0), (0, 0)])
def test_difference_with_an_empty_side_is_not_a_number(there, here):
    assert math.isnan(difference(torch.ones(there) > 0, torch.zeros(here) > 0, 0, 50).value)


def test_whitening_has_roots_of_the_covariance():
    codes = drawn(300, 5) @ drawn(5, 5, seed=1)
    whitening = Whitening.of(codes)
    eye = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(whitening.root @ whitening.inverse, eye)
    torch.testing.assert_close(whitening.root @ whitening.root, whitening.covariance)
    torch.testing.assert_close(torch.cov((codes @ whitening.inverse).T), eye)


def test_a_linear_change_of_the_codes_changes_no_cosine_and_no_position():
    """Codes A z have directions A d: another basis of the same decoder says the same."""
    codes, one, other, turn = drawn(200, 4), drawn(4, seed=1), drawn(4, seed=2), drawn(4, 4, seed=3)
    here, there = Whitening.of(codes), Whitening.of(codes @ turn.T)
    assert there.cosine(turn @ one, turn @ other) == pytest.approx(here.cosine(one, other), abs=1e-9)
    torch.testing.assert_close(there.along(codes @ turn.T, turn @ one), here.along(codes, one))
    assert here.cosine(one, one) == pytest.approx(1)
    assert here.cosine(one, -one) == pytest.approx(-1)


def test_positions_along_a_direction_of_unit_whitened_length_have_deviation_one():
    codes = drawn(500, 4) * torch.tensor([1.0, 3.0, 0.2, 10.0])
    whitening = Whitening.of(codes)
    direction = whitening.root @ unit(drawn(4, seed=5))
    assert float(whitening.along(codes, direction).std()) == pytest.approx(1)


@pytest.mark.parametrize("flat", ["column", "copy", "all"])
def test_codes_that_do_not_fill_their_space_are_whitened_to_finite_numbers(flat):
    codes = drawn(100, 3)
    if flat == "column":
        codes[:, 1] = 2.0
    elif flat == "copy":
        codes[:, 1] = codes[:, 0]
    else:
        codes = torch.ones(100, 3)
    whitening = Whitening.of(codes)
    assert bool(whitening.root.isfinite().all())
    assert bool(whitening.inverse.isfinite().all())
    torch.testing.assert_close(whitening.root @ whitening.inverse, torch.eye(3, dtype=torch.float64))
    assert -1 <= whitening.cosine(drawn(3), drawn(3, seed=1)) <= 1


def test_unit_of_nothing_is_nothing():
    assert unit(torch.zeros(3)).tolist() == [0, 0, 0]
    assert float(unit(drawn(3)).norm()) == pytest.approx(1)
