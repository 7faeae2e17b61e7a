"""The laws of every autoregressive model: causal, normalized, and one and the same by steps as in one pass."""

import itertools

import pytest
import torch

from amiss.errors import AmissError, ContractError, UsageError
from amiss.models import FVBN, MADE, DiagonalBiLSTM, GatedPixelCNN, PixelCNN, RasterLSTM, RowLSTM, build
from amiss.training import load_model, save_model
from amiss.training.measures.causality import causality

torch.set_num_threads(1)

# A row a network: its class, and arguments that make it tiny.
NETS = {
    "FVBN": (FVBN, {}),
    "MADE": (MADE, {"hidden": 24, "layers": 3}),
    "PixelCNN": (PixelCNN, {"width": 4, "blocks": 2, "first": 3, "hidden": 6}),
    "GatedPixelCNN": (GatedPixelCNN, {"width": 5, "blocks": 2, "first": 3, "hidden": 6}),
    "RowLSTM": (RowLSTM, {"width": 4, "state": 5, "layers": 2, "first": 3, "hidden": 6}),
    "DiagonalBiLSTM": (DiagonalBiLSTM, {"width": 4, "state": 5, "layers": 2, "first": 3, "hidden": 6}),
    "RasterLSTM": (RasterLSTM, {"width": 4, "state": 5, "layers": 2, "first": 3, "hidden": 6}),
}
CONDITIONAL = [name for name, (made, _) in NETS.items() if made not in (FVBN, MADE)]
IMAGES = {
    "binary": {"channels": 1, "size": 3, "levels": 2},
    "color": {"channels": 3, "size": 2, "levels": 2},
    "categorical": {"channels": 2, "size": 2, "levels": 7},
    "mixture": {"channels": 3, "size": 2, "levels": 256, "components": 2},
}
BOTH = list(itertools.product(NETS, IMAGES))


def net(name, seed=0, **images):
    """A network whose weights are all random: none is 0 where training would begin with 0."""
    made, sizes = NETS[name]
    model = made(**{**sizes, **images})
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=draw) * min(0.5, p[0].numel() ** -0.5))
    return model.eval()


def drawn(model, n, seed=1):
    """Random images of the model's levels, in its type."""
    levels, shape = model.likelihood.levels, (n, model.channels, model.size, model.size)
    x = torch.randint(levels, shape, generator=torch.Generator().manual_seed(seed)) / (levels - 1)
    return x.to(next(model.parameters()).dtype)


def all_images(model):
    levels = torch.arange(model.likelihood.levels) / (model.likelihood.levels - 1)
    return model.shaped(torch.cartesian_prod(*[levels] * model.dimensions).reshape(-1, model.dimensions))


def condition(model, n):
    """Classes or small images, as the model asks for them."""
    draw = torch.Generator().manual_seed(3)
    if model.low:
        return torch.rand(n, model.channels, model.low, model.low, generator=draw)
    return torch.randint(model.condition.classes, (n,), generator=draw)


def replayed(model, x, c=None):
    rows, cache = model.flat(x), model.init_cache(len(x), c)
    steps = [model.step(rows[:, t - 1] if t else None, t, cache) for t in range(model.dimensions)]
    return torch.stack(steps, 2)


@pytest.mark.parametrize(("name", "images"), BOTH)
def test_no_dimension_depends_on_itself_or_a_later_one(name, images):
    model = net(name, **IMAGES[images])
    told = causality(model, range(model.dimensions))
    assert told.later == 0
    # And the question can be answered otherwise: most dimensions that come just before are seen.
    assert sum(bool(told.seen[t, t - 1]) for t in range(1, model.dimensions)) > model.dimensions / 2


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "images",
    [
        {"channels": 1, "size": 3, "levels": 2},
        {"channels": 3, "size": 2, "levels": 2},
        {"channels": 2, "size": 1, "levels": 20},
        {"channels": 2, "size": 1, "levels": 20, "components": 3},
    ],
    ids=["binary", "color", "categorical", "mixture"],
)
def test_probabilities_of_all_images_sum_to_1(name, images):
    model = net(name, **images)
    with torch.no_grad():
        total = model.log_prob(all_images(model)).double().exp().sum()
    assert abs(float(total) - 1) < 1e-5


@pytest.mark.parametrize(("name", "images"), BOTH)
def test_steps_replayed_are_the_parallel_pass(name, images):
    model = net(name, **IMAGES[images]).double()
    x = drawn(model, 5)
    with torch.no_grad():
        torch.testing.assert_close(replayed(model, x), model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "images"), BOTH)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_cached_samples_are_naive_ones_bit_for_bit(name, images, temperature):
    model = net(name, **IMAGES[images]).double()
    ways = [
        way(6, temperature=temperature, generator=torch.Generator().manual_seed(5))
        for way in (model.sample, model.sample_naive)
    ]
    assert torch.equal(*ways)
    assert len(ways[0].unique(dim=0)) > 1


@pytest.mark.parametrize("name", NETS)
def test_samples_come_as_often_as_their_probability_says(name):
    model, n = net(name, channels=1, size=2, levels=2), 4000
    images = all_images(model)
    drawn_ = model.sample(n, generator=torch.Generator().manual_seed(6))
    often = torch.stack([(drawn_ == image).flatten(1).all(1).double().mean() for image in images])
    with torch.no_grad():
        p = model.log_prob(images).double().exp()
    assert bool(((often - p).abs() < 4.5 * (p * (1 - p) / n).sqrt() + 1e-9).all())


@pytest.mark.parametrize(("name", "images"), BOTH)
def test_a_completion_keeps_what_is_given(name, images):
    model = net(name, **IMAGES[images])
    given = drawn(model, 4)
    mask = torch.rand(given.shape, generator=torch.Generator().manual_seed(7)) < 0.5
    done = model.sample(4, given=given, mask=mask, generator=torch.Generator().manual_seed(8))
    assert torch.equal(done[mask], given[mask])
    assert torch.equal(model.sample(4, given=given, mask=torch.ones(1, 1, 1, 1)), given)
    free = model.sample(4, given=given, mask=torch.zeros(1, 1, 1, 1), generator=torch.Generator().manual_seed(8))
    assert torch.equal(free, model.sample(4, generator=torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("name", NETS)
def test_what_is_given_changes_what_is_drawn_after_it(name):
    """The chance of the last pixel, drawn 2,000 times after two given beginnings, is the conditional's."""
    model, n = net(name, channels=1, size=2, levels=2), 2000
    mask = torch.tensor([[True, True], [True, False]])
    for bits in ([0.0, 0.0, 1.0], [1.0, 1.0, 0.0]):
        given = torch.tensor([*bits, 0.0]).view(1, 1, 2, 2)
        often = float(model.sample(n, given=given, mask=mask)[:, 0, 1, 1].mean())
        with torch.no_grad():
            p = float(model(given)[0, 0, 3].sigmoid())
        assert abs(often - p) < 4.5 * (p * (1 - p) / n) ** 0.5 + 1e-9


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.parametrize("depends", [{"classes": 3}, {"low": 2}], ids=["classes", "low"])
def test_laws_hold_given_a_condition(name, depends):
    model = net(name, channels=1, size=4, levels=2, **depends).double()
    x, c = drawn(model, 5), condition(model, 5)
    with torch.no_grad():
        torch.testing.assert_close(replayed(model, x, c), model(x, c), rtol=1e-10, atol=1e-10)
        assert (model(x, c) - model(x, c.flip(0))).abs().max() > 1e-3  # what it depends on matters
    assert causality(model, range(16), c[:1]).later == 0
    ways = [way(5, c, generator=torch.Generator().manual_seed(5)) for way in (model.sample, model.sample_naive)]
    assert torch.equal(*ways)


@pytest.mark.parametrize("name", NETS)
def test_a_saved_network_is_the_same_network(name, tmp_path):
    """Masks are not in the file, and networks are built without memory before they are read."""
    model = net(name, channels=3, size=4, levels=2)
    arguments = {**NETS[name][1], "channels": 3, "size": 4, "levels": 2}
    recipe = {"architecture": name, "arguments": arguments}
    save_model(tmp_path / "net.safetensors", model, recipe, {})
    again, _ = load_model(tmp_path / "net.safetensors")
    x = drawn(model, 3)
    with torch.no_grad():
        assert torch.equal(model.log_prob(x), again.log_prob(x))
    assert torch.equal(model.sample(3), again.sample(3))


@pytest.mark.parametrize("name", NETS)
def test_sizes_beyond_all_use_are_refused_before_memory_is_asked_for(name):
    for sizes in ({"size": 10**9}, {"channels": 10**6, "size": 1}, {"levels": 1}, {"components": 10**9}):
        with pytest.raises(AmissError):
            build({"architecture": name, "arguments": sizes})
    for option in NETS[name][1]:
        for value in (0, 2.5, 10**9):
            with pytest.raises(UsageError):
                build({"architecture": name, "arguments": {"size": 4, option: value}})


@pytest.mark.parametrize("name", NETS)
def test_a_condition_that_does_not_fit_is_refused(name):
    model, x = net(name, channels=1, size=4, levels=2), torch.zeros(2, 1, 4, 4)
    for call in (lambda c: model.log_prob(x, c), lambda c: model.sample(2, c)):
        with pytest.raises(ContractError, match="density-condition"):
            call(torch.zeros(2, dtype=torch.int64))
    if name in CONDITIONAL:
        named = net(name, channels=1, size=4, levels=2, classes=3)
        for c in (
            None,
            torch.tensor([0, 3]),
            torch.tensor([0, -1]),
            torch.tensor([0.0, 1.0]),
            torch.zeros(2, 1, 2, 2),
        ):
            with pytest.raises(ContractError, match="density-condition"):
                named.log_prob(x, c)
        for call in (lambda c: named.log_prob(x, c), lambda c: named.sample(2, c)):
            with pytest.raises(ContractError, match="density-condition"):
                call(torch.zeros(3, dtype=torch.int64))  # three conditions for two images
        with pytest.raises(UsageError, match="density-depends"):
            net(name, channels=1, size=4, levels=2, low=3)
