"""Trade-offs: the curve where it is known, what is read from files, and what is refused."""

from dataclasses import replace

import pytest
import torch

from amiss.analysis.trade import trade_off
from amiss.errors import ContractError, UsageError
from amiss.recipes import label_opt, pgd
from amiss.task import Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=8, dtype=torch.float32)
TASK = replace(WORLD.task, image=(WORLD.task.image * 255).round() / 255)


def sure(images):
    """Softmax probability of each sample's target."""
    return WORLD.logits(images).double().softmax(1)[torch.arange(len(images)), TASK.target]


def test_the_least_change_for_each_confidence_is_on_the_curve():
    asked = (0.6, 0.9, 0.99)
    seen = trade_off(lambda c: label_opt(target="task", confidence=c), asked, WORLD.classifier(), TASK)
    slope = WORLD.slope(TASK.target, 1 - TASK.target)
    gap = (slope * (TASK.image.flatten(1) - 0.5)).sum(1)
    assert seen.met.all()
    for k, confidence in enumerate(asked):
        assert (seen.confidence[k] >= confidence - 1e-6).all()
        odds = torch.tensor(confidence).logit()
        least = (odds - gap) / slope.norm(dim=1)  # no wall is near
        assert torch.allclose(seen.l2[k].float(), least, rtol=0.08, atol=0.02)  # files are coarse
    assert (seen.l2.diff(dim=0) > 0).all()


def test_the_surest_image_within_each_radius_is_the_corner():
    levels = (1, 2, 4)
    seen = trade_off(
        lambda level: pgd(level / 255, 20, target="task", confidence=1 - 1e-7), levels, WORLD.classifier(), TASK
    )
    slope = WORLD.slope(TASK.target, 1 - TASK.target).view_as(TASK.image)
    for k, level in enumerate(levels):
        corner = (TASK.image + level / 255 * slope.sign()).clamp(0, 1)
        assert torch.allclose(seen.confidence[k], sure(corner), atol=1e-5)
        assert torch.allclose(seen.linf[k] * 255, torch.full((8,), float(level), dtype=torch.float64))
    assert seen.settings == levels and not seen.met.any()


def test_everything_is_read_from_bytes():
    seen = trade_off(
        lambda eps: pgd(eps, 5, target="task", confidence=0.99, levels=None), [0.0137], WORLD.classifier(), TASK
    )
    assert seen.images.dtype == seen.source.dtype == torch.uint8
    assert torch.equal(seen.source.float() / 255, TASK.image)
    assert torch.allclose(seen.before, sure(TASK.image), atol=1e-6)
    assert torch.allclose(seen.confidence[0], sure(seen.images[0].float() / 255), atol=1e-6)
    change = (seen.images[0].double() - seen.source.double()) / 255
    assert torch.equal(seen.l2[0], change.flatten(1).norm(dim=1))
    assert torch.equal(seen.linf[0], change.flatten(1).abs().amax(1))
    ((setting, confidence, l2, linf),) = seen.medians
    assert setting == 0.0137
    for told, part in ((confidence, seen.confidence), (l2, seen.l2), (linf, seen.linf)):
        assert told == pytest.approx(float(part[0].sort().values[3]))


def test_what_has_no_curve_is_refused(refuses):
    def make(eps):
        return pgd(eps, target="task")

    with refuses(UsageError, "trade-settings"):
        trade_off(make, [], WORLD.classifier(), TASK)
    with refuses(ContractError, "contract-no-image"):
        trade_off(make, [0.1], WORLD.classifier(), Task(torch.arange(2), target=torch.zeros(2, dtype=torch.int64)))
    with refuses(ContractError, "contract-no-target"):
        trade_off(pgd, [0.1], WORLD.classifier(), replace(TASK, target=None))
