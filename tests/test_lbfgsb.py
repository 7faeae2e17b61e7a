"""L-BFGS in a box against known minima and scipy; who turns to it, what is idle, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, minimize

from amiss.classifier import Classifier
from amiss.constraints import LatentNorm, Linf, Mask, Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Become, Mimic, Objective
from amiss.optimizers import LBFGSB, Momentum, Then, TwoPhase
from amiss.probe import Budget, Probe
from amiss.repro import normal
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.testing.batteries.values import same, saved
from tests.probes import worlds

WORLD = LinearWorld(n=12, classes=12, crowd=0.15)
EPS = 0.04
PAIRS = replace(WORLD.task, guide=WORLD.task.image.flip(0))


class Of(Objective):
    """A function of the pixels, never met: the lowest stays."""

    keeps = "lowest"

    def __init__(self, function):
        self.function = function

    def score(self, y, task):
        loss = self.function(y["answer"], task)
        return loss, loss < -torch.inf


def pixels(function, start, optimizer, steps=100, constraint=None, **options):
    """A search over images of one row whose loss is a function of the pixels."""
    n, wide = start.shape
    task = Task(torch.arange(n), start.reshape(n, 1, 1, wide), torch.arange(n))  # each knows its number
    classifier = Classifier(torch.nn.Flatten(), labels=[str(i) for i in range(wide)])
    probe = Probe(
        Pixels(), Of(function), constraint or Unconstrained(), optimizer, "budget", Budget(steps), **options
    )
    return probe.search(classifier, task)


def ended(search):
    steps = list(search.walk())
    return steps, steps[-1].state["best"]


def bowl(n=8, wide=30, bend=1e3):
    """Quadratics whose minimum over all space lies outside the box in many coordinates; condition `bend`."""
    made = normal(torch.arange(n), (wide, wide), torch.float64)
    turn = torch.linalg.qr(made).Q
    curve = torch.logspace(0, np.log10(bend), wide, dtype=torch.float64)
    matrix = turn @ (curve[:, None] * turn.mT)
    center = 0.5 + 0.5 * normal(torch.arange(n) + 100, (wide,), torch.float64)

    def loss(x, task):
        away = x - center[task.label]
        return (away * (matrix[task.label] @ away[:, :, None])[:, :, 0]).sum(1) / 2

    return loss, matrix, center


def start(n, wide):
    return torch.full((n, wide), 0.5, dtype=torch.float64)


def rosenbrock(x, task):
    u = 4 * x - 2
    return ((1 - u[:, 0::2]) ** 2 + 100 * (u[:, 1::2] - u[:, 0::2] ** 2) ** 2).sum(1)


def test_quadratics_in_a_box_end_where_scipy_does():
    loss, matrix, center = bowl()
    _, best = ended(pixels(loss, start(8, 30), LBFGSB(fall=0.0), 400))
    corners = 0
    for i in range(8):
        a, c = matrix[i].numpy(), center[i].numpy()

        def fun(v, a=a, c=c):
            return (v - c) @ a @ (v - c) / 2, a @ (v - c)

        options = {"maxiter": 2000, "maxfun": 10_000, "ftol": 1e-15, "gtol": 1e-10}
        known = minimize(fun, np.full(30, 0.5), jac=True, method="L-BFGS-B", bounds=[(0, 1)] * 30, options=options)
        corners += int(((known.x == 0) | (known.x == 1)).sum())
        assert float(best["loss"][i]) <= known.fun * (1 + 1e-8) + 1e-12
    assert corners > 40  # the box binds


@pytest.mark.parametrize("optimizer", [LBFGSB(), TwoPhase(), Then(Momentum(EPS / 8), LBFGSB(), 12, "steps")])
def test_features_of_a_linear_network_come_as_near_as_the_box_allows(optimizer):
    probe = Probe(Pixels(), Mimic("linear"), Linf(EPS), optimizer, "budget", Budget(150))
    result = probe.run(WORLD.classifier(), PAIRS)
    for i, image in enumerate(WORLD.task.image.flatten(1)):
        wanted = WORLD.weight @ (PAIRS.guide[i].flatten() - image)
        low, high = (image - EPS).clamp_min(0) - image, (image + EPS).clamp_max(1) - image
        best = lsq_linear(WORLD.weight.numpy(), wanted.numpy(), (low.numpy(), high.numpy()), tol=1e-12)
        assert result.outcomes[i].loss <= 2 * best.cost / float(wanted.square().sum()) * (1 + 1e-3) + 1e-9


def test_a_curved_valley_is_followed_to_its_end():
    begin = torch.tensor([[0.2, 0.7, 0.3, 0.4], [0.9, 0.1, 0.05, 0.95]], dtype=torch.float64)
    _, best = ended(pixels(rosenbrock, begin, LBFGSB(fall=0.0), 120))
    assert torch.allclose(best["p"].flatten(1), torch.full_like(begin, 0.75), atol=1e-6)


def test_where_the_minimum_is_cut_off_by_the_box_its_edge_is_found():
    # Within 0.1 of (0.5, 0.5, ..) the valley's end is out of reach: scipy says where the least is then.
    begin = start(1, 4)
    _, best = ended(pixels(rosenbrock, begin, LBFGSB(fall=0.0), 100, Linf(0.1)))

    def fun(v):
        x = torch.tensor(v)[None].requires_grad_()
        loss = rosenbrock(x, None).sum()
        return loss.item(), torch.autograd.grad(loss, x)[0][0].numpy()

    known = minimize(fun, begin[0].numpy(), jac=True, method="L-BFGS-B", bounds=[(0.4, 0.6)] * 4)
    assert known.fun > 0.01
    assert float(best["loss"][0]) <= known.fun * (1 + 1e-6)


@pytest.mark.parametrize("optimizer", [LBFGSB(), TwoPhase()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_row_ever_leaves_the_box_and_what_stands_never_rises(optimizer, dtype):
    loss, _, _ = bowl()

    def single(x, task):
        return loss(x.double(), task).to(dtype)

    held = Mask(torch.arange(30) % 3 > 0) & Linf(0.3)
    search = pixels(single, (start(8, 30) - 0.25).to(dtype), optimizer, 40, held)
    low, high = search.domain.bounds(search.domain.everyone)
    assert (low == high).any() and (low == 0).any()
    stands = torch.full((8,), torch.inf)
    for step in search.walk():
        assert ((step.query.p >= low) & (step.query.p <= high)).all()
        assert (step.state["best"]["loss"] <= stands).all()
        stands = step.state["best"]["loss"]
        state = step.state["optimizer"]
        inner = state.get("later", state)
        if inner is not None and step.answer.grad is not None:
            assert ((inner["p"] >= low) & (inner["p"] <= high)).all()


@pytest.mark.parametrize("optimizer", [LBFGSB(), TwoPhase()], ids=lambda o: type(o).__name__)
def test_a_sample_alone_goes_the_way_it_goes_in_a_batch(optimizer):
    loss, _, _ = bowl()
    whole = pixels(loss, start(8, 30), optimizer, 60)
    steps, best = ended(whole)
    for i in (0, 5):
        alone = replace(whole, task=whole.task.rows(torch.tensor([i])))
        alone = replace(alone, domain=replace(alone.domain, task=alone.task, everyone=torch.zeros(0).long()))
        other, found = ended(alone)
        assert torch.allclose(found["p"][0], best["p"][i], atol=1e-9)
        assert int(other[-1].state["queries"][0]) == int(steps[-1].state["queries"][i])


def test_who_is_finished_is_asked_no_more():
    # The first sample begins in its minimum, the second is there after a few steps, the third has a long way.
    curve = torch.tensor([[1.0] * 30, [1.0] * 30, torch.logspace(0, 2, 30).tolist()], dtype=torch.float64)
    center = torch.tensor([[0.5], [0.3], [0.9]], dtype=torch.float64).expand(3, 30)

    def loss(x, task):
        return (curve[task.label] * (x - center[task.label]) ** 2).sum(1)

    search = pixels(loss, start(3, 30), LBFGSB(), 200)
    before = search.classifier.counts.queries
    steps, best = ended(search)
    queries = steps[-1].state["queries"]
    assert search.classifier.counts.queries - before == int(queries.sum())
    assert queries[0] <= 2 and queries[1] <= 6 < queries[2] < 201
    assert best["loss"].max() < 1e-6 and len(steps) == int(queries[2])


def test_a_loss_that_stalls_ends_its_sample_after_a_window():
    def flat(x, task):  # falls, and ever more slowly: by less than a thousandth in ten turns before long
        return 1 + 1e-3 * (x - 0.1).square().sum(1)

    steps, _ = ended(pixels(flat, start(2, 30), LBFGSB(fall=0.01), 100))
    assert len(steps) <= 21
    longer, _ = ended(pixels(rosenbrock, start(2, 30), LBFGSB(fall=0.0), 15))
    assert len(longer) == 16


@pytest.mark.parametrize("low", [-3.0, 0.0, 2.0])
def test_losses_below_zero_and_far_above_it_are_minimized_too(low):
    def loss(x, task):
        return low + (x - 0.3).square().sum(1)

    _, best = ended(pixels(loss, start(2, 6), LBFGSB(fall=0.0), 40))
    assert torch.allclose(best["p"].flatten(1), torch.full((2, 6), 0.3, dtype=torch.float64), atol=1e-5)


def test_steps_that_overshoot_are_shortened_and_the_others_go_on():
    def steep(x, task):  # Polyak's first step overshoots where the loss grows with the fourth power
        power = torch.where(task.label == 0, 4.0, 2.0)[:, None].double()
        return (10 * (x - 0.2).abs() + 1e-12).pow(power).sum(1) + 3 * (task.label == 0)

    steps, best = ended(pixels(steep, start(2, 4), LBFGSB(fall=0.0), 60))
    assert float(best["loss"][0]) - 3 < 1e-6 and float(best["loss"][1]) < 1e-9
    assert bool((torch.stack([s.state["optimizer"]["pace"] for s in steps]) < 1).any())


def test_on_codes_it_is_plain_and_carries_the_penalty():
    world = LinearWorld(n=20)
    probe = Probe(Latent(world.codec), Become(margin=0.5), LatentNorm(0.03), LBFGSB(), "budget", Budget(60))
    result = probe.run(world.classifier(), world.task)
    assert result.met.all()
    assert (result.size.double() / world.latent_optimum(0.5)).max() < 1.2


def towards(held):
    """Losses whose minimum lies in a corner of the box for the samples held, in its middle for the others."""
    made = 0.5 + 0.04 * normal(torch.arange(len(held)), (30,), torch.float64).tanh()
    center = torch.where(held[:, None], (made > 0.5).double(), made)
    return lambda x, task: (x - center[task.label]).square().sum(1)


def test_those_that_the_box_holds_go_on_with_signs_and_the_others_turn():
    held = torch.tensor([True, False, True, False, False])
    loss = towards(held)
    steps, best = ended(pixels(loss, start(5, 30), TwoPhase(), 40, Linf(0.1)))
    assert torch.equal(steps[-1].state["optimizer"]["gone"], ~held)
    assert float(best["loss"][~held].max()) < 1e-8  # signs alone would stay at a fiftieth of the radius
    edge = (best["p"].flatten(1) - 0.5).abs()[held]
    assert torch.allclose(edge, torch.full_like(edge, 0.1))


def test_after_turning_the_finished_are_idle_and_signs_go_on():
    held = torch.tensor([True, False])
    steps, _ = ended(pixels(towards(held), start(2, 30), TwoPhase(), 60, Linf(0.1)))
    owners = torch.stack([step.query.owner for step in steps])
    assert (owners[:, 0] == 0).all() and len(steps) == 61
    assert (owners[:30, 1] == 1).all() and (owners[50:, 1] == -1).all()


def test_of_a_hundred_steps_the_last_tenth_is_quasi_newton_for_those_that_are_held_too():
    # Free to move along half of the pixels, held in the others: signs would end a fiftieth of the radius off.
    held = torch.tensor([True, True, False])

    def loss(x, task):
        return towards(held)(x, task) + 5 * (x[:, :5] - 0.52).square().sum(1)

    for steps, polished in ((99, False), (150, True)):
        walked, best = ended(pixels(loss, start(3, 30), TwoPhase(fall=0.0), steps, Linf(0.1)))
        gone = torch.stack([step.state["optimizer"]["gone"] for step in walked])
        assert torch.equal(gone[-1], ~held | polished)
        assert torch.equal(gone[7 * steps // 10], ~held)
        if polished:
            x = best["p"].clone().requires_grad_()
            (slope,) = torch.autograd.grad(loss(x.flatten(1), Task(torch.arange(3), label=torch.arange(3))).sum(), x)
            off = (x - (x - slope).clamp(0.4, 0.6)).abs()
            assert float(off.detach().max()) < 1e-7  # the projected gradient is gone


@pytest.mark.parametrize("steps", [30, 110])
def test_a_saved_state_goes_on_bit_for_bit_in_both_phases(steps):
    held = torch.tensor([True, False, True])
    search = pixels(towards(held), start(3, 30), TwoPhase(), steps, Linf(0.1))
    walked, _ = ended(search)
    for cut in (3, steps // 2, len(walked) - 2):
        rest = list(search.walk(saved(walked[cut].state)))
        assert len(rest) == len(walked) - cut - 1
        assert same(rest[-1].state["optimizer"], walked[-1].state["optimizer"])


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("optimizer", [LBFGSB(), TwoPhase()], ids=lambda o: type(o).__name__)
def test_a_budget_of_few_steps_is_spent_and_no_more(optimizer, steps):
    loss, _, _ = bowl()
    walked, best = ended(pixels(loss, start(8, 30), optimizer, steps))
    assert len(walked) == steps + 1
    assert (best["loss"] <= walked[0].answer.loss).all()


def test_nothing_to_search_in_an_empty_box():
    loss, _, _ = bowl()
    for optimizer in (LBFGSB(), TwoPhase()):
        _, best = ended(pixels(loss, start(8, 30), optimizer, 10, Linf(0.0)))
        assert torch.equal(best["p"].flatten(1), start(8, 30))


def test_it_begins_where_another_ended_whatever_its_restarts():
    loss, _, _ = bowl()
    first = Momentum(0.02, restarts=3, spread=0.05)
    for second in (LBFGSB(), TwoPhase()):
        steps, best = ended(pixels(loss, start(8, 30), Then(first, second, 5, "steps"), 60))
        (handed,) = [step for step in steps if step.turn == 6]
        assert torch.allclose(handed.query.p, steps[5].state["best"]["p"])
        assert (best["loss"] < handed.answer.loss).all()


@pytest.mark.parametrize("steps", [5, 40])
def test_what_comes_after_both_phases_begins_where_they_ended(steps):
    loss, _, _ = bowl()
    search = Then(TwoPhase(), LBFGSB(fall=0.0), steps, "steps")
    both, best = ended(pixels(loss, start(8, 30), search, steps + 30))
    (last,) = [step for step in both if step.turn == steps]
    (handed,) = [step for step in both if step.turn == steps + 1]
    assert torch.equal(handed.query.p, last.state["optimizer"]["inner"]["p"])
    assert not torch.equal(handed.query.p.flatten(1), start(8, 30))
    assert (best["loss"] < last.state["best"]["loss"]).all()


def test_words_for_what_cannot_be():
    for make in (lambda: LBFGSB(memory=0), lambda: LBFGSB(window=0), lambda: LBFGSB(fall=1.0)):
        with pytest.raises(UsageError) as caught:
            make()
        assert caught.value.slug == "lbfgsb-options"
    with pytest.raises(UsageError) as caught:
        TwoPhase(momentum=1.0)
    assert caught.value.slug == "two-phase-momentum"
    world = LinearWorld(n=4)
    codes = Probe(Latent(world.codec), Become(), LatentNorm(), TwoPhase())
    with pytest.raises(ContractError) as refused:
        codes.run(world.classifier(), world.task)
    assert refused.value.slug == "contract-box"
    genomes = Probe(worlds.Graphs(), Become(), Unconstrained(), LBFGSB())
    with pytest.raises(ContractError) as refused:
        genomes.run(world.classifier(), world.task)
    assert refused.value.slug == "contract-ladder"
