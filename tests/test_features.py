"""Features that become a guide's: distances as shares of the source's, a layer linearized, and units raised."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.errors import ContractError, DataError, LayerError, ModelError, UsageError
from amiss.objectives import Activate, Invert, Mimic, MimicLinear
from amiss.objectives.features import above_rounding
from amiss.optimizers import Sign, Square
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=5, classes=6, crowd=0.15)
GUIDED = replace(WORLD.task, guide=WORLD.task.image.roll(1, 0))


class Bent(nn.Module):
    """A convolution through a sine, and logits of its squares: no layer is a straight line."""

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(10)
        self.conv = nn.Conv2d(1, 4, 3, dtype=torch.float64)
        self.wave, self.head = nn.Identity(), nn.Linear(4 * 36, 3, dtype=torch.float64)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=draw, dtype=torch.float64) / p[0].numel() ** 0.5)

    def forward(self, x):
        x = self.wave(torch.sin(4 * self.conv(x)))
        return self.head(x.square().flatten(1))


BENT = Classifier(Bent())


def layered(inner, **rest):
    """A network whose layer "inner" is this module, before what else is named."""
    net = nn.Sequential()
    for name, module in {"inner": inner, **rest}.items():
        net.add_module(name, module)
    return Classifier(net, labels=["a", "b"])


class Calls(nn.Module):
    """Any function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def read(objective, x=None, classifier=BENT, task=GUIDED):
    task = objective.prepare(classifier, task)
    y = objective.read(classifier, task.image if x is None else x, task, 0)
    return *objective.score(y, task), y, task


def between(share):
    """Images on the way from the sources to their guides."""
    return (1 - share) * GUIDED.image + share * GUIDED.guide


def slope(objective, x, classifier=BENT):
    x = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(read(objective, x, classifier)[0].sum(), x)
    return grad


# A guide's features


@pytest.mark.parametrize("layer", ["conv", "wave", "answer"])
@pytest.mark.parametrize("kind", [Mimic, MimicLinear])
def test_the_loss_is_1_at_the_source_and_0_at_a_guide_that_is_reached(kind, layer):
    loss, met, *_ = read(kind(layer))
    assert torch.allclose(loss, torch.ones_like(loss), rtol=1e-12)
    assert not met.any()
    if kind is Mimic or layer == "conv":
        loss, met, *_ = read(kind(layer), GUIDED.guide)
        assert loss.abs().max() < 1e-20
        assert met.all()


@pytest.mark.parametrize("near", [0.3, 0.5, 0.9])
def test_it_is_met_where_the_ratio_of_distances_is_at_most_near(near):
    held = []
    for share in (0.02, 0.2, 0.5, 0.8, 0.9):
        loss, met, y, task = read(Mimic("wave", near), between(share))
        here, source, guide = (
            BENT.outputs(x, ("wave",))["wave"].flatten(1) for x in (between(share), GUIDED.image, GUIDED.guide)
        )
        ratio = (here - guide).norm(dim=1) / (source - guide).norm(dim=1)
        assert torch.allclose(loss.sqrt(), ratio, rtol=1e-10)
        assert torch.equal(met, ratio <= near)
        assert torch.equal(Mimic("wave", near).slack(y, task) >= 0, met)
        held += met.tolist()
    assert any(held) and not all(held)


def test_source_and_guide_that_the_layer_cannot_tell_apart_are_met_already():
    blind = layered(Calls(lambda x: 0 * x.flatten(1)))
    loss, met, *_ = read(Mimic("inner"), classifier=blind)
    assert met.all() and (loss == 0).all()


@pytest.mark.parametrize("kind", [Mimic, Invert])
@pytest.mark.parametrize("unit", [2.0**-27, 2.0**-60])
def test_the_same_network_in_other_units_is_told_the_same(kind, unit):
    """A power of two changes no digit: a floor that is no share of the features would."""
    wide, narrow = (layered(nn.Flatten(), inner2=Calls(lambda x, scale=scale: scale * x)) for scale in (1.0, unit))
    for dtype in (torch.float32, torch.float64):
        task = replace(GUIDED, image=GUIDED.image.to(dtype), guide=GUIDED.guide.to(dtype))
        told = [read(kind("inner2"), task.image, classifier, task)[:2] for classifier in (wide, narrow)]
        assert torch.equal(told[0][0], told[1][0]) and torch.equal(told[0][1], told[1][1])
        assert not told[1][1].any()


def test_what_rounding_alone_makes_of_two_distances_is_taken_for_nothing():
    one = torch.tensor([[3.0, 4.0], [3e-9, 4e-9], [0.0, 0.0]])
    other = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    least = above_rounding((one - other).square().sum(1), one, other)
    limits = torch.finfo(torch.float32)
    assert torch.allclose(
        least, torch.tensor([25 * limits.eps**2, 2.5e-17, limits.tiny / limits.eps**2]), rtol=1e-6, atol=0
    )


def test_a_pass_ends_at_the_layer_and_the_guide_is_read_once():
    def unreached(x):
        raise AssertionError("the pass went on")

    classifier = layered(nn.Flatten(), head=Calls(unreached))
    objective = Mimic("inner")
    task = objective.prepare(classifier, GUIDED)
    assert classifier.counts.queries == 2 * len(task)
    for _ in range(3):
        objective.read(classifier, task.image, task, 0)
    assert classifier.counts.queries == 5 * len(task)


def test_two_layers_keep_what_they_know_apart():
    parts = [Mimic("conv", 0.9), Mimic("wave", 0.6), MimicLinear("answer", 0.7)]
    total = parts[0] + 2.0 * parts[1] + parts[2]
    x = between(0.6)
    loss, met, _, _ = read(total, x)
    each = [read(part, x)[:2] for part in parts]
    assert torch.allclose(loss, each[0][0] + 2 * each[1][0] + each[2][0], rtol=1e-12)
    assert torch.equal(met, each[0][1] & each[1][1] & each[2][1])
    assert (total.looks, total.keeps) == (3, "lowest")


def test_halves_are_compared_as_wider_numbers():
    flat = layered(nn.Flatten(), narrow=Calls(torch.Tensor.bfloat16))
    loss, _, y, task = read(Mimic("narrow"), classifier=flat)
    assert y["features"].dtype == torch.float32
    assert torch.allclose(loss, torch.ones_like(loss), rtol=1e-6)
    narrow = GUIDED.image.flatten(1).bfloat16().float() - GUIDED.guide.flatten(1).bfloat16().float()
    assert torch.allclose(task.extra["apart:narrow"], narrow.square().sum(1), rtol=1e-6)


def test_a_layer_of_one_number_an_image():
    mean = layered(Calls(lambda x: x.flatten(1).mean(1)))
    loss, *_ = read(Mimic("inner"), between(0.25), mean)
    assert torch.allclose(loss, torch.full_like(loss, 0.75**2))


# A layer linearized at the source


def jacobians(layer):
    """The layer's Jacobian at each source [n, D, pixels], column by column."""
    return torch.stack(
        [
            torch.autograd.functional.jacobian(lambda x: BENT.outputs(x[None], (layer,))[layer].flatten(), image)
            for image in GUIDED.image
        ]
    ).flatten(2)


@pytest.mark.parametrize("layer", ["wave", "answer"])
def test_the_linear_model_and_its_slope_are_those_of_the_jacobian(layer):
    matrix, x = jacobians(layer), between(0.3) + 0.1
    source, guide = (BENT.outputs(images, (layer,))[layer].flatten(1) for images in (GUIDED.image, GUIDED.guide))
    model = source + torch.einsum("ndp,np->nd", matrix, (x - GUIDED.image).flatten(1))
    apart = (source - guide).square().sum(1)
    loss, *_ = read(MimicLinear(layer), x)
    assert torch.allclose(loss, (model - guide).square().sum(1) / apart, rtol=1e-10)
    expected = 2 * torch.einsum("ndp,nd->np", matrix, model - guide) / apart[:, None]
    assert torch.allclose(slope(MimicLinear(layer), x).flatten(1), expected, rtol=1e-9, atol=1e-12)


def test_a_promise_that_does_not_hold_is_no_success():
    # From 0.9 the tangent of (x - 1/2)^3 reaches the guide's value at 0.633, and the cube does not: R1 is 0.52 there.
    cube = layered(Calls(lambda x: (x - 0.5).pow(3).flatten(1)))
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    task = Task(torch.arange(1), 0.9 * one, guide=0.1 * one)
    x = (0.9 - 0.128 / 0.48) * one
    loss, met, *_ = read(MimicLinear("inner"), x, cube, task)
    assert loss < 1e-20 and not met
    assert read(MimicLinear("inner", near=0.53), x, cube, task)[1]


def test_of_a_linear_layer_the_linear_model_is_the_layer_itself():
    classifier, x = WORLD.classifier(), between(0.4) + 0.02
    for layer in ("flatten", "linear"):
        (loss, met, *_), (other, also, *_) = (read(kind(layer), x, classifier) for kind in (Mimic, MimicLinear))
        assert torch.allclose(loss, other, rtol=1e-10)
        assert torch.equal(met, also)
        assert torch.allclose(slope(Mimic(layer), x, classifier), slope(MimicLinear(layer), x, classifier), rtol=1e-9)


def test_nothing_is_kept_for_a_gradient_that_nobody_wants():
    task = MimicLinear("wave").prepare(BENT, GUIDED)
    with torch.no_grad():
        y = MimicLinear("wave").read(BENT, task.image, task, None)
    assert not y["features"].requires_grad
    assert not task.image.requires_grad


# Units


def test_a_unit_a_channel_and_a_place():
    features = BENT.outputs(GUIDED.image, ("wave",))["wave"]
    answer = BENT.outputs(GUIDED.image)["answer"]
    for layer, unit, expected in (
        ("answer", 2, answer[:, 2]),
        ("wave", 1, features[:, 1].flatten(1).mean(1)),
        ("wave", (1, 3), features[:, 1, 3].mean(1)),
        ("wave", (1, 3, 4), features[:, 1, 3, 4]),
    ):
        value = float(expected.median())
        loss, met, y, task = read(Activate(layer, unit, value))
        assert torch.allclose(loss, -expected, rtol=1e-12)
        assert torch.equal(met, expected >= value)
        assert torch.equal(Activate(layer, unit, value).slack(y, task) >= 0, met)
        assert not read(Activate(layer, unit))[1].any()


def test_a_unit_of_a_linear_layer_is_raised_as_far_as_the_box_allows():
    eps, classifier = 0.02, WORLD.classifier()
    for value, until in ((None, "budget"), (0.3, "met")):
        probe = Probe(Pixels(), Activate("linear", 4, value), Linf(eps), Sign(eps), until, Budget(1))
        result = probe.run(classifier, WORLD.task)
        best = (WORLD.task.image + eps * WORLD.weight[4].sign().view(1, 8, 8)).clamp(0, 1)
        highest = WORLD.logits(best)[:, 4]
        if value is None:
            assert torch.allclose(result.images, best)
            assert not result.met.any()
            assert torch.allclose(-torch.tensor([o.loss for o in result.outcomes], dtype=torch.float64), highest)
        else:
            assert torch.equal(result.met, highest >= value)


@pytest.mark.parametrize(
    "objective",
    [
        Mimic("wave", 0.3),
        MimicLinear("wave", 0.3),
        Activate("wave", (1, 2, 3), 0.5),
        Activate("answer", 1),
        Invert("wave", 0.4, rough=0.3, beta=1.0),
        Mimic("conv") + 0.5 * Activate("answer", 1),
    ],
    ids=repr,
)
def test_words_construct_it_again(objective):
    again = eval(repr(objective))
    assert repr(again) == repr(objective)
    assert (type(again), again.layers) == (type(objective), objective.layers)


# What is refused


def test_options_that_mean_nothing(refuses):
    for kind in (Mimic, MimicLinear):
        for near in (0, 1, -0.5, 127):
            with refuses(UsageError, "mimic-near"):
                kind("wave", near)


@pytest.mark.parametrize("kind", [Mimic, MimicLinear])
def test_a_task_without_guides_or_with_guides_of_another_size(kind, refuses):
    bare = replace(GUIDED, guide=None)
    for task in (bare, replace(GUIDED, image=None)):
        with refuses(ContractError, "contract-no-guide"):
            kind("wave").prepare(BENT, task)
    for guide in (GUIDED.guide[..., :7, :7], GUIDED.guide.expand(-1, 3, -1, -1), GUIDED.guide[:2]):
        with refuses(DataError, "guide-shape") as caught:
            kind("wave").prepare(BENT, replace(GUIDED, guide=guide))
        assert str(tuple(guide.shape)) in caught.value.seen


OBJECTIVES = [Mimic("wav"), MimicLinear("wav"), Activate("wav", 0), Invert("wav")]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_an_unknown_layer_is_answered_with_close_names(objective, refuses):
    with refuses(LayerError, "layer-unknown") as caught:
        read(objective)
    assert "Close names: wave" in caught.value.hint


@pytest.mark.parametrize("kind", [Mimic, MimicLinear, Invert, lambda layer: Activate(layer, 0)])
def test_layers_that_give_no_row_of_features_an_image(kind, refuses):
    pair = layered(Calls(lambda x: (x, x)), one=Calls(lambda pair: pair[0].flatten(1)))
    with refuses(LayerError, "layer-output") as caught:
        read(kind("inner"), classifier=pair)
    assert "tuple" in caught.value.seen
    if kind in (Mimic, MimicLinear, Invert):
        folded = layered(Calls(lambda x: x.flatten(0, 2)), rows=Calls(lambda x: x.view(-1, 64)))
        with refuses(LayerError, "layer-rows") as caught:
            read(kind("inner"), classifier=folded)
        assert "(40, 8)" in caught.value.seen


def test_units_that_a_layer_does_not_have(refuses):
    for unit in (4, -1, (), (0, 6), (0, 0, 0, 0)):
        with refuses(LayerError, "layer-unit") as caught:
            read(Activate("wave", unit))
        assert "(4, 6, 6)" in caught.value.seen


def test_slack_that_is_not_offered(refuses):
    for objective in (MimicLinear("wave"), Activate("wave", 1)):
        _, _, y, task = read(objective)
        with refuses(ContractError, "contract-slack", seen=False):
            objective.slack(y, task)


@pytest.mark.parametrize("objective", [Mimic("linear"), MimicLinear("linear"), Activate("linear", 1)], ids=repr)
def test_a_model_without_gradients_is_refused_before_the_first_pass(objective, refuses):
    linear = WORLD.classifier()
    queries = Classifier(linear.network, gives="loss")
    with refuses(ContractError, "contract-ladder") as caught:
        Probe(Pixels(), objective, Linf(0.1), Sign(0.1)).run(queries, GUIDED)
    assert queries.counts.queries == 0
    assert "square" in caught.value.hint
    # Its layers can still be asked: what can be done by looking alone is done.
    found = Probe(Pixels(), objective, Linf(0.1), Square(0.1), "budget", Budget(60)).run(queries, GUIDED)
    before = read(objective, classifier=linear)[0].tolist()
    assert all(outcome.loss < loss for outcome, loss in zip(found.outcomes, before, strict=True))


def test_a_network_that_cuts_the_gradient_off(refuses):
    cut = layered(Calls(lambda x: x.detach().flatten(1)))
    for objective in (Mimic("inner"), MimicLinear("inner")):
        with refuses(ModelError, "model-no-gradient"):
            Probe(Pixels(), objective, Linf(0.1), Sign(0.1)).run(cut, GUIDED)


class Once(torch.autograd.Function):
    """Twice the input, with a backward pass that cannot be differentiated itself."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 2 * grad


def test_a_backward_pass_that_has_no_derivative_is_refused_by_the_linear_model_alone(refuses):
    once = layered(Calls(lambda x: Once.apply(x).flatten(1)))
    with refuses(ModelError, "model-no-second"):
        read(MimicLinear("inner"), classifier=once)
    assert slope(Mimic("inner"), between(0.5), once).abs().max() > 0


def test_a_bound_in_gray_levels(refuses):
    with refuses(UsageError, "eps-units") as caught:
        Linf(10)
    assert "10 / 255" in caught.value.hint
