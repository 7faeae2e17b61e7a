"""A substitute learns what it asks, spends its queries to the last, and what fools it fools the model asked."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.audit import substitute
from amiss.classifier import Classifier
from amiss.errors import DataError, UsageError
from amiss.recipes import pgd
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=40, crowd=0.2, dtype=torch.float32)


def mute():
    """The linear world, which tells labels alone."""
    return Classifier(lambda x: WORLD.logits(x).argmax(1), gives="met", labels=["a", "b"])


def linear():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def test_queries_are_spent_to_the_last_and_counted():
    target = mute()
    known = substitute(target, WORLD.task.image, 130, network=linear(), steps=40)
    assert known.queries == 130 == target.counts.queries
    assert known.images.shape == (130, 1, 8, 8) and len(known.agreement) == 3  # 40, 80, 130
    assert torch.equal(known.answers, target.predict(known.images))
    assert torch.allclose(known.images * 255, (known.images * 255).round(), atol=1e-4)


def test_what_is_asked_is_a_step_from_what_was_known():
    known = substitute(mute(), WORLD.task.image, 80, network=linear(), steps=40, step=0.05)
    first, then = known.images[:40], known.images[40:]
    far = (then - first).abs().flatten(1).amax(1)
    assert torch.allclose(far, torch.full_like(far, 0.05), atol=0.5 / 255 + 1e-6)


def test_what_fools_it_fools_the_model():
    fresh = linear()
    before = [p.clone() for p in fresh.parameters()]
    target = mute()
    known = substitute(target, WORLD.task.image, 320, network=fresh, steps=150, rate=1e-2)
    assert all(torch.equal(p, q) for p, q in zip(fresh.parameters(), before, strict=True))
    assert known.agreement[-1] > 0.9
    right = replace(WORLD.task, label=target.predict(WORLD.task.image), target=None)
    attack, eps = pgd(0.1, 10, until="budget", margin=1e3), 0.1
    made = attack.run(known.classifier, right).images
    fooled = (target.predict(made) != right.label).double().mean()
    noise = right.image + eps * torch.randn(right.image.shape, generator=torch.Generator().manual_seed(3)).sign()
    by_chance = (target.predict(noise.clamp(0, 1)) != right.label).double().mean()
    assert fooled > by_chance + 0.3


def test_the_same_seed_learns_the_same():
    one, other = (substitute(mute(), WORLD.task.image, 60, network=linear(), steps=20, seed=3) for _ in range(2))
    assert torch.equal(one.images, other.images)
    assert one.classifier.fingerprint == other.classifier.fingerprint


def test_without_a_network_a_small_one_is_made():
    world = LinearWorld(n=8, side=16, dtype=torch.float32)
    target = Classifier(lambda x: world.logits(x).argmax(1), gives="met", labels=["a", "b"])
    known = substitute(target, world.task.image, 8, steps=2)
    assert known.classifier.gives == "jacobian" and known.queries == 8


def test_what_cannot_be_asked_is_refused(refuses):
    images = WORLD.task.image
    for queries, step in ((39, 0.1), (80, 0.0), (80, 1.5), (80, float("nan"))):
        with refuses(UsageError, "substitute-queries"):
            substitute(mute(), images, queries, step=step)
    with refuses(DataError, "data-empty"):
        substitute(mute(), images[:0], 10)
    with refuses(DataError, "substitute-size"):
        substitute(mute(), images, 80)


@pytest.mark.parametrize("seed", [10, 11])
def test_another_seed_asks_something_else(seed):
    one, other = (substitute(mute(), WORLD.task.image, 60, network=linear(), steps=5, seed=s) for s in (seed, 0))
    assert not torch.equal(one.images, other.images)
