"""Ascent: how far a step raises the probability, what keeps images plain, and which steps are noted."""

from dataclasses import replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Confidence
from amiss.optimizers import Adam, Ascent, Then
from amiss.optimizers.ascent import MARKS
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_ascent
from amiss.repro import normal
from amiss.spaces import Latent, Pixels
from amiss.task import Answer, Query, Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(classes=5)
GREY = torch.full((5, 1, 8, 8), 0.5, dtype=torch.float64)
TASK = Task(torch.arange(5), GREY, target=torch.arange(5))


def climbing(optimizer, steps=1, until="budget"):
    return Probe(Pixels(), Confidence(0.9999), Unconstrained(), optimizer, until, Budget(steps))


def walked(optimizer, steps=1, task=TASK):
    return list(climbing(optimizer, steps).walk(WORLD.classifier(), task, images=True))


def sure(images):
    return WORLD.logits(images).softmax(1).diagonal()


def away(images):
    return (images - 0.5).flatten(1).norm(dim=1)


@pytest.mark.parametrize(("early", "late"), [(1e-4, 1.0), (1.0, 1e-4)])
def test_the_first_step_raises_the_probability_by_what_it_aims_at(early, late):
    before, after = (sure(step.images) for step in walked(Ascent(early, late, decay=0, spread=0, max_lr=1e9)))
    aim = (late * (1 - before)).clamp(max=early)
    assert torch.allclose(after - before, aim, rtol=1e-2)
    twice = walked(Ascent(2 * early, 2 * late, decay=0, spread=0, max_lr=1e9))
    assert torch.allclose(away(twice[1].images), 2 * away(walked(Ascent(early, late, decay=0, spread=0))[1].images))


def test_a_step_is_along_the_gradient_of_the_probability_and_no_longer_than_the_rate_allows():
    p = GREY.clone().requires_grad_()
    (slope,) = torch.autograd.grad(sure(p).sum(), p)
    (_, step) = walked(Ascent(decay=0, spread=0, max_lr=1e-3))
    assert torch.allclose(step.images - GREY, 1e-3 * slope, atol=1e-12)


def test_decay_takes_back_a_share_of_the_distance():
    free, held = (walked(Ascent(1e-3, decay=d, spread=0.01))[1].images for d in (0.0, 0.3))
    assert torch.allclose(held - GREY, 0.7 * (free - GREY))
    assert not torch.allclose(walked(Ascent(spread=0.01))[0].images, GREY)


def test_decay_cuts_the_pixel_norm_and_the_confidence():
    free, held = (walked(Ascent(decay=d), 200)[-1].images for d in (0.0, 0.1))
    assert (sure(free) > 0.999).all()
    assert (away(free) > 2 * away(held)).all() and (sure(held) < sure(free)).all()


def test_pixels_that_are_near_or_of_no_use_go_back():
    task = Task(torch.arange(2), torch.full((2, 3, 4, 4), 0.5, dtype=torch.float64), target=torch.arange(2))
    weight = normal(torch.arange(2), (48,), torch.float64)
    asked = Classifier(lambda x: x.flatten(1) @ weight.T, labels="ab")
    moved = {}
    for name, share in (("plain", {}), ("norm", {"small_norm": 0.5}), ("benefit", {"small_benefit": 0.25})):
        probe = climbing(Ascent(decay=0, spread=0.02, **share))
        _, two = probe.walk(asked, task, images=True)
        moved[name] = two.images - 0.5
    plain, slope = moved["plain"], (weight - weight.flip(0)).view(2, 3, 4, 4)  # of the log-odds
    size = {"norm": plain.norm(dim=1), "benefit": (plain * slope).sum(1).abs()}
    for name, share in (("norm", 0.5), ("benefit", 0.25)):
        gone = (moved[name] == 0).all(1)
        assert gone.flatten(1).sum(1).tolist() == [16 * share] * 2
        assert torch.equal(moved[name].abs().sum(1) > 0, ~gone)
        for i in range(2):
            assert size[name][i][gone[i]].max() < size[name][i][~gone[i]].min()
            assert torch.equal(moved[name][i][:, ~gone[i]], plain[i][:, ~gone[i]])


def gray(p):
    return Task(torch.arange(len(p)), torch.full_like(p, 0.5), target=torch.zeros(len(p), dtype=torch.int64))


def told(optimizer, p, step=0, owner=None):
    """The parameters after an answer without a slope, from a state of one's own."""
    search = climbing(optimizer).search(WORLD.classifier(), gray(p))
    state = {**optimizer.init(search.domain), "p": p, "step": step}
    loss = p.new_ones(len(p))
    answer = Answer(loss > 2, loss, loss, loss, torch.zeros_like(p))
    owner = torch.arange(len(p)) if owner is None else owner
    return optimizer.tell(state, search.domain, Query(p, owner, "grad"), answer)["p"]


def test_the_blur_is_a_gaussian_of_that_width():
    dot = torch.full((1, 2, 31, 31), 0.5, dtype=torch.float64)
    dot[0, 0, 15, 15] = 0.9
    place = torch.arange(31, dtype=torch.float64) - 15
    for sigma in (0.8, 1.5):
        blurred = told(Ascent(decay=0, blur=sigma), dot) - 0.5
        assert torch.equal(blurred[0, 1], torch.zeros_like(blurred[0, 1]))
        assert float(blurred.sum()) == pytest.approx(0.4)
        for axis in (0, 1):
            spread = (blurred[0, 0].sum(axis) / 0.4 * place.square()).sum()
            assert float(spread) == pytest.approx(sigma**2, rel=0.03)
    even = torch.full((1, 1, 5, 5), 0.7)
    assert torch.allclose(told(Ascent(decay=0, blur=1.0), even), even)  # no edge darkens
    second = Ascent(decay=0, blur=1.0, blur_every=2)
    assert torch.equal(told(second, dot, step=1), dot) and not torch.equal(told(second, dot, step=2), dot)


def test_who_is_idle_stays_where_it_is():
    p = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(10))
    after = told(Ascent(decay=0.5, blur=1.0), p, owner=torch.tensor([0, -1, 2]))
    assert torch.equal(after[1], p[1]) and not torch.equal(after[0], p[0])


def test_the_first_steps_at_which_it_is_sure_are_noted():
    steps = walked(Ascent(decay=0), 300)
    read = torch.stack([sure(step.images) for step in steps])
    for mark, found in zip(MARKS, steps[-1].state["optimizer"]["marks"].T, strict=True):
        for c in range(5):
            above = (read[:, c] > mark).nonzero()
            assert int(found[c]) == (int(above[0]) if len(above) else -1)
    held = walked(Ascent(decay=0.5), 20)[-1].state["optimizer"]["marks"]
    assert (held == -1).any()
    met = list(climbing(Ascent(decay=0), 300, "met").walk(WORLD.classifier(), TASK))[-1].state
    assert torch.equal(met["optimizer"]["marks"], steps[-1].state["optimizer"]["marks"])
    assert torch.equal(met["first"], met["optimizer"]["marks"][:, 3])


def test_where_nothing_slopes_nothing_moves():
    flat = Classifier(lambda x: 0 * x.flatten(1)[:, :5], labels="abcde")
    result = climbing(Ascent(spread=0), 3).run(flat, TASK)
    assert result.counts == {"no-gradient": 5} and torch.equal(result.images, GREY)


def test_it_may_follow_and_be_followed():
    for pair in (Then(Ascent(), Adam(0.02), 5, "steps"), Then(Adam(0.02), Ascent(decay=0), 5, "steps")):
        steps = walked(pair, 30)
        assert (sure(steps[-1].images) > sure(steps[0].images)).all()


def test_what_cannot_climb_is_refused(refuses):
    for wrong in (
        {"early": 0},
        {"late": -1},
        {"decay": 1.0},
        {"blur": -0.1},
        {"blur_every": 0},
        {"small_norm": 1.0},
        {"small_benefit": -0.1},
        {"max_lr": 0},
        {"spread": -1},
    ):
        with refuses(UsageError, "ascent-options"):
            Ascent(**wrong)
    probe = replace(climbing(Ascent()), space=Latent(WORLD.codec))
    with refuses(ContractError, "contract-pixels"):
        probe.run(WORLD.classifier(), TASK)


def test_the_recipe_is_sure_of_nonsense_on_file():
    world = LinearWorld(classes=3, dtype=torch.float32)
    asked = Classifier(world.logits, labels="abc")
    result = fool_ascent((1, 8, 8), confidence=0.9, decay=0.001).run(asked, classes(asked))
    assert result.counts == {"met": 3}
    assert (world.logits(result.images).softmax(1).diagonal() >= 0.9).all()
    levels = result.images * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    longer = fool_ascent((1, 8, 8), confidence=0.9, decay=0.001, until="budget", steps=60).run(asked, classes(asked))
    assert {o.queries for o in longer.outcomes} == {61}
