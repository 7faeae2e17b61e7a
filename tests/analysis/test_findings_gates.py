"""The two gates: silent where the model follows the truth, loud where it does not, and effects with a formula."""

import math

import pytest
import torch

from amiss.analysis.findings import Mover, Settings
from amiss.analysis.findings.gates import controls, effects, measure, misuse, natural_length
from amiss.data import Images
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=120, latent=6, seed=5, dtype=torch.float32)
IMAGES = Images.of((WORLD.task.image * 255).round().byte())
CODES = WORLD.codec.encode(IMAGES.images())
ROWS = torch.arange(120)
GAP = (WORLD.logits(IMAGES.images()) @ torch.tensor([-1.0, 1.0])).double()
UPHILL = WORLD.codec.basis.double().T @ (WORLD.weight[1] - WORLD.weight[0]).double()
UPHILL = UPHILL / UPHILL.norm()
SLOPE = float((WORLD.codec.basis.double() @ UPHILL) @ (WORLD.weight[1] - WORLD.weight[0]).double())
FEW = Settings(pushed=500, controls=6, draws=100)
OTHERS = controls(CODES, FEW).double()


def moving(batch=64):
    return Mover(WORLD.classifier(), WORLD.codec, IMAGES.pixels, CODES, 1, 0, batch)


def drawn(n, seed):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(logit, seed):
    chance = torch.rand(len(logit), generator=torch.Generator().manual_seed(seed + 10_000), dtype=torch.float64)
    return chance < torch.sigmoid(logit)


NONE = torch.zeros(600, 0, dtype=torch.float64)


@pytest.mark.parametrize("which", [0, 1], ids=["wald", "root"])
def test_misuse_is_a_standard_normal_number_where_the_model_says_the_truths_own_logit(which):
    """200 worlds, position both a part of the logit and not: mean 0 and deviation 1 within four standard errors."""
    found = []
    for seed in range(200):
        one, other = drawn(600, seed), drawn(600, seed + 500)
        gap = 1.5 * one + (other if seed % 2 else 0)
        found.append(misuse(other, NONE, gap, truth(gap, seed))[which])
    found = torch.tensor(found)
    assert abs(float(found.mean())) < 4 / math.sqrt(200)
    assert abs(float(found.std()) - 1) < 4 / math.sqrt(400)
    assert float(found.abs().max()) < 5


def test_misuse_is_strongly_negative_where_the_truth_does_not_follow_and_positive_where_it_is_underused():
    for seed in range(3):
        honest, cue = drawn(600, seed), drawn(600, seed + 500)
        label = truth(1.5 * honest, seed)
        assert misuse(cue, NONE, 1.5 * honest + 1.5 * cue, label)[0] < -6
        assert misuse(-cue, NONE, 1.5 * honest + 1.5 * cue, label)[0] > 6
        assert misuse(honest, NONE, cue, label)[0] > 6, "a cue that the model overlooks"


def test_units_do_not_matter_and_what_is_known_explains():
    honest, cue = drawn(600, 1), drawn(600, 2)
    gap, label = 1.5 * honest + 1.5 * cue, truth(1.5 * honest, 1)
    z = misuse(cue, NONE, gap, label)[0]
    assert misuse(100 * cue - 7, NONE, gap / 30 + 2, label)[0] == pytest.approx(z, rel=1e-3)
    beside = cue + 0.1 * drawn(600, 3)
    assert misuse(beside, NONE, gap, label)[0] < -6
    assert abs(misuse(beside, cue[:, None], gap, label)[0]) < 3, (
        "what lies along a known direction is not found again"
    )


def test_the_root_goes_on_growing_where_the_labels_have_no_noise_and_walds_statistic_shrinks():
    honest, cue = drawn(500, 1), drawn(500, 2)
    found = [misuse(cue, NONE[:500], honest + cue, truth(k * honest, 3)) for k in (4, 64)]
    assert found[1][1] < found[0][1] < -5
    assert found[1][0] > found[0][0], "Hauck and Donner"


def test_a_position_that_never_varies_is_no_misuse():
    assert misuse(torch.ones(600).double(), NONE, drawn(600, 1), drawn(600, 2) > 0)[0] == pytest.approx(0, abs=1e-6)


def test_natural_length_is_how_far_the_outer_quarters_lie_apart():
    """Of positions 0 ... 119 the outer quarters have means 14.5 and 104.5; a step of s is s ||d|| pixels."""
    position = torch.arange(120).double()[torch.randperm(120, generator=torch.Generator().manual_seed(0))]
    far = natural_length(moving(), ROWS, 0.002 * UPHILL, position, FEW)
    assert far == pytest.approx(90 * 0.002, rel=1e-3)
    few = natural_length(moving(), ROWS, 0.002 * UPHILL, position, Settings(pushed=7))
    assert few == pytest.approx(far, rel=1e-3), "of a linear decoder every image moves alike"


def test_effects_are_the_shares_whose_logit_is_within_reach():
    """A push of length l along d changes the logit by l ||B^T w|| where d is along B^T w."""
    right, wrong = ROWS[GAP > 0], ROWS[GAP <= 0]
    length = 0.4
    found = effects(moving(), right, wrong, 3 * UPHILL, OTHERS, length, FEW)
    assert [one.length for one in found] == pytest.approx([length / 3, 2 * length / 3, length])
    for one in found:
        reach = one.length * SLOPE
        assert one.breaks.value == pytest.approx(float((GAP[right] <= reach).double().mean()), abs=0.03)
        assert one.repairs.value == pytest.approx(float((GAP[wrong] > -reach).double().mean()), abs=0.03)
        assert (one.breaks.n, one.repairs.n) == (len(right), len(wrong))
        assert one.breaks.low <= one.breaks.value <= one.breaks.high
        assert one.control.n == 6
        assert one.control.mean <= one.control.most <= one.breaks.value, "no direction changes a linear logit faster"
    assert found[0].breaks.value < found[2].breaks.value


def test_no_more_images_are_pushed_than_asked_for_and_none_are_no_share():
    found = effects(moving(), ROWS[GAP > 0], ROWS[:0], UPHILL, OTHERS[:2], 0.3, Settings(pushed=9, draws=20))
    assert found[-1].breaks.n == 9
    assert found[-1].control.n == 2
    assert found[-1].repairs.n == 0
    assert math.isnan(found[-1].repairs.value)


def test_controls_lie_between_two_real_codes_both_ways_round():
    between = (CODES[:, None] - CODES[None]).flatten(0, 1)
    assert all(bool((between == one).all(1).any()) for one in OTHERS.to(CODES))
    assert torch.equal(OTHERS[:3], -OTHERS[3:])


def test_without_controls_none_are_told():
    assert effects(moving(), ROWS[:5], ROWS[5:9], UPHILL, OTHERS[:0], 0.3, Settings(draws=20))[-1].control is None


def measured(direction, position, gap=GAP, settings=FEW, batch=64):
    return measure(moving(batch), ROWS, gap, direction, position, settings)


def test_the_measured_step_makes_images_read_like_those_of_the_other_half():
    """A linear logit falls by s w . B d; the step is what lies between the halves over that."""
    position = CODES.double() @ UPHILL
    upper = position > position.median()
    apart = float(GAP[upper].mean() - GAP[~upper].mean())
    assert apart > 0
    found = measured(0.1 * UPHILL, position)
    assert found.step == pytest.approx(apart / (0.1 * SLOPE), abs=6 / 1024 + 0.05)
    right = ROWS[upper & (GAP > 0)]
    assert torch.equal(found.pushed, right)
    expected = GAP[right] - found.step * 0.1 * SLOPE <= 0
    assert float((found.broken == expected).double().mean()) > 0.95  # but for those that rounding decides
    assert found.effect.breaks.value == pytest.approx(float(found.broken.double().mean()))
    assert found.effect.length == pytest.approx(found.step * 0.1, rel=1e-3)
    mistakes = ROWS[~upper & (GAP <= 0)]
    expected = float((GAP[mistakes] + found.step * 0.1 * SLOPE > 0).double().mean())
    assert found.effect.repairs.value == pytest.approx(expected, abs=0.05)
    assert found.effect.repairs.n == len(mistakes)


def test_what_real_images_suggest_needs_no_decoder():
    position = torch.arange(120).double()
    gap = torch.ones(120).double()
    gap[:36] = -1  # 36 of the lower 60 are wrong
    gap[60:72] = -1  # and 12 of the upper 60: of the 80 % right up there, 40 points would be wrong down here
    assert measured(UPHILL, position, gap).seen.value == pytest.approx(0.5)


def test_where_no_step_does_it_nothing_is_measured():
    aside = torch.linalg.qr(torch.stack([UPHILL, *torch.eye(6).double()[:2]], 1)).Q[:, 1]
    position = CODES.double() @ UPHILL
    for direction, where in ((0.01 * aside, position), (UPHILL, -position), (UPHILL, torch.ones(120).double())):
        found = measured(direction, where)
        assert found.effect is None
        assert math.isnan(found.step)
        assert len(found.pushed) == len(found.broken) == 0


def test_a_draw_of_images_is_the_seeds_and_batches_do_not_matter():
    position = CODES.double() @ UPHILL
    few = Settings(pushed=10, draws=50)
    one, again, other = (measured(0.1 * UPHILL, position, settings=few, batch=batch) for batch in (64, 64, 7))
    assert one.step == again.step == pytest.approx(other.step, abs=0.02)
    assert torch.equal(one.pushed, again.pushed)
    assert torch.equal(one.pushed, other.pushed)
    assert len(one.pushed) <= 30
    assert not torch.equal(one.pushed, measured(0.1 * UPHILL, position, settings=Settings(pushed=10, seed=1)).pushed)
