"""Steps against references written out, states that ask leaves alone, and who goes on from where."""

import copy
from dataclasses import replace

import pytest
import torch

from amiss.constraints import Box, LatentNorm, Linf, Unconstrained
from amiss.domain import Domain
from amiss.errors import ContractError
from amiss.optimizers import Adam, Momentum, Optimizer, Sign, Then
from amiss.repro import normal
from amiss.spaces import Latent, Pixels, Space
from amiss.task import Answer, Task
from amiss.testing import LinearWorld

IMAGE = 0.5 + 0.1 * normal(torch.arange(3), (1, 2, 2), torch.float64)
PEAK = IMAGE + 0.2 * normal(torch.arange(3, 6), (1, 2, 2), torch.float64)
STIFF = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64).view(3, 1, 1, 1)


def domain(constraint=None, steps=10, image=IMAGE):
    n = len(image)
    none = torch.zeros(n, dtype=torch.bool)
    best = {"p": image, "met": none, "size": torch.full((n,), torch.inf), "loss": torch.full((n,), torch.inf)}
    return Domain(Pixels(), constraint or Unconstrained(), Task(torch.arange(n), image), steps, best)


def slope(p, owner):
    """Gradient of a bowl around each sample's peak; the samples' bowls differ in steepness."""
    return STIFF[owner] * (p - PEAK[owner])


def answer(query, owner, met=None):
    n, asked = len(query), query.want != "loss"
    met = torch.zeros(n, dtype=torch.bool) if met is None else met
    zeros = torch.zeros(n, dtype=torch.float64)
    return Answer(met, zeros, zeros, zeros, slope(query.p, owner) if asked else None)


def walk(optimizer, place, turns):
    """The points asked about, turn by turn."""
    state, points = optimizer.init(place), []
    for _ in range(turns):
        query = optimizer.ask(state, place)
        points.append(query.p)
        state = optimizer.tell(state, place, query, answer(query, query.owner.clamp_min(0)))
    return torch.stack(points)


def test_sign_steps_by_the_sign_and_stays_in_the_set():
    points = walk(Sign(0.03), domain(Linf(0.05)), 4)
    p = IMAGE
    for found in points:
        assert torch.equal(found, p)
        stepped = p - 0.03 * slope(p, torch.arange(3)).sign()
        p = stepped.clamp(IMAGE - 0.05, IMAGE + 0.05).clamp(0, 1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_momentum_is_an_average_of_normalized_gradients(norm):
    points = walk(Momentum(0.02, 0.75, norm), domain(), 6)
    p, average = IMAGE, torch.zeros_like(IMAGE)
    for found in points:
        assert torch.allclose(found, p, rtol=0, atol=1e-14)
        grad = slope(p, torch.arange(3))
        average = 0.75 * average + grad / grad.abs().mean((1, 2, 3), keepdim=True)
        away = average.sign() if norm == "linf" else average / average.square().sum((1, 2, 3), keepdim=True).sqrt()
        p = (p - 0.02 * away).clamp(0, 1)


def test_adam_is_torchs_row_by_row():
    points = walk(Adam(0.03, (0.8, 0.99), 1e-6), domain(), 10)
    for i in range(3):
        p = IMAGE[i : i + 1].clone().requires_grad_()
        reference = torch.optim.Adam([p], lr=0.03, betas=(0.8, 0.99), eps=1e-6)
        for found in points:
            assert torch.allclose(found[i : i + 1], p, rtol=0, atol=1e-12)
            p.grad = slope(p.detach(), torch.tensor([i]))
            reference.step()


@pytest.mark.parametrize("optimizer", [Sign(0.1), Momentum(0.1), Momentum(0.1, 0.0, "l2"), Adam(0.1)], ids=repr)
@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-300])
def test_where_there_is_no_slope_nothing_breaks(optimizer, size):
    place = domain()
    state = optimizer.init(place)
    for _ in range(3):
        query = optimizer.ask(state, place)
        zeros = torch.zeros(3, dtype=torch.float64)
        grad = torch.full_like(query.p, size)
        state = optimizer.tell(state, place, query, Answer(zeros.bool(), zeros, zeros, zeros, grad))
    assert state["p"].isfinite().all()
    assert size > 0 or torch.equal(state["p"], IMAGE)


@pytest.mark.parametrize("optimizer", [Sign(0.01), Momentum(0.01), Adam(0.01), Adam(0.01, restarts=3, spread=0.1)])
def test_after_the_last_step_one_look_and_then_idle(optimizer):
    place = domain(steps=2)
    state, wants = optimizer.init(place), []
    for _ in range(4):
        query = optimizer.ask(state, place)
        wants.append((query.want, query.draw, bool((query.owner >= 0).all()), bool((query.owner < 0).all())))
        state = optimizer.tell(state, place, query, answer(query, query.owner.clamp_min(0)))
    looks = [("grad", 0), ("grad", 1), ("loss", None)]
    assert wants[:3] == [(want, draw, True, False) for want, draw in looks]
    assert wants[3][3]


def test_restarts_lie_ever_further_off_and_depend_on_their_sample_alone():
    place, optimizer = domain(), Adam(0.1, restarts=5, spread=0.01)
    p = optimizer.init(place)["p"].view(3, 5, -1)
    away = (p - IMAGE.flatten(1)[:, None]).norm(dim=2)
    assert away[:, 0].tolist() == [0.0] * 3
    assert (away[:, 1:] > 0).all()
    scaled = away[:, 1:] / torch.arange(1, 5)
    assert (scaled.amax(1) / scaled.amin(1) < 6).all()  # one length of noise, times 1 to 4
    assert optimizer.ask(optimizer.init(place), place).owner.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    alone = Domain(Pixels(), Unconstrained(), place.task.rows(torch.tensor([2])), 10)
    assert torch.equal(optimizer.init(alone)["p"].view(5, -1), p[2])
    one = Sign(0.1, spread=0.01).init(place)["p"]
    assert ((one - IMAGE).flatten(1).norm(dim=1) > 0).all()
    inside = Sign(0.1, spread=5.0).init(domain(Linf(0.02)))["p"]
    assert ((inside - IMAGE).abs() <= 0.02 + 1e-15).all()


def test_the_penalty_is_asked_for_where_the_constraint_is_soft():
    world = LinearWorld(n=3)
    space = Latent(world.codec)
    task = space.prepare(world.task)
    for constraint, expected in ((LatentNorm(0.1), [1.0] * 3), (LatentNorm(), None), (Linf(0.1), None)):
        place, optimizer = Domain(space, constraint, task, 5), Adam(0.1)
        weight = optimizer.ask(optimizer.init(place), place).weight
        assert (None if weight is None else weight.tolist()) == expected


# Chains


def frozen(state):
    return {k: frozen(v) if isinstance(v, dict) else copy.deepcopy(v) for k, v in state.items()}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("optimizer", [Adam(0.1), Momentum(0.1), Adam(0.1, restarts=2, spread=0.1)])
def test_an_idle_row_stays_where_it_is(optimizer):
    place = domain(steps=20)
    state = optimizer.init(place)
    query = optimizer.ask(state, place)
    n = len(query)
    answer = Answer(torch.zeros(n, dtype=torch.bool), torch.zeros(n), torch.zeros(n), grad=torch.ones_like(query.p))
    state = optimizer.tell(state, place, query, answer)  # now there is an average to be carried on by
    waits = torch.arange(n) % 2 == 0
    query = optimizer.ask(state, place)
    query = replace(query, owner=torch.where(waits, -1, query.owner))
    answer = replace(answer, grad=answer.grad * ~waits.reshape(-1, *[1] * (query.p.ndim - 1)))
    after = optimizer.tell(state, place, query, answer)["p"]
    stayed = (after == query.p).flatten(1).all(1)
    assert torch.equal(stayed, waits)


EVERY = [Sign(0.1), Momentum(0.1), Adam(0.1, restarts=2, spread=0.1), Then(Sign(0.01), Adam(0.1), steps=2)]


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_asking_changes_nothing_and_telling_makes_a_new_state(optimizer):
    place = domain()
    state = optimizer.init(place)
    for _ in range(5):
        before = frozen(state)
        query, again = optimizer.ask(state, place), optimizer.ask(state, place)
        assert torch.equal(query.p, again.p) and torch.equal(query.owner, again.owner)
        after = optimizer.tell(state, place, query, answer(query, query.owner.clamp_min(0)))
        assert same(before, state)
        assert same(frozen(after), optimizer.tell(state, place, query, answer(query, query.owner.clamp_min(0))))
        state = after


def met_at(place, met):
    return Domain(place.space, place.constraint, place.task, place.steps, {**place.best, "met": torch.tensor(met)})


def test_then_hands_over_once_all_are_met_and_the_met_wait():
    place, chain = domain(steps=20), Then(Sign(0.01), Adam(0.5), steps=8)
    state = chain.init(place)
    query = chain.ask(state, place)
    assert query.owner.tolist() == [0, 1, 2]
    place = met_at(place, [True, False, True])
    state = chain.tell(state, place, query, answer(query, torch.arange(3)))
    assert state["phase"] == 0
    query = chain.ask(state, place)
    assert query.owner.tolist() == [-1, 1, -1]
    place = met_at(place, [True] * 3)
    state = chain.tell(state, place, query, answer(query, torch.arange(3)))
    assert state["phase"] == 1
    handed = chain.ask(state, place)
    assert handed.owner.tolist() == [0, 1, 2]
    # Adam goes on from where Sign stood after two steps, and after one where it waited.
    path = walk(Sign(0.01), domain(), 3)
    assert torch.allclose(handed.p, torch.stack([path[1][0], path[2][1], path[1][2]]))
    assert (handed.draw, handed.want) == (0, "grad")


@pytest.mark.parametrize("when", ["met", "steps"])
def test_then_hands_over_after_its_steps(when):
    place, chain = domain(steps=5), Then(Sign(0.01), Adam(0.1), steps=2, when=when)
    if when == "steps":
        place = met_at(place, [True] * 3)
    state, seen = chain.init(place), []
    for _ in range(8):
        query = chain.ask(state, place)
        seen.append((state["phase"], query.want, bool((query.owner >= 0).any())))
        state = chain.tell(state, place, query, answer(query, torch.arange(3)))
    first = [(0, "grad", True)] * 2 + [(0, "loss", True)]
    second = [(1, "grad", True)] * 3 + [(1, "loss", True)] + [(1, "met", False)]
    assert seen == first + second


def test_a_chain_wants_the_most_that_its_halves_want():
    class Blind(Optimizer):
        wants = "met"

    assert Then(Blind(), Adam(0.1), 3).wants == "grad"
    assert Then(Adam(0.1), Blind(), 3).wants == "grad"
    assert Then(Blind(), Blind(), 3).wants == "met"


def test_genomes_have_no_gradient(refuses):
    class Words(Space):
        def start(self, task, k=1):
            return ["a"] * len(task)

    place = Domain(Words(), Box(), Task(torch.arange(2)), 3)
    with refuses(ContractError, "contract-gradient", seen=False):
        Adam(0.1).init(place)


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_words_construct_it_again(optimizer):
    again = eval(repr(optimizer))
    assert repr(again) == repr(optimizer)
    assert torch.equal(walk(again, domain(), 3), walk(optimizer, domain(), 3))


def test_the_contract_itself_is_abstract():
    calls = (lambda o: o.init(None), lambda o: o.ask({}, None), lambda o: o.tell({}, None, None, None))
    for call in calls:
        with pytest.raises(NotImplementedError):
            call(Optimizer())
