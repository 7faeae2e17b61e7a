"""Every noun of ours, and every recipe, passes its battery; one that is left out of the lists is found."""

from dataclasses import replace

import pytest
import torch

import amiss.constraints
import amiss.objectives
import amiss.optimizers
import amiss.spaces
from amiss import recipes
from amiss.analysis.rejection import ODIN, Energy
from amiss.constraints import L1, L2, Both, Box, Constraint, LatentNorm, Linf, Mask, Quantized, Unconstrained
from amiss.objectives import (
    EOT,
    Accepted,
    Activate,
    Avoid,
    Become,
    Confidence,
    Hides,
    Invert,
    Mimic,
    MimicLinear,
    Objective,
    Says,
    Scaled,
    Sum,
)
from amiss.optimizers import (
    APGD,
    DDN,
    LBFGSB,
    Adam,
    Ascent,
    DeepFool,
    Estimated,
    Grid,
    HopSkipJump,
    Linearized,
    MapElites,
    Momentum,
    Optimizer,
    Segments,
    Sign,
    Square,
    SquareL2,
    Then,
    TwoPhase,
    Weigh,
)
from amiss.probe import Budget, Probe
from amiss.spaces import CPPN, Genome, Latent, Pixels, Space
from amiss.spaces.cppn import CPPN_QUIRKS
from amiss.spaces.genome import GENOME_QUIRKS
from amiss.task import Task
from amiss.testing import (
    HOSTILE,
    LinearWorld,
    RingWorld,
    check_constraint,
    check_objective,
    check_optimizer,
    check_probe,
    check_space,
)
from amiss.testing.batteries import defaults
from amiss.transforms import Noise
from tests.probes import catalog, worlds

WORLD = defaults.WORLD  # what the batteries ask by default: its decoder fits
CLASSES = Task(torch.arange(3), target=torch.tensor([0, 1, 0]))  # samples without images
RING = RingWorld(n=6)
PLANE = Probe(Latent(RING.codec), Become(), LatentNorm(), Adam(0.1), "budget")  # a code of two numbers
PLANES = (PLANE, RING.classifier(), RING.task)
HALF = torch.arange(8) < 4

SPACES = [
    (Pixels(), ()),
    (Pixels((1, 8, 8)), (CLASSES,)),
    (Pixels(anew=True), ()),
    (Latent(WORLD.codec), ()),
    (Latent(WORLD.codec, residual=False), ()),
    (Latent(RING.codec, residual=False), (RING.task,)),  # codes that hold all there is: the start is the image too
    (worlds.Graphs(), (CLASSES,)),
    (Genome((1, 8, 8)), (CLASSES,)),
    (Genome((3, 4, 4), quirks=GENOME_QUIRKS), (CLASSES,)),
    (CPPN((1, 8, 8)), (CLASSES,)),
    (CPPN((3, 5, 8), "rgb"), (CLASSES,)),
    (CPPN(6, quirks=CPPN_QUIRKS), (CLASSES,)),
]
CAPTIONS = LinearWorld(n=6, classes=6)
OBJECTIVES = [
    (Avoid(), ()),
    (Become(), ()),
    (Become(1, margin=0.5), ()),
    (Confidence(0.6), ()),
    (Confidence(0.6, hinge=True), ()),
    (Accepted(Energy(), 0.8), ()),
    (Accepted(ODIN(10.0), 0.6, 0.1), ()),
    (Mimic("linear"), ()),
    (Mimic("linear") + 0.5 * Mimic("flatten", near=0.9), ()),
    (MimicLinear("linear"), ()),
    (Activate("linear", 1, value=0.3), ()),
    (Invert("linear"), ()),
    (Avoid() + Become(), ()),
    (0.5 * Become(), ()),
    (EOT(Become(margin=0.1), [Noise(0.05)], n=4), ()),
    (Says("owl dog"), (worlds.Captioner(CAPTIONS.weight.view(2, 3, -1)), CAPTIONS.task)),
    (Hides("owl"), (worlds.Finder(CAPTIONS.weight[:3]), CAPTIONS.task)),
    (Avoid(), (CAPTIONS.classifier(), CAPTIONS.task)),  # six classes, and labels that are not the answers
]
CONSTRAINTS = [
    Linf(0.03),
    Linf(0.0),
    Linf(),
    L2(0.5),
    L2(0.0),
    L2(0.5, weight=2.0),
    L2(),
    L1(1.0),
    L1(0.0),
    L1(),
    LatentNorm(0.03),
    LatentNorm(radius=1.0),
    LatentNorm(0.1, radius=0.5),
    LatentNorm(radius=0.0),
    Box(),
    Box(0.2, 0.8),
    Mask(HALF),
    Quantized(),
    Quantized(16, inward=True),
    Unconstrained(),
]
OPTIMIZERS = [
    Sign(0.01),
    Sign(0.01, restarts=3, spread=0.02),
    Momentum(0.01),
    Momentum(0.1, 0.5, "l2"),
    Adam(0.02),
    Adam(0.02, restarts=2, spread=0.1),
    Ascent(),
    Ascent(decay=0.0, blur=0.5, blur_every=2, small_norm=0.2, small_benefit=0.2),
    Square(0.05),
    SquareL2(0.5),
    DDN(),
    DDN(0.5, 0),
    DDN(starts=3),
    DeepFool(),
    Sign(0.02, schedule="cosine", of="odds"),
    HopSkipJump(),
    APGD(0.05, steps=5),
    APGD(0.5, "l2", 3, 0),
    HopSkipJump("linf", rows=4, carry=0.0),
    Estimated(Sign(0.02), "gaussian", 6),
    Estimated(Momentum(0.02), "rademacher", 6, 0.02),
    Estimated(Adam(0.02, restarts=2, spread=0.1), "coordinates", None),
    Then(Sign(0.02), HopSkipJump(rows=4), 5),
    Linearized(),
    Then(Sign(0.02), Adam(0.01), 5),
    Then(Momentum(0.02), Square(0.05), 5, "steps"),
    Then(Sign(0.02), Linearized(rounds=3, halvings=2), 6),
    LBFGSB(),
    LBFGSB(3, fall=0.0, window=2),
    Then(Momentum(0.02, 0.75), LBFGSB(), 4, "steps"),
    TwoPhase(),
    TwoPhase(0.0, 2, 0.1),
]
SPREAD = Segments(0.5 * torch.eye(2, dtype=torch.float64), torch.tensor([1, 1]), k=2, points=3)
WEIGHED = [Weigh(LBFGSB(), 3, 3), Weigh(Adam(0.01, restarts=2, spread=0.1), 2, 4)]
DEAR = Probe(Pixels(), Become(margin=0.5), L2(weight=1.0), Adam(0.1), "budget")  # a penalty to weigh
CODED = [  # these look at codes
    Grid(5),
    SPREAD,
    Then(Adam(0.01), Then(Grid(5, cap=2.0), Then(Adam(0.05), Linearized("pull-back", 2, 2), 3), 0), 3),
    Then(Adam(0.01), Then(SPREAD, Then(Adam(0.05), Linearized(torch.eye(2), 2, 2), 3), 0), 3),
    Then(Adam(0.01), Then(Grid(5, also_met=True), Linearized(), 0, "steps"), 3),
]
RECIPES = {
    "fgsm": [(recipes.fgsm(0.05), ())],
    "pgd": [(recipes.pgd(0.03), ()), (recipes.pgd(0.5, norm="l2", target="task", until="budget"), ())],
    "lse": [
        (recipes.lse(WORLD.codec, lr=0.2), ()),
        (recipes.lse(WORLD.codec, lr=0.2, minimize=None), ()),
        (recipes.lse(WORLD.codec, lr=0.2, restarts=2, until="budget", residual=False), ()),
        (recipes.lse(RING.codec, margin=0.1, steps=6, restarts=2, grid=5), (RING.classifier(), RING.task)),
    ],
    "square": [(recipes.square(0.05), ())],
    "hop_skip_jump": [(recipes.hop_skip_jump(60, rows=10), ()), (recipes.hop_skip_jump(60, norm="linf", rows=6), ())],
    "worst_case": [(recipes.worst_case(0.05), ()), (recipes.worst_case(0.5, norm="l2"), ())],
    "eot": [(recipes.eot(0.3, 6, views=2, printed=False), ())],
    "nes": [(recipes.nes(0.05, 100, pairs=4), ())],
    "spsa": [(recipes.spsa(0.05, 100, pairs=4), ())],
    "ddn": [(recipes.ddn(target="task"), ()), (recipes.ddn(steps=12, gamma=0.3, starts=1, levels=None), ())],
    "cw": [(recipes.cw(target="task"), ()), (recipes.cw(rounds=2, steps=5, lr=0.1, levels=None), ())],
    "deepfool": [(recipes.deepfool(), ()), (recipes.deepfool(rounds=2, among=1, levels=None), ())],
    "label_opt": [(recipes.label_opt(target="task"), ()), (recipes.label_opt(rounds=3, steps=4), ())],
    "feature_opt": [
        (recipes.feature_opt("linear", 0.1), ()),
        (recipes.feature_opt("linear", 0.1, until="met", levels=None), ()),
    ],
    "feature_linear": [(recipes.feature_linear("linear", 0.1), ())],
    "feature_fgrad": [(recipes.feature_fgrad("linear", 0.05, near=0.9), ())],
    "label_fgrad": [(recipes.label_fgrad(0.05), ())],
    "invert": [(recipes.invert("linear", steps=60), ())],
    "fool_direct": [
        (recipes.fool_direct((1, 8, 8), children=20), (None, CLASSES)),
        (recipes.fool_direct((1, 8, 8), children=20, preset="paper-2015", until="budget"), (None, CLASSES)),
        (recipes.fool_direct((1, 8, 8), children=20, gradient=True, until="budget"), (None, CLASSES)),
    ],
    "fool_cppn": [
        (recipes.fool_cppn((1, 8, 8), children=20), (None, CLASSES)),
        (recipes.fool_cppn((1, 8, 8), children=20, preset="paper-2015", until="budget"), (None, CLASSES)),
    ],
    "fool_ascent": [(recipes.fool_ascent((1, 8, 8), confidence=0.9, steps=60), (None, CLASSES))],
    "fool_gradient": [(recipes.fool_gradient((1, 8, 8), confidence=0.9, step=0.05), (None, CLASSES))],
}
COMPETING = [MapElites(20), MapElites(7, first=30, parents="all")]
STEEP = Probe(Genome((1, 8, 8)), Confidence(0.9), Unconstrained(), MapElites(gradient=0.1), "budget")  # it slopes
MANY = {  # of the field's methods, those that the recipes do not show
    "labels alone": catalog.hop_skip_jump,
    "views": lambda: catalog.eot(n=3),
    "rows that compete": catalog.map_elites,
}


def named(value):
    return str(value[0] if isinstance(value, tuple) else value)[:60]


@pytest.mark.parametrize("case", SPACES, ids=named)
def test_spaces(case):
    check_space(case[0], *case[1])


@pytest.mark.parametrize("case", OBJECTIVES, ids=named)
def test_objectives(case):
    check_objective(case[0], *case[1])


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=named)
def test_constraints(constraint):
    check_constraint(constraint)


@pytest.mark.parametrize("constraint", [c for c in CONSTRAINTS if c.binds == "images"], ids=named)
def test_constraints_in_float32(constraint):
    samples = defaults.task()
    single = replace(samples, image=samples.image.float(), guide=None)
    check_constraint(constraint, task=single)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=named)
def test_optimizers(optimizer):
    check_optimizer(optimizer)


@pytest.mark.parametrize("optimizer", WEIGHED, ids=named)
def test_optimizers_that_weigh_a_penalty(optimizer):
    check_optimizer(optimizer, DEAR)


@pytest.mark.parametrize("optimizer", CODED, ids=named)
def test_optimizers_that_look_at_codes(optimizer):
    check_optimizer(optimizer, *PLANES)


@pytest.mark.parametrize("optimizer", [None, *COMPETING], ids=named)
def test_an_optimizer_that_competes(optimizer):
    row = catalog.map_elites()
    verdicts = check_optimizer(optimizer or row.probe.optimizer, row.probe, row.asked, row.task)
    assert [v.id for v in verdicts if v.passed is None] == ["it-ends", "idle-rows-cost-nothing"]


def test_an_optimizer_that_competes_and_climbs():
    verdicts = check_optimizer(MapElites(6, gradient=0.05), STEEP, WORLD.classifier(), CLASSES)
    assert [v.id for v in verdicts if v.passed is None] == ["it-ends", "idle-rows-cost-nothing"]


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes(name):
    for probe, given in RECIPES[name]:
        verdicts = check_probe(probe, *given)
        skipped = {v.id for v in verdicts if v.passed is None}
        # One step is no trend, a task without image has nothing to be met already, g(e(x)) is not x.
        alone = {"batch-does-not-matter", "order-does-not-matter"} if probe.optimizer.competes else set()
        assert skipped <= {"memory-stays-flat", "what-is-met-already-stays"} | alone


@pytest.mark.parametrize("kind", list(MANY))
def test_methods_of_other_kinds(kind):
    row = MANY[kind]()
    task = row.task if row.probe.optimizer.competes else row.task.rows(torch.arange(4))
    verdicts = check_probe(row.probe, row.asked, task)
    assert sum(v.passed is True for v in verdicts) >= 12


def test_a_classifier_of_ones_own():
    probe = Probe(Latent(RING.codec), Become(), LatentNorm(0.01), Adam(0.1), "budget", Budget(15))
    assert all(v.passed for v in check_probe(probe, RING.classifier(), RING.task))


@pytest.mark.parametrize("name", ["in_place", "half", "channels_last", "one_logit", "train_mode"])
def test_strange_networks_and_float32(name):
    (world,) = [hostile.make(0) for hostile in HOSTILE if hostile.name == name]
    verdicts = check_probe(recipes.pgd(8 / 255), world.classifier, world.images.task(slice(0, 6)))
    assert all(v.passed for v in verdicts)


def members(module, base):
    """The public nouns of a room, their base left out."""
    found = {getattr(module, name) for name in module.__all__}
    return {noun for noun in found if isinstance(noun, type) and issubclass(noun, base) and noun is not base}


def test_no_noun_and_no_recipe_is_left_out():
    assert members(amiss.spaces, Space) <= {type(space) for space, _ in SPACES}
    assert members(amiss.objectives, Objective) <= {type(objective) for objective, _ in OBJECTIVES}
    assert members(amiss.constraints, Constraint) - {Both} == {type(constraint) for constraint in CONSTRAINTS}
    assert members(amiss.optimizers, Optimizer) == {
        type(optimizer) for optimizer in OPTIMIZERS + WEIGHED + CODED + COMPETING
    }
    assert set(recipes.RECIPES) == set(RECIPES)
    assert {Scaled, Sum} <= {type(objective) for objective, _ in OBJECTIVES}
