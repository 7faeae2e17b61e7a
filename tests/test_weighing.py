"""A search over the penalty's factor: it brackets, halves, and ends at the smallest change where that is known."""

from dataclasses import replace

import pytest
import torch

from amiss.constraints import L2, LatentNorm, Linf
from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.objectives import Become
from amiss.optimizers import LBFGSB, Adam, Then, Weigh
from amiss.probe import Budget, Probe
from amiss.spaces import Latent, Pixels, Space
from amiss.task import Answer, Task
from amiss.testing import LinearWorld

NEAR = LinearWorld(n=30)
WALLED = LinearWorld(n=30, crowd=0.3)


def weigh(rounds=9, steps=20, inner=None, world=NEAR, penalty=None, **options):
    search = Weigh(inner or LBFGSB(), rounds, steps)
    probe = Probe(Pixels(), Become(margin=0.05), penalty or L2(weight=1.0), search, "budget", **options)
    return replace(probe, budget=Budget(rounds * (steps + 1)))


@pytest.mark.parametrize("world", [NEAR, WALLED], ids=["free", "walls"])
@pytest.mark.parametrize("weight", [1.0, 30.0])
def test_the_smallest_change_is_found_with_and_without_walls(world, weight):
    result = weigh(world=world, penalty=L2(weight=weight)).run(world.classifier(), world.task)
    ratio = result.size / world.l2_optimum(0.05)
    assert result.met.all()
    assert ratio.min() >= 1 - 1e-6
    assert ratio.max() <= 1.005
    free = world.deficit(0.05)[0] / world.deficit(0.05)[1].norm(dim=1)
    if world is WALLED:
        assert (world.l2_optimum(0.05) > free * 1.001).sum() > 3  # the walls do bind


def test_of_codes_it_finds_the_smallest_change_too():
    probe = replace(weigh(penalty=LatentNorm(1.0)), space=Latent(NEAR.codec))
    result = probe.run(NEAR.classifier(), NEAR.task)
    ratio = result.size / NEAR.latent_optimum(0.05)
    assert result.met.all()
    assert ratio.min() >= 1 - 1e-6
    assert ratio.max() <= 1.005


def domain_of(world=NEAR):
    """The domain of three samples, nothing met so far."""
    task = world.task.rows(torch.arange(3))
    none = torch.zeros(3, dtype=torch.bool)
    far = torch.full((3,), torch.inf, dtype=torch.float64)
    return Domain(Pixels(), L2(weight=1.0), task, 200, {"p": task.image, "met": none, "size": far, "loss": far})


def told(search, domain, state, met, loss=1.0):
    """The state after an answer with that success, a slope of length 4 and a constant loss."""
    query = search.ask(state, domain)
    grad = torch.full_like(query.p, 0.5)
    value = torch.full((3,), loss, dtype=torch.float64)
    answer = Answer(torch.tensor(met), value, value, value, grad if query.want == "grad" else None)
    return search.tell(state, domain, query, answer)


def test_factors_are_bracketed_by_fours_and_halved_in_their_logarithm():
    search, domain = Weigh(Adam(0.1), rounds=5, steps=1), domain_of()
    state = told(search, domain, search.init(domain), [False] * 3, loss=2.0)
    c = 64 * 0.25 / (2 * 2.0)  # |g|^2 / (2 f)
    assert state["c"].tolist() == [c] * 3
    rounds = [([True, False, False], [4, 1 / 4, 1 / 4]), ([True, False, True], [16, 1 / 16, 1 / 2])]
    rounds += [([False, True, True], [8, 1 / 8, 0.5**0.5])]
    for met, factors in rounds:
        # A success at any point of a round counts; who has one is not asked in the closing look.
        for point in (met, [False] * 3):
            assert torch.equal(search.ask(state, domain).weight, state["c"])
            state = told(search, domain, state, point)
            if point is met:
                assert search.ask(state, domain).owner.tolist() == [-1 if hit else i for i, hit in enumerate(met)]
        assert torch.allclose(state["c"], c * torch.tensor(factors, dtype=torch.float64))


def test_a_success_in_the_closing_look_counts():
    search, domain = Weigh(Adam(0.1), rounds=5, steps=1), domain_of()
    state = told(search, domain, search.init(domain), [False] * 3, loss=2.0)
    before = state["c"]
    for point in ([False] * 3, [False, True, True]):
        state = told(search, domain, state, point)
    assert torch.allclose(state["c"], before * torch.tensor([0.25, 4, 4], dtype=torch.float64))


def test_the_closing_look_lies_a_little_further_from_the_start():
    probe = weigh(rounds=1, steps=3, inner=Adam(1e-4))
    *_, before, last = probe.walk(NEAR.classifier(), NEAR.task)
    ended = before.state["optimizer"]["inner"]["p"] - NEAR.task.image
    assert torch.allclose(last.query.p - NEAR.task.image, (1 + 1e-4) * ended, rtol=1e-9, atol=1e-15)
    assert last.query.want == "loss"


def test_a_success_dearer_than_the_loss_at_the_start_does_not_count():
    search, domain = Weigh(Adam(0.1), rounds=5, steps=1), domain_of()
    state = told(search, domain, search.init(domain), [False] * 3, loss=2.0)
    before = state["c"]
    for point in (True, False):
        state = told(search, domain, state, [point] * 3, loss=2.1)
    assert torch.allclose(state["c"], before / 4)


def test_a_loss_without_a_slope_leaves_the_factor_at_1():
    search, domain = Weigh(Adam(0.1)), domain_of()
    assert told(search, domain, search.init(domain), [True] * 3, loss=0.0)["c"].tolist() == [1.0] * 3


def test_a_round_goes_on_from_where_the_one_before_ended():
    probe = weigh(rounds=3, steps=4, inner=Adam(0.01))
    turns = list(probe.walk(NEAR.classifier(), NEAR.task))
    assert len(turns) == 1 + 3 * 5
    for end in (4, 9):  # what the inner one had come to before the closing look
        ended = turns[end].state["optimizer"]["inner"]["p"]
        assert torch.equal(ended, turns[end + 2].query.p)
    assert torch.equal(turns[1].query.p, NEAR.task.image)
    # An inner search that does not say where it ended begins at the start.
    chained = weigh(rounds=2, steps=4, inner=Then(Adam(0.01), Adam(0.01), 2, "steps"))
    turns = [step.query for step in chained.walk(NEAR.classifier(), NEAR.task)]
    assert len(turns) == 1 + 2 * 4
    assert torch.equal(turns[5].p, NEAR.task.image)


def test_a_round_that_ends_early_gives_way_and_results_do_not_depend_on_the_batch():
    task = WALLED.task.rows(torch.arange(8))
    whole = weigh(world=WALLED).run(WALLED.classifier(), task)
    turns = list(weigh(world=WALLED).walk(WALLED.classifier(), task))
    assert turns[-1].state["optimizer"]["round"] == 9
    assert len(turns) < 1 + 9 * 21
    split = weigh(world=WALLED, batch=3).run(WALLED.classifier(), task)
    assert torch.allclose(whole.images, split.images, rtol=0, atol=1e-9)


def test_it_ends_with_the_budget():
    probe = replace(weigh(rounds=9, steps=20, inner=Adam(0.01)), budget=Budget(30))
    # The slope, a whole round (its closing look falls away where all are flipped), and ten more.
    assert len(list(probe.walk(NEAR.classifier(), NEAR.task))) in (1 + 20 + 10, 1 + 21 + 10)


class Unsaid(Adam):
    """Says of the first sample that it is stuck."""

    def left(self, state):
        stuck = torch.zeros(len(state["p"]), dtype=torch.bool)
        stuck[0] = True
        return stuck, "stuck", "so it says"


def test_what_the_inner_one_says_of_those_it_leaves_is_passed_on():
    probe = weigh(rounds=2, steps=1, inner=Unsaid(1e-6))
    result = probe.run(NEAR.classifier(), NEAR.task)
    assert [outcome.status for outcome in result.outcomes[:2]] == ["stuck", "exhausted"]
    assert Weigh(Unsaid(0.1)).left({"inner": {}}) is None


class Words(Space):
    """Genomes without a gradient."""

    def start(self, task, k=1):
        return [[0]] * len(task) * k


def test_refusals(refuses):
    for options in ({"rounds": 0}, {"steps": 0}):
        with refuses(UsageError, "weigh-options"):
            Weigh(LBFGSB(), **options)
    for penalty in (Linf(0.1), L2(0.5), L2(weight=0.0)):
        with refuses(ContractError, "contract-no-penalty"):
            weigh(penalty=penalty).run(NEAR.classifier(), NEAR.task)
    with refuses(ContractError, "contract-gradient", seen=False):
        Weigh(LBFGSB()).init(Domain(Words(), LatentNorm(1.0), Task(torch.arange(2)), 10))
