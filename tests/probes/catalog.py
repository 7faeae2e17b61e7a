"""Methods of the field as rows of one list: a probe, who is asked, the samples, and the known answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

import amiss.optimizers as opt
from amiss.classifier import Classifier
from amiss.constraints import L2, LatentNorm, Linf, Unconstrained
from amiss.objectives import EOT, Avoid, Become, Confidence, Mimic, Says
from amiss.probe import Budget, Probe
from amiss.repro import fold
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld, RingWorld
from amiss.transforms import Noise
from tests.probes import optimizers as own
from tests.probes import worlds

MARGIN = 0.05


@dataclass(frozen=True)
class Row:
    """One method: `known` compares a result with the closed form or the optimum."""

    name: str
    probe: Probe
    asked: Any
    task: Task
    known: Callable[[Any], None]


def pgd(world=LinearWorld(crowd=0.15), eps=0.02):
    probe = Probe(Pixels(), Become(margin=MARGIN), Linf(eps), opt.Sign(eps / 10), budget=Budget(40))

    def known(result):
        feasible = world.feasible(eps, MARGIN)
        assert 0.2 < feasible.double().mean() < 0.9
        assert torch.equal(result.met, feasible)

    return Row("pgd", probe, world.classifier(), world.task, known)


def lse_restarts(world=LinearWorld()):
    search = opt.Adam(0.02, restarts=8, spread=0.5)
    probe = Probe(Latent(world.codec), Become(margin=0.5), LatentNorm(0.03), search, "budget", Budget(400))
    return Row("lse, 8 restarts", probe, world.classifier(), world.task, within(1.03, world.latent_optimum(0.5)))


def lse_minimal(world=LinearWorld()):
    search = opt.Then(opt.Adam(0.05), opt.Linearized("pull-back"), steps=200)
    probe = Probe(Latent(world.codec), Become(margin=0.5), LatentNorm(), search, "budget", Budget(216))
    # J^T J is the identity for an orthonormal decoder, so the pull-back optimum is the Euclidean one.
    return Row("lse, minimized", probe, world.classifier(), world.task, within(1.001, world.latent_optimum(0.5)))


def pixels_minimal(world=LinearWorld(crowd=0.3)):
    search = opt.Then(opt.Momentum(0.1, 0.0, "l2"), opt.Linearized(), steps=100)
    probe = Probe(Pixels(), Become(margin=MARGIN), L2(), search, "budget", Budget(116))
    optimum = world.l2_optimum(MARGIN)  # which the walls of the box bind
    return Row("pixels, minimized", probe, world.classifier(), world.task, within(1.002, optimum))


def ring_grid(world=RingWorld(decoy=0.2, n=40)):
    search = opt.Then(opt.Adam(0.02), opt.Then(opt.Grid(11, 1.6), opt.Adam(0.02), 0), steps=60)
    probe = Probe(Latent(world.codec), Become(margin=MARGIN), LatentNorm(), search, budget=Budget(120))

    def known(result):
        assert world.trapped.sum() > 3 and result.met.all()
        queries = torch.tensor([outcome.queries for outcome in result.outcomes])
        assert (queries[world.trapped] > 121).all()

    return Row("grid", probe, world.classifier(), world.task, known)


def nearest_boundary(world, task):
    """Distance [n] to the nearest other class of a linear network, walls aside."""
    gaps = world.logits(task.image)
    gaps = gaps.gather(1, task.label[:, None]) - gaps + MARGIN
    slopes = (world.weight[task.label][:, None] - world.weight).norm(dim=2)
    return torch.where(slopes > 0, gaps / slopes, torch.inf).amin(1)


def ddn(world=LinearWorld()):
    probe = Probe(Pixels(), Become(margin=MARGIN), L2(), own.DDN(), "budget", Budget(400))
    return Row("ddn", probe, world.classifier(), world.task, within(1.02, world.l2_optimum(MARGIN)))


def ddn_race(world=LinearWorld(classes=5, crowd=0.03)):
    probe = Probe(Pixels(), Avoid(), L2(), opt.DDN(starts=3), "budget", Budget(400))
    right = replace(world.task, label=world.logits(world.task.image).argmax(1))
    nearest = nearest_boundary(world, right)

    def known(result):
        assert result.met.all()
        assert (result.size / nearest).min() >= 1 - 1e-6 and (result.size / nearest).mean() <= 1.005

    return Row("ddn, several starts", probe, world.classifier(), right, known)


def deepfool(world=LinearWorld(classes=5, crowd=0.03)):
    probe = Probe(Pixels(), Avoid(), L2(), own.DeepFool(), budget=Budget(10))
    right = replace(world.task, label=world.logits(world.task.image).argmax(1))
    return Row("deepfool", probe, world.classifier(), right, within(1.021, nearest_boundary(world, right)))


def box_lbfgs(world=LinearWorld(crowd=0.3)):
    search = opt.Weigh(opt.LBFGSB(), rounds=14, steps=20)
    probe = Probe(Pixels(), Become(margin=MARGIN), L2(weight=1.0), search, "budget", Budget(300))
    free = world.deficit(MARGIN)[0] / world.deficit(MARGIN)[1].norm(dim=1)
    optimum = world.l2_optimum(MARGIN)
    assert (optimum > free * 1.001).sum() > 10  # the box binds
    return Row("l-bfgs, search over c", probe, world.classifier(), world.task, within(1.06, optimum))


def feature_opt(world=LinearWorld(n=20, classes=12, crowd=0.15), eps=0.04):
    guides = replace(world.task, guide=world.task.image.flip(0))
    search = opt.Then(opt.Momentum(eps / 8, 0.75), opt.LBFGSB(), steps=12, when="steps")
    probe = Probe(Pixels(), Mimic("linear", near=0.01), Linf(eps), search, "budget", Budget(120))

    def known(result):
        from scipy.optimize import lsq_linear

        for i, image in enumerate(world.task.image.flatten(1)):
            wanted = world.weight @ (guides.guide[i].flatten() - image)
            low, high = (image - eps).clamp_min(0) - image, (image + eps).clamp_max(1) - image
            best = lsq_linear(world.weight.numpy(), wanted.numpy(), (low.numpy(), high.numpy()), tol=1e-12)
            assert result.outcomes[i].loss <= 2 * best.cost / float(wanted @ wanted) * (1 + 1e-3) + 1e-9

    return Row("feature_opt", probe, world.classifier(), guides, known)


def hop_skip_jump(world=LinearWorld(n=40)):
    right = replace(world.task, label=1 - world.task.label)
    probe = Probe(Pixels(), Avoid(0.0), L2(), own.HopSkipJump(), "budget", Budget(800, queries=4000), batch=512)

    def known(result):
        ratio = result.size / world.l2_optimum(0.0)
        assert result.met.all() and ratio.min() >= 1 - 1e-6
        assert ratio.median() <= 1.05 and ratio.max() <= 1.12
        assert all(o.queries <= 4000 for o in result.outcomes)

    return Row("hop-skip-jump", probe, world.classifier(), right, known)


def labels_only(world=LinearWorld(n=20)):
    row = hop_skip_jump(world)
    asked = Classifier(lambda x: world.logits(x).argmax(1), labels=("a", "b"), gives="met")
    return replace(row, name="labels-only callable", asked=asked)


def square(world=LinearWorld(n=60, crowd=0.15), eps=0.015):
    probe = Probe(Pixels(), Become(margin=MARGIN), Linf(eps), opt.Square(eps, share=0.1), budget=Budget(1500))

    def known(result):
        feasible = world.feasible(eps, MARGIN)
        easy = world.reach(eps) >= 1.05 * world.deficit(MARGIN)[0]
        assert not (result.met & ~feasible).any() and result.met[easy].all()
        assert easy.sum() > 20 and feasible.sum() < 50

    return Row("square", probe, world.classifier(), world.task, known)


def eot(world=LinearWorld(n=60, crowd=0.15), eps=0.02, n=10):
    views = EOT(Become(margin=MARGIN), [Noise(0.02)], n=n, share=0.9)
    probe = Probe(Pixels(), views, Linf(eps), opt.Sign(eps / 10), budget=Budget(40))

    def known(result):
        judging = fold(fold(world.task.key, probe.seed), -1)
        nothing = torch.zeros(world.n, *world.shape, dtype=world.dtype)
        noise = torch.stack([Noise(0.02)(nothing, fold(fold(judging, i), 0)) for i in range(n)])
        deficit, slope = world.deficit(MARGIN)
        shifts = (noise.flatten(2) * slope).sum(2)  # a linear world: each view only moves the margin
        met = (world.reach(eps) + shifts >= deficit).double().mean(0) >= 0.9
        assert 0.1 < met.double().mean() < 0.9
        assert torch.equal(result.met, met)

    return Row("eot", probe, world.classifier(), world.task, known)


def gated(world=LinearWorld(crowd=0.15), eps=0.03):
    normal = worlds.uniform(torch.tensor([7]), (world.side**2,), world.dtype)[0] - 0.5
    wanted = Become(margin=MARGIN) + 4.0 * worlds.Gate(normal)
    probe = Probe(Pixels(), wanted, Linf(eps), opt.Sign(eps / 40), budget=Budget(400))

    def known(result):
        from scipy.optimize import linprog

        feasible, (deficit, slope) = [], world.deficit(MARGIN)
        for i, image in enumerate(world.task.image.flatten(1)):
            bounds = torch.stack([(-image).clamp_min(-eps), (1 - image).clamp_max(eps)], 1).numpy()
            rows = torch.stack([-slope[i], normal]).numpy()
            right = [-float(deficit[i]), -float(normal @ (image - 0.5))]
            feasible.append(linprog(torch.zeros(64).numpy(), rows, right, bounds=bounds).status == 0)
        feasible = torch.tensor(feasible)
        assert not (result.met & ~feasible).any()
        assert 20 < feasible.sum() < 95 and result.met.sum() >= 0.95 * feasible.sum()

    return Row("gated rejection", probe, world.classifier(), world.task, known)


def says(world=LinearWorld(classes=6)):
    captioner = worlds.Captioner(world.weight.view(2, 3, -1))
    probe = Probe(Pixels(), Says("owl dog"), L2(), opt.Momentum(0.05, 0.0, "l2"), budget=Budget(60))

    def known(result):
        assert captioner.answer(result.images) == ["owl dog"] * world.n

    return Row("captioner", probe, captioner, world.task, known)


def map_elites(world=LinearWorld(classes=12)):
    probe = Probe(worlds.Graphs(), Confidence(0.9), Unconstrained(), own.MapElites(), "budget", Budget(queries=1200))
    cells = Task(torch.arange(12), target=torch.arange(12))

    def known(result):
        children = [q for step in probe.walk(world.classifier(), cells) for q in step.query.p]
        logits = world.logits(worlds.Graphs().decode(cells, children))
        assert len(children) == 1200
        best = -logits.log_softmax(1).amax(0)
        assert torch.allclose(torch.tensor([o.loss for o in result.outcomes], dtype=torch.float64), best)
        assert (best < -torch.tensor(0.9).log()).any() and not (best < 1e-4).all()

    return Row("map-elites", probe, world.classifier(), cells, known)


def within(ratio, optimum):
    """All are met, none beats the optimum, and none is larger than `ratio` times it."""

    def known(result):
        found = result.size.double() / optimum
        assert result.met.all()
        assert found.min() >= 1 - 1e-6
        assert found.max() <= ratio

    return known


ROWS = [
    pgd,
    lse_restarts,
    lse_minimal,
    pixels_minimal,
    ring_grid,
    ddn,
    ddn_race,
    deepfool,
    box_lbfgs,
    feature_opt,
    hop_skip_jump,
    square,
    map_elites,
    eot,
    gated,
    says,
    labels_only,
]
