"""Grids and ways to other codes: what is looked at, what is kept, who is called unreachable, what is refused."""

from dataclasses import replace

import pytest
import torch

from amiss.constraints import L2, LatentNorm
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become, Objective
from amiss.optimizers import Adam, Grid, Linearized, Segments, Then
from amiss.probe import Budget, Probe
from amiss.result import Outcome
from amiss.spaces import Latent, Pixels
from amiss.standing import outcome
from amiss.task import Task
from amiss.testing import LinearWorld, RingWorld

RING = RingWorld(decoy=0.2)
MARGIN = 0.05


class Brightest(Objective):
    """Met nowhere, and without a class in mind."""

    def score(self, y, task):
        loss = -y["answer"].amax(-1)
        return loss, loss < -torch.inf


def probe(search, steps=100, ring=RING, margin=MARGIN, objective=None, **options):
    wanted = objective or Become(margin=margin)
    return Probe(Latent(ring.codec), wanted, LatentNorm(), search, "budget", Budget(steps, **options))


def run(search, ring=RING, **options):
    return probe(search, ring=ring, **options).run(ring.classifier(), ring.task)


def nodes(n, reach):
    axis = torch.linspace(-reach, reach, n, dtype=torch.float64)
    return torch.stack([axis.repeat_interleave(n), axis.repeat(n)], 1)


def test_a_grid_finds_its_nearest_node_of_the_class():
    result = run(Grid(9, 1.2))
    at = nodes(9, 1.2)
    held = RING.lead(at) >= MARGIN
    away = torch.cdist(RING.codes, at[held]).amin(1)
    assert result.counts == {"met": 40}
    assert torch.allclose(result.size.double(), away, rtol=1e-6)
    assert {o.queries for o in result.outcomes} == {81} and {o.first for o in result.outcomes} == {0}
    assert torch.allclose(RING.lead(RING.codes + result.p), torch.full((40,), 1.0).double(), atol=1)


def test_it_is_read_as_fits_into_memory_and_looked_at_once():
    search = probe(Grid(5, 1.2)).search(RING.classifier(), RING.task)
    (step,) = search.walk()
    assert len(step.query) == 40 * 25 and step.query.want == "loss"
    assert search.pace.rows == 64
    assert torch.allclose(step.query.p.view(40, 25, 2) + RING.codes[:, None], nodes(5, 1.2).expand(40, -1, -1))


def test_a_cap_leaves_far_nodes_out():
    cap = 0.9
    (step,) = probe(Grid(9, 1.2, cap=cap)).walk(RING.classifier(), RING.task)
    near = torch.cdist(RING.codes, nodes(9, 1.2)) <= cap
    assert torch.equal(step.query.owner.view(40, -1) >= 0, near)
    assert near.any(1).all() and not near.all()
    result = run(Grid(9, 1.2, cap=cap))
    assert (result.size[result.met] <= cap).all()
    assert [o.queries for o in result.outcomes] == near.sum(1).tolist()


@pytest.mark.parametrize("also", [False, True])
def test_who_is_met_is_not_looked_up_unless_it_shall_be(also):
    search = Then(Adam(0.01), Then(Grid(9, 1.2, also_met=also), Linearized(), 0, "steps" if also else "met"), 80)
    result = run(search, steps=96)
    first = run(Then(Adam(0.01), Linearized(), 80), steps=96)
    assert torch.equal(first.met, ~RING.trapped) and RING.trapped.sum() > 3
    assert result.met.all()
    more = torch.tensor([b.queries - a.queries for a, b in zip(first.outcomes, result.outcomes, strict=True)])
    assert (more[RING.trapped] >= 81).all()
    assert (more[~RING.trapped] == (81 if also else 0)).all()
    assert (result.size <= first.size + 1e-9)[~RING.trapped].all()


def test_what_follows_goes_on_from_the_lowest_loss_where_no_node_is_met():
    # The corners of this grid lie before the ring, and outside of the trap all the same.
    coarse = Grid(3, 0.5)
    assert run(coarse).met.sum() == 0
    stuck = run(Adam(0.01), steps=80)
    refined = run(Then(Adam(0.01), Then(coarse, Adam(0.01), 0), 80), steps=160)
    assert torch.equal(stuck.met, ~RING.trapped) and RING.trapped.sum() > 3
    assert refined.met.all()
    (step,) = probe(coarse).walk(RING.classifier(), RING.task)
    lowest = RING.lead(nodes(3, 0.5)).amax()
    found = RING.lead(RING.codes + step.state["optimizer"]["p"])
    assert torch.allclose(found, torch.full_like(found, float(lowest)))


def test_who_has_no_node_of_the_class_is_unreachable_and_told_where_it_was_looked_for():
    too_much = 0.25  # the ring is half = 0.2 high
    for search in (
        Grid(9, 1.2),
        Then(Grid(9, 1.2), Adam(0.02), 0),
        Then(Adam(0.02), Then(Grid(9, 1.2), Then(Adam(0.02), Linearized(), 5), 0), 5),
    ):
        result = run(search, margin=too_much, steps=20)
        assert result.counts == {"unreachable": 40}
        assert {o.reason for o in result.outcomes} == {
            "No point of the 9 x 9 grid within 1.2 of the origin holds the answer."
        }
    capped = run(Grid(9, 1.2, cap=1.5), margin=too_much)
    (reason,) = {o.reason for o in capped.outcomes}
    assert "of the origin, no further than 1.5 from its own code, holds" in reason


def test_a_grid_that_was_not_read_says_nothing():
    chain = Then(Adam(0.02), Then(Grid(9, 1.2), Adam(0.02), 0), 5)
    short = run(chain, margin=0.25, steps=20, queries=50)  # a grid costs 81
    assert short.counts == {"exhausted": 40}
    assert {o.queries for o in short.outcomes} == {6}
    assert run(Then(Adam(0.02), Grid(9), 30), margin=0.25, steps=4).counts == {"unreachable": 40}
    assert run(Adam(0.02), margin=0.25, steps=4).counts == {"exhausted": 40}


def test_what_was_said_of_a_sample_yields_to_what_is_worse():
    state = {
        "best": {"met": torch.tensor([False]), "size": torch.zeros(1), "loss": torch.zeros(1)},
        **{name: torch.zeros(1, dtype=torch.int64) for name in ("first", "turns", "queries")},
        **{name: torch.tensor([name == "broken"]) for name in ("alive", "broken", "climbed", "flat")},
    }
    left = (torch.tensor([True]), "unreachable", "Nowhere.")
    assert outcome(state, 0, False, False, left=left).status == "not-finite"
    state["broken"] = torch.tensor([False])
    assert outcome(state, 0, False, False, left=left) == Outcome("unreachable", 0.0, 0.0, 0, 0, 0, "Nowhere.")
    assert outcome(state, 0, False, False, left=(torch.tensor([False]), *left[1:])).status == "exhausted"


# Ways to other codes


def circle(n, radius=1.0):
    angle = torch.arange(n, dtype=torch.float64) * 2 * torch.pi / n
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def test_points_lie_on_the_ways_to_the_nearest_codes_of_the_class():
    codes = torch.cat([circle(12), circle(8, 0.01)])  # those of the other class are nearer
    labels = torch.tensor([1] * 12 + [0] * 8)
    (step,) = probe(Segments(codes, labels, k=2, points=4)).walk(RING.classifier(), RING.task)
    points = step.query.p.view(40, 2, 4, 2) + RING.codes[:, None, None]
    assert torch.equal(step.query.owner, torch.arange(40).repeat_interleave(8))
    far = torch.cdist(RING.codes, codes[:12])
    near = far.sort(1).values[:, :2]
    assert torch.allclose((points[:, :, -1] - RING.codes[:, None]).norm(dim=2), near)
    share = torch.tensor([0.25, 0.5, 0.75, 1.0]).double()
    way = (points[:, :, -1] - RING.codes[:, None])[:, :, None] * share[:, None]
    assert torch.allclose(points - RING.codes[:, None, None], way)


def test_where_a_class_has_few_codes_only_those_are_looked_at():
    codes, labels = torch.cat([circle(3), circle(4, 0.01)]), torch.tensor([1] * 3 + [0] * 4)
    (step,) = probe(Segments(codes, labels, k=6, points=2)).walk(RING.classifier(), RING.task)
    assert torch.equal(step.query.owner.view(40, 6, 2) >= 0, (torch.arange(6) < 3)[None, :, None].expand(40, -1, 2))
    none = probe(Segments(codes, torch.zeros(7).long(), k=6, points=2))
    assert list(none.walk(RING.classifier(), RING.task)) == []


def test_ways_to_the_class_lead_out_of_the_trap():
    search = Then(Adam(0.01), Then(Segments(circle(12), torch.ones(12).long()), Linearized(), 0), 80)
    result = run(search, steps=96)
    assert result.met.all()
    assert (result.size >= RING.latent_optimum(MARGIN) * (1 - 1e-6)).all()
    # A way that crosses the ring need not end in it: shorter points are found than the other codes themselves.
    assert (result.size < torch.cdist(RING.codes, circle(12)).amin(1)).all()


def test_without_a_target_the_label_is_the_class():
    task = replace(RING.task, target=None)
    wanted = Probe(Latent(RING.codec), Avoid(), LatentNorm(), Segments(circle(4), torch.ones(4).long()), "budget")
    (step,) = wanted.walk(RING.classifier(), task)
    assert (step.query.owner >= 0).all()


def test_refusals(refuses):
    for options in ({"n": 1}, {"reach": 0.0}, {"reach": float("nan")}, {"cap": 0.0}):
        with refuses(UsageError, "grid-options"):
            Grid(**options)
    codes, labels = circle(4), torch.ones(4).long()
    bad = [
        (codes, labels[:3]),
        (codes[0], labels),
        (codes[:0], labels[:0]),
        (codes, labels, 0),
        (codes, labels, 1, 0),
    ]
    for given in bad:
        with refuses(UsageError, "segments-options"):
            Segments(*given)
    world = LinearWorld(n=3)
    for search, slug in ((Grid(3), "contract-plane"), (Segments(codes, labels), "contract-codes")):
        with refuses(ContractError, slug):
            Probe(Latent(world.codec), Become(), LatentNorm(), search).run(world.classifier(), world.task)
        with refuses(ContractError, "contract-codeless"):
            Probe(Pixels(), Become(), L2(), search).run(world.classifier(), world.task)
    with refuses(ContractError, "contract-no-target"):
        bare = Task(RING.task.key, RING.task.image)
        probe(Segments(codes, labels), objective=Brightest()).run(RING.classifier(), bare)


def test_words_say_what_can_be_said():
    assert repr(eval(repr(Grid(5, 2.0, 1.0, True)))) == repr(Grid(5, 2.0, 1.0, True))
    assert repr(Segments(circle(4), torch.ones(4).long())) == "Segments(k=8, points=8)"
