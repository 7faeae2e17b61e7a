"""The worlds are as they say: formulas against brute force, searches against formulas, shares against counts."""

import math

import pytest
import torch

from amiss.constraints import L2, LatentNorm
from amiss.errors import UsageError
from amiss.objectives import Become
from amiss.optimizers import Momentum
from amiss.probe import Budget, Probe
from amiss.recipes import lse
from amiss.spaces import Latent, Pixels
from amiss.testing import LossyCodec, PlantedWorld, RingWorld

STEP = 0.01
MARGIN = 0.05


def descend(space, constraint):
    """Steps of one length straight along the slope."""
    return Probe(space, Become(margin=MARGIN), constraint, Momentum(STEP, 0.0, "l2"), budget=Budget(150))


# The ring


@pytest.mark.parametrize("seed", range(3))
def test_the_rings_images_are_planes_whose_codes_come_back(seed):
    world = RingWorld(seed=seed)
    image = world.task.image
    assert torch.allclose(world.codec.encode(image), world.codes, atol=1e-12)
    assert image.min() >= 0 and image.max() <= 1  # the box binds nothing
    steps = image.diff(dim=-1)
    assert torch.allclose(steps, steps[..., :1].expand_as(steps), atol=1e-12)  # a plane: the same step everywhere
    logits = world.classifier().outputs(image)["answer"]
    assert torch.allclose(logits[:, 1] - logits[:, 0], world.lead(world.codes), atol=1e-12)
    assert (logits.argmax(1) != world.task.label).all()
    inside = world.codes.norm(dim=1) < world.radius
    assert 2 * int(inside.sum()) == world.n


@pytest.mark.parametrize("margin", [0.0, MARGIN, 0.2])
def test_the_nearest_code_of_the_ring_is_nearest(margin):
    world = RingWorld(n=12)
    nearest = world.nearest(margin)
    assert torch.allclose(world.lead(nearest), torch.full((12,), margin, dtype=world.dtype), atol=1e-12)
    angle = torch.arange(3600, dtype=world.dtype) * (2 * math.pi / 3600)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    edges = torch.cat([circle * (world.radius + way * (world.half - margin)) for way in (-1, 1)])
    brute = torch.cdist(world.codes, edges).amin(1)
    optimum = world.latent_optimum(margin)
    assert (optimum <= brute + 1e-12).all()
    assert torch.allclose(optimum, brute, atol=1e-5)


@pytest.mark.parametrize("space", ["latent", "pixels"])
def test_a_search_ends_at_the_optimum_of_the_ring(space):
    world = RingWorld()
    probe = descend(Latent(world.codec), LatentNorm()) if space == "latent" else descend(Pixels(), L2())
    result = probe.run(world.classifier(), world.task)
    gap = result.size.double() - world.latent_optimum(MARGIN)
    assert result.met.all()
    assert gap.min() >= -1e-6 and gap.max() <= STEP + 1e-6  # the last step overshoots by its length at the most


def test_the_decoy_holds_exactly_those_that_it_traps():
    world = RingWorld(decoy=0.2)
    assert 3 < int(world.trapped.sum()) < world.n // 2
    result = descend(Latent(world.codec), LatentNorm()).run(world.classifier(), world.task)
    assert torch.equal(result.met, ~world.trapped)
    held = world.codes[world.trapped] + result.p[world.trapped]
    assert (world.lead(held) <= -world.decoy).all()  # the false summit is all they have seen
    assert (held.norm(dim=1) <= STEP + 1e-9).all()
    assert not RingWorld().trapped.any()


# The planted shortcut


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.9, 0.2])
def test_the_planted_rule_is_worth_what_it_says(rho):
    world = PlantedWorld(rho, n=200)
    classifier, x = world.classifier(), world.images.images()
    dark = torch.where(world.patch, 115 / 255, x)
    bright = torch.where(world.patch, 140 / 255, x)
    odds = [
        out[:, 1] - out[:, 0] for out in (classifier.outputs(dark)["answer"], classifier.outputs(bright)["answer"])
    ]
    assert torch.allclose(odds[1] - odds[0], torch.full((200,), 2 * world.strength), atol=1e-4)
    assert world.strength == pytest.approx(math.log(rho / (1 - rho)))


def test_the_planted_rule_is_the_best_for_what_it_saw():
    # Bayes: the log-odds are those of two normal patterns and of a patch that agrees in a share rho.
    world = PlantedWorld(0.8, n=300)
    x = world.images.images().flatten(1).double()
    u, off = world.pattern.double(), ~world.patch.flatten()
    apart = [((x - 0.5 - sign * 0.1 * u)[:, off]).square().sum(1) for sign in (1, -1)]
    patch = world.images.table["patch"] * 2 - 1
    bayes = (apart[1] - apart[0]) / (2 * 0.1**2) + patch * math.log(0.8 / 0.2)
    out = world.classifier().outputs(world.images.images())["answer"]
    assert torch.allclose((out[:, 1] - out[:, 0]).double(), bayes, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_its_accuracy_is_the_formulas(rho, seed):
    world = PlantedWorld(rho, n=3000, seed=seed)
    right = world.classifier().predict(world.images.images()) == world.images.labels
    agrees = world.images.table["patch"] == world.images.labels
    assert 0.45 < agrees.double().mean() < 0.55
    for which in (True, False):
        share, found = world.accuracy(which), right[agrees == which].double()
        assert abs(found.mean() - share) < 4 * math.sqrt(share * (1 - share) / len(found))
    assert (world.accuracy(True) > world.accuracy(False)) == (rho > 0.5)


def test_repairs_move_along_the_shortcut_by_its_share():
    world = PlantedWorld(0.9)
    classifier = world.classifier()
    mistakes = world.images.misclassified(classifier)
    probe = lse(world.codec, margin=0.1, lr=0.002, weight=0.0, levels=None)
    for rho, share in ((0.9, world.share), (0.5, 0.0)):
        other = PlantedWorld(rho)
        assert other.share == pytest.approx(share)
        slope = other.slope / other.slope.norm()
        assert float(slope @ other.direction) ** 2 == pytest.approx(share, abs=1e-6)
    result = probe.run(classifier, mistakes)
    assert result.met.all() and len(result) > 50
    along = result.p[:, 0].sign()  # the first number of the code is the shortcut's
    wanted = mistakes.target * 2 - 1
    assert torch.equal(along, wanted.to(along))  # brighter to be of class 1, darker to be of class 0


def test_the_planted_codec_keeps_lengths_and_leads_with_the_shortcut():
    world = PlantedWorld(seed=4)
    basis = world.codec.basis
    assert torch.allclose(basis.T @ basis, torch.eye(4), atol=1e-5)
    assert torch.allclose(basis[:, 0], world.direction, atol=1e-5)
    assert torch.allclose(basis[:, 1], world.pattern, atol=1e-5)
    assert not (world.pattern * world.direction).any()


def test_a_share_of_one_plants_no_finite_worth(refuses):
    for rho in (0.0, 1.0, -1.0, math.nan):
        with refuses(UsageError, "planted-share"):
            PlantedWorld(rho)


def test_the_lossy_codec_keeps_nothing():
    codec = LossyCodec((3, 4, 4), latent=2)
    x = torch.rand(5, 3, 4, 4, requires_grad=True)
    drawn = codec.decode(codec.encode(x))
    assert torch.equal(drawn, torch.full((5, 3, 4, 4), 0.5))
    z = torch.zeros(5, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(codec.decode(z).sum(), z)
    assert not grad.any()
