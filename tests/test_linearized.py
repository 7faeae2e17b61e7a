"""Minimal successes against closed forms in three metrics and in a box; what is idle, and what is refused."""

from dataclasses import dataclass, replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import L2, LatentNorm, Linf
from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.objectives import EOT, Avoid, Become, Confidence
from amiss.optimizers import Adam, Linearized, Momentum, Optimizer, Sign, Then
from amiss.probe import Budget, Probe
from amiss.repro import normal
from amiss.spaces import Latent, Pixels, Space
from amiss.task import Query, Task
from amiss.testing import LinearWorld, RingWorld
from amiss.transforms import Noise

WORLD, MARGIN = LinearWorld(n=20), 0.5
SLOPE = WORLD.deficit(MARGIN)[1] @ WORLD.codec.basis  # of the slack, along the code
ROOT = normal(torch.arange(1), (WORLD.latent, WORLD.latent), torch.float64)[0]


@dataclass(frozen=True)
class Stretched:
    """A linear decoder whose columns are neither of one length nor at right angles: g(z) = 1/2 + B R z."""

    def encode(self, x):
        return torch.linalg.solve(ROOT, WORLD.codec.encode(x).mT).mT

    def decode(self, z):
        return WORLD.codec.decode(z @ ROOT.mT)


def minimal(search, constraint=None, space=None, steps=216, world=WORLD, **options):
    space, constraint = space or Latent(world.codec), constraint or LatentNorm()
    probe = Probe(space, Become(margin=MARGIN), constraint, search, "budget", Budget(steps))
    return replace(probe, **options).run(world.classifier(), world.task)


def flip_then(*given, **options):
    return Then(Adam(0.05), Linearized(*given, **options), 200)


def ratio(result, optimum):
    assert result.met.all()
    return result.size.double() / optimum


@pytest.mark.parametrize(("rounds", "steps"), [(3, 203), (10, 210), (10, 216)])
def test_three_rounds_reach_the_closed_form(rounds, steps):
    optimum = WORLD.latent_optimum(MARGIN)
    found = ratio(minimal(flip_then(rounds=rounds, halvings=steps - 200 - rounds), steps=steps), optimum)
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3
    first = ratio(minimal(Adam(0.05), until="met"), optimum)
    assert first.max() > 1.01


def test_in_the_metric_of_a_covariance_the_smallest_is_another():
    covariance = ROOT @ ROOT.mT + 0.1 * torch.eye(WORLD.latent, dtype=torch.float64)
    deficit = WORLD.deficit(MARGIN)[0]
    optimum = deficit / (SLOPE @ covariance * SLOPE).sum(1).sqrt()
    scaled = LatentNorm(scale=covariance)
    found = ratio(minimal(flip_then(covariance), scaled), optimum)
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3
    # The Euclidean metric leads elsewhere: its optimum is longer by this length.
    euclidean = ratio(minimal(flip_then(), scaled), optimum)
    assert euclidean.median() > 1.02


def test_the_pull_back_metric_finds_the_smallest_change_of_the_pixels():
    # A decoder that stretches draws the same images, so the smallest change of the pixels is the same.
    optimum = WORLD.latent_optimum(MARGIN)
    found = ratio(minimal(flip_then("pull-back"), L2(), Latent(Stretched())), optimum)
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3
    euclidean = ratio(minimal(flip_then(), L2(), Latent(Stretched())), optimum)
    assert euclidean.median() > 1.02


@pytest.mark.parametrize("crowd", [0.05, 0.3])
def test_in_pixels_the_smallest_change_inside_the_box(crowd):
    world = LinearWorld(n=20, crowd=crowd)
    optimum = world.l2_optimum(MARGIN)
    deficit, slope = world.deficit(MARGIN)
    assert (optimum > deficit / slope.norm(dim=1) * 1.001).any() == (crowd > 0.2)  # where the walls are near
    search = Then(Momentum(0.1, 0.0, "l2"), Linearized(), 200)
    found = ratio(minimal(search, L2(), Pixels(), world=world), optimum)
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3


@pytest.mark.parametrize("space", ["latent", "pixels"])
def test_a_curved_boundary_is_reached_too(space):
    # From within the ring the nearest point of it lies straight ahead, and the slack falls off on both sides.
    ring = RingWorld(n=20, half=0.3)
    where = {"latent": (Latent(ring.codec), LatentNorm()), "pixels": (Pixels(), L2())}[space]
    first = Momentum(0.05, 0.0, "l2") if space == "pixels" else Adam(0.05)
    search = Then(first, Linearized(), 100)
    probe = Probe(where[0], Become(margin=0.1), where[1], search, "budget", Budget(116))
    found = ratio(probe.run(ring.classifier(), ring.task), ring.latent_optimum(0.1))
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 2e-3


class Once(Optimizer):
    """One look at places that are given."""

    wants = "loss"

    def __init__(self, p):
        self.p = p

    def init(self, domain, warm=None):
        return {"p": self.p, "turn": 0}

    def ask(self, state, domain):
        return Query(self.p, domain.everyone if state["turn"] == 0 else torch.full_like(domain.everyone, -1), "loss")

    def tell(self, state, domain, query, answer):
        return {**state, "turn": 1}


class Blind(torch.nn.Module):
    """The network of the linear world, its gradient everywhere zero."""

    def __init__(self):
        super().__init__()
        self.net = WORLD.classifier().network

    def forward(self, x):
        return self.net(x.detach()) + 0 * x.sum()


def nearest(times=1.0):
    """Changes of the code to the boundary, and as many times as far."""
    return times * (WORLD.deficit(MARGIN)[0] / SLOPE.square().sum(1))[:, None] * SLOPE


@pytest.mark.parametrize(("halvings", "left"), [(0, 3.0), (1, 1.5), (3, 1.125), (6, 1.03125)])
def test_without_a_slope_the_ray_alone_is_halved(halvings, left):
    # Three times the smallest success: of the shares k / 2^halvings the least above a third is left.
    search = Then(Once(nearest(3.0)), Linearized(rounds=2, halvings=halvings), 0)
    probe = Probe(Latent(WORLD.codec), Become(margin=MARGIN), LatentNorm(), search, "budget", Budget(20))
    found = ratio(probe.run(Classifier(Blind()), WORLD.task), WORLD.latent_optimum(MARGIN))
    assert torch.allclose(found, torch.full_like(found, left), rtol=1e-5)


@pytest.mark.parametrize("times", [1.5, 4.0, 40.0])
def test_no_step_is_longer_than_half_the_best(times):
    search = Then(Once(nearest(times)), Linearized(rounds=12), 0)
    probe = Probe(Latent(WORLD.codec), Become(margin=MARGIN), LatentNorm(), search, "budget", Budget(20))
    asked = [s.query for s in probe.walk(WORLD.classifier(), WORLD.task) if s.query.of == "slack"]
    points = torch.stack([query.p for query in asked])
    best = points.norm(dim=2).cummin(0).values
    steps = (points[1:] - points[:-1]).norm(dim=2)
    assert (steps <= 0.5 * best[:-1] + 1e-9).all()
    assert torch.allclose(points[-1].norm(dim=1), WORLD.latent_optimum(MARGIN), rtol=1e-3)


def test_after_another_only_the_met_are_worked_on_and_the_walk_ends_by_itself():
    far = nearest(2.0)
    far[:7] *= 0.1
    search = Then(Once(far), Linearized(rounds=4, halvings=2), 0)
    probe = Probe(Latent(WORLD.codec), Become(margin=MARGIN), LatentNorm(), search, "budget", Budget(500))
    classifier = WORLD.classifier()
    steps = list(probe.walk(classifier, WORLD.task))
    assert len(steps) == 1 + 4 + 1 + 2
    for step in steps[1:]:
        assert step.query.owner.tolist() == [-1] * 7 + list(range(7, 20))
    assert classifier.counts.queries == 20 + 7 * 13
    outcomes = probe.run(classifier, WORLD.task).outcomes
    assert [(o.status, o.first) for o in outcomes] == [("exhausted", -1)] * 7 + [("met", 0)] * 13


def test_by_itself_it_starts_at_the_image_and_solves_what_is_nearly_linear():
    found = ratio(minimal(Linearized(rounds=4, halvings=0), steps=4), WORLD.latent_optimum(MARGIN))
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3
    short = minimal(Linearized(rounds=30), steps=1)
    assert short.met.all() and {o.queries for o in short.outcomes} == {2}


def test_what_is_met_at_no_change_stays_there():
    task = replace(WORLD.task, target=1 - WORLD.task.target)
    probe = Probe(Latent(WORLD.codec), Become(margin=0.0), LatentNorm(), flip_then(), "budget", Budget(216))
    result = probe.run(WORLD.classifier(), task)
    assert result.counts == {"already-met": 20}
    assert torch.equal(result.images, task.image)


@pytest.mark.parametrize(
    ("objective", "margin"), [(Avoid(MARGIN), MARGIN), (Become(margin=MARGIN) + Avoid(0.2), MARGIN)]
)
def test_other_objectives_with_a_slack(objective, margin):
    task = replace(WORLD.task, label=1 - WORLD.task.target)
    probe = Probe(Latent(WORLD.codec), objective, LatentNorm(), flip_then(), "budget", Budget(216))
    found = ratio(probe.run(WORLD.classifier(), task), WORLD.latent_optimum(margin))
    assert 1 - 1e-6 <= found.min() <= found.max() <= 1 + 1e-3


def test_a_confidence_is_a_margin_of_its_log_odds():
    probe = Probe(Latent(WORLD.codec), Confidence(0.9), LatentNorm(), flip_then(), "budget", Budget(216))
    found = ratio(
        probe.run(WORLD.classifier(), WORLD.task), WORLD.latent_optimum(float(torch.logit(torch.tensor(0.9))))
    )
    assert 1 - 1e-5 <= found.min() <= found.max() <= 1 + 1e-3


def test_a_sample_that_breaks_does_not_keep_the_others_from_being_minimized():
    class Marked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = WORLD.classifier().network

        def forward(self, x):
            return torch.where(x[:, :, 0, 0] > 0.99, torch.nan, self.net(x))

    image = WORLD.task.image.clone()
    image[3, 0, 0, 0] = 1.0
    probe = Probe(Latent(WORLD.codec), Become(margin=MARGIN), LatentNorm(), flip_then(), "budget", Budget(216))
    result = probe.run(Classifier(Marked()), replace(WORLD.task, image=image))
    assert result.outcomes[3].status == "not-finite"
    others = torch.arange(20) != 3
    found = (result.size.double() / WORLD.latent_optimum(MARGIN))[others]
    assert result.met[others].all() and found.max() <= 1 + 1e-3


def test_a_sample_whose_queries_are_spent_does_not_either():
    near = WORLD.latent_optimum(MARGIN).argsort()
    steps = Then(Momentum(0.02, 0.0, "l2"), Linearized(rounds=4, halvings=0), 500)
    probe = Probe(Latent(WORLD.codec), Become(margin=MARGIN), LatentNorm(), steps, "budget")
    allowed = int(WORLD.latent_optimum(MARGIN)[near[10]] / 0.02) + 8
    result = replace(probe, budget=Budget(600, queries=allowed)).run(WORLD.classifier(), WORLD.task)
    assert result.met[near[0]] and not result.met[near[-1]]
    assert result.outcomes[near[-1]].queries == allowed
    found = (result.size.double() / WORLD.latent_optimum(MARGIN))[near[:4]]
    assert found.max() <= 1 + 1e-3


def test_refusals(refuses):
    for options in ({"metric": "riemann"}, {"metric": 2.0}, {"rounds": 0}, {"halvings": -1}):
        with refuses(UsageError, "linearized-options"):
            Linearized(**options)
    for metric, space in ((torch.eye(5), Latent(WORLD.codec)), ("pull-back", Pixels()), (torch.eye(64), Pixels())):
        with refuses(ContractError, "contract-metric"):
            probe = Probe(space, Become(), L2(), Linearized(metric), "budget", Budget(2))
            probe.run(WORLD.classifier(), WORLD.task)
    with refuses(ContractError, "contract-slack", seen=False):
        probe = Probe(Pixels(), EOT(Avoid(), [Noise()]), Linf(0.1), Then(Sign(0.05), Linearized(), 4), "budget")
        probe.run(WORLD.classifier(), replace(WORLD.task, label=1 - WORLD.task.target))

    class Words(Space):
        def start(self, task, k=1):
            return ["a"] * len(task)

    domain = Domain(Words(), L2(), Task(torch.arange(2)), 3, {"p": ["a", "a"], "met": torch.zeros(2).bool()})
    with refuses(ContractError, "contract-gradient", seen=False):
        Linearized().init(domain)


def test_words_construct_it_again_but_for_a_covariance():
    for optimizer in (Linearized(), Linearized("pull-back", 3, 0)):
        assert repr(eval(repr(optimizer))) == repr(optimizer)
    assert "tensor" not in repr(Linearized(torch.eye(6)))
