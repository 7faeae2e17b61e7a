"""HopSkipJump: the nearest point of a known boundary from labels alone, what it spends, and where it begins."""

from dataclasses import replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import L2, Linf
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become
from amiss.optimizers import HopSkipJump, Momentum, Then
from amiss.probe import Budget, Probe
from amiss.recipes import hop_skip_jump
from amiss.spaces import Latent, Pixels
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=10)
RIGHT = replace(WORLD.task, label=1 - WORLD.task.label)


def mute(world=WORLD):
    return Classifier(lambda x: world.logits(x).argmax(1), gives="met", labels=[str(i) for i in range(world.classes)])


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_nearest_point_of_a_plane_is_found_from_labels(norm):
    deficit, slope = WORLD.deficit(0.0)
    nearest = WORLD.l2_optimum(0.0) if norm == "l2" else deficit / slope.abs().sum(1)
    constraint = L2() if norm == "l2" else Linf()
    search = HopSkipJump(norm, rows=60)
    result = Probe(Pixels(), Avoid(0.0), constraint, search, "budget", Budget(1500, 1500)).run(mute(), RIGHT)
    ratio = result.size / nearest
    assert result.met.all() and ratio.min() >= 1 - 1e-6
    assert ratio.median() <= (1.1 if norm == "l2" else 1.15)


def test_more_queries_bring_it_nearer():
    sizes = [hop_skip_jump(q, rows=30, levels=None).run(mute(), RIGHT).size.median() for q in (150, 600)]
    assert sizes[1] < 0.9 * sizes[0]


def test_no_query_more_than_the_budget_and_few_less():
    net = mute()
    result = hop_skip_jump(200, rows=40).run(net, RIGHT)
    spent = [outcome.queries for outcome in result.outcomes]
    assert max(spent) <= 200 and min(spent) > 150
    assert net.counts.queries == sum(spent) + len(RIGHT)  # and the judgement at the end
    assert net.counts.backward == 0


def test_what_is_found_is_a_success_in_the_file():
    image = (WORLD.task.image * 255).round() / 255
    label = WORLD.logits(image).argmax(1)
    result = hop_skip_jump(300, rows=40).run(mute(), replace(WORLD.task, image=image, label=label))
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-9)
    assert (WORLD.logits(result.images).argmax(1) != label).all()


def test_who_is_wrong_already_costs_one_query():
    result = hop_skip_jump(100).run(mute(), WORLD.task)
    assert {o.status for o in result.outcomes} == {"already-met"}
    assert {o.queries for o in result.outcomes} == {1}


def test_a_guide_is_where_it_begins():
    world = LinearWorld(n=6, classes=8)
    label, guide = world.logits(world.task.image).argmax(1), 0.5 + 0.1 * world.weight.view(8, 1, 8, 8)
    target = (label + 3) % 8
    task = replace(world.task, label=label, target=target, guide=guide[target].clamp(0, 1))
    probe = replace(hop_skip_jump(400, target="task", rows=40, levels=None), objective=Become(margin=0.0))
    steps = list(probe.walk(mute(world), task))
    assert torch.equal(steps[1].query.p, task.guide)
    best = steps[-1].state["best"]
    assert best["met"].all() and (world.logits(best["p"]).argmax(1) == target).all()
    far = (task.guide - task.image).flatten(1).norm(dim=1)
    assert (best["size"] < 0.5 * far).all()


def test_without_a_success_to_begin_with_it_says_so():
    never = Classifier(lambda x: torch.zeros(len(x), dtype=torch.int64), gives="met", labels=["a", "b"])
    task = replace(WORLD.task, label=torch.zeros(10, dtype=torch.int64))
    result = hop_skip_jump(30).run(never, task)
    assert {o.status for o in result.outcomes} == {"unreachable"}
    assert {o.queries for o in result.outcomes} == {30}
    assert "guide" in result.outcomes[0].reason


def test_noise_to_begin_with_is_fine_and_coarse_in_turn():
    never = Classifier(lambda x: torch.zeros(len(x), dtype=torch.int64), gives="met", labels=["a", "b"])
    task = replace(WORLD.task, label=torch.zeros(10, dtype=torch.int64))
    seen = [step.query.p for step in hop_skip_jump(8, levels=None).walk(never, task)]
    fine, coarse = seen[1], seen[2]
    assert torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])
    assert not torch.equal(fine[..., ::2, ::2], fine[..., 1::2, 1::2])
    assert len(fine.flatten(1).unique(dim=0)) == len(task)  # every sample its own


def test_after_another_optimizer_it_begins_at_its_best():
    # Steps of this length are no more than a start: what follows bisects it, and sees no gradient.
    search = Then(Momentum(2.0, 0.0, "l2"), HopSkipJump(rows=40), 3)
    probe = Probe(Pixels(), Avoid(0.0), L2(), search, "budget", Budget(600))
    result = probe.run(WORLD.classifier(), RIGHT)
    assert result.met.all()
    assert (result.size / WORLD.l2_optimum(0.0)).median() <= 1.2


def test_what_means_nothing_is_refused(refuses):
    for options in ({"norm": "l1"}, {"rows": 1}, {"reach": 0.0}, {"reach": 1.5}, {"carry": -1.0}):
        with refuses(UsageError, "hop-skip-jump-options"):
            HopSkipJump(**options)
    with refuses(UsageError, "budget-zero"):
        hop_skip_jump(0)
    probe = Probe(Latent(WORLD.codec), Become(), L2(), HopSkipJump())
    with refuses(ContractError, "contract-pixels"):
        probe.run(WORLD.classifier(), WORLD.task)
