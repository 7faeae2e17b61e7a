"""The trainer: exact resume, players that own what they own, and a stop on nonsense."""

import os
import signal
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from amiss.errors import CheckpointError, DataError, TrainingError, UsageError
from amiss.models import build
from amiss.tensorfile import read_tensors
from amiss.training import ClassifierLoss, ELBOLoss, TrainingRecipe, fit
from amiss.training.batches import Batches, shifted
from amiss.training.trainer import STATE_FILE

torch.set_num_threads(1)


def draw(n=64, size=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, size, size), generator=g, dtype=torch.uint8)
    return {"image": images, "label": torch.randint(0, 3, (n,), generator=g)}


def net(seed=0):
    """A network with everything that has a memory of its own: running statistics and dropout."""
    lenet = build({"architecture": "LeNet", "arguments": {"size": 8, "width": 4, "hidden": 8, "classes": 3}}, seed)
    return nn.Sequential(nn.BatchNorm2d(1), lenet, nn.Dropout(0.3))


def vae(seed=0):
    return build({"architecture": "ConvVAE", "arguments": {"size": 8, "latent": 2, "width": 4, "hidden": 8}}, seed)


@dataclass(frozen=True)
class Game:
    """Player a follows b, player b wants 3; a's loss also leans on b, which b must not feel."""

    turns: tuple[tuple[str, ...], ...]

    def players(self, model):
        return {"a": [model.a], "b": [model.b]}

    def losses(self, model, batch, turn):
        both = {"a": (model.a - model.b) ** 2 + 10 * model.b, "b": (model.b - 3) ** 2}
        return {name: len(batch) * both[name] for name in turn}


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(-1.0)), nn.Parameter(torch.tensor(0.0))


@dataclass(frozen=True)
class Square:
    """Least squares of one linear layer; rows that hold a NaN make the loss a NaN."""

    turns: tuple[tuple[str, ...], ...] = (("fit",),)

    def players(self, model):
        return {"fit": model.parameters()}

    def losses(self, model, batch, turn):
        return {"fit": ((model(batch["x"]) - batch["y"]) ** 2).sum()}


def same(a, b):
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


FAST = TrainingRecipe(steps=12, batch=16, rate=0.01, ema=0.9, shift=1, weight_decay=0.01, clip=1.0, seed=5)


@pytest.mark.parametrize(
    ("make", "loss"), [(net, ClassifierLoss((0.5,), (0.3,))), (vae, ELBOLoss(binarize=True, warm=0.5))]
)
@pytest.mark.parametrize("form", [{}, {"precision": "bf16", "channels_last": True}])
def test_a_resumed_run_ends_at_the_same_bits(tmp_path, make, loss, form):
    recipe = replace(FAST, **form)
    whole = make()
    history = fit(whole, loss, draw(), recipe)

    def stop(at):
        def on_step(progress):
            if progress.step == at:
                raise KeyboardInterrupt

        return on_step

    for at in (3, 8):  # two sittings that are cut short, then the last; three epochs of four steps
        with pytest.raises(KeyboardInterrupt):
            fit(make(), loss, draw(), recipe, out=tmp_path, on_step=stop(at))
    last = make(seed=9)  # other initial weights: all must come from the file
    again = fit(last, loss, draw(), recipe, out=tmp_path)
    assert same(whole, last)
    assert again.resumed == 8
    assert again.losses == history.losses
    assert not again.clocked
    # A finished run is not trained again.
    third = make(seed=7)
    assert fit(third, loss, draw(), recipe, out=tmp_path).resumed == 12
    assert same(whole, third)


def test_a_step_is_the_step_of_torch(tmp_path):
    """Three steps equal a loop by hand: the mean over rows, AdamW, no decay of biases."""
    data = draw()
    recipe = TrainingRecipe(steps=3, batch=16, rate=0.01, schedule="constant", weight_decay=0.1, seed=2)
    ours, hand = (build({"architecture": "LeNet", "arguments": {"size": 8, "classes": 3}}) for _ in range(2))
    fit(ours, ClassifierLoss(), data, recipe)
    matrices, vectors = ([p for p in hand.parameters() if (p.ndim > 1) == big] for big in (True, False))
    adam = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}], 0.01
    )
    batches = Batches(data, recipe)
    for step in range(3):
        batch = batches.at(step, 0.0)
        adam.zero_grad()
        nn.functional.cross_entropy(hand(batch["image"]), batch["label"]).backward()
        adam.step()
    for a, b in zip(ours.parameters(), hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("turns", [(("a", "b"),), (("a",), ("b",)), (("b",), ("a",))])
def test_each_player_moves_its_own_parameters_by_its_own_loss(turns):
    """At the equilibrium both are 3; were b to feel a's loss it would end at -2."""
    game, model = Game(turns), Two()
    history = fit(model, game, {"x": torch.zeros(4)}, TrainingRecipe(steps=600, batch=4, rate=0.05, warm=0.05))
    assert model.b.item() == pytest.approx(3, abs=1e-3)
    assert model.a.item() == pytest.approx(3, abs=1e-2)
    assert set(history.losses) == {"a", "b"}


def test_later_turns_see_the_moves_of_earlier_ones():
    data, recipe = {"x": torch.zeros(4)}, TrainingRecipe(steps=1, batch=4, rate=0.5, schedule="constant")
    first = {
        turns: fit(Two(), Game(turns), data, recipe).losses["a"][0] for turns in [(("a", "b"),), (("b",), ("a",))]
    }
    assert first[("a", "b"),] == pytest.approx(1.0)  # (-1 - 0)^2 + 0
    assert first[("b",), ("a",)] == pytest.approx(1.5**2 + 5, rel=1e-4)  # b moved to 0.5 first


def test_a_game_resumes_to_the_same_bits(tmp_path):
    game, data, recipe = (
        Game((("b",), ("a",))),
        {"x": torch.zeros(4)},
        TrainingRecipe(steps=20, batch=4, rate=0.1),
    )
    whole, parts = Two(), Two()
    fit(whole, game, data, recipe)

    def on_step(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(parts, game, data, recipe, out=tmp_path, on_step=on_step)
    fit(parts, game, data, recipe, out=tmp_path)
    assert same(whole, parts)


def regression(n=32):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=g)
    return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 4}


@pytest.mark.parametrize("poison", [float("nan"), 3e38])  # a loss that is NaN; a loss that overflows
def test_a_number_that_is_not_finite_stops_and_the_last_good_state_stays(tmp_path, poison):
    data, recipe = regression(), TrainingRecipe(steps=40, batch=4, rate=0.01, schedule="constant", seed=3)
    order = [Batches({"i": torch.arange(32)}, recipe).at(s, 0)["i"].tolist() for s in range(8)]
    where = order[6][0]  # a row that is first met at step 6 of the first epoch of eight
    data["x"][where, 0] = poison
    good = nn.Linear(3, 1)
    start = {name: t.clone() for name, t in good.state_dict().items()}
    with pytest.raises(TrainingError, match="step 7") as caught:
        fit(good, Square(), data, recipe, out=tmp_path, every=4)
    assert caught.value.slug == "training-not-finite"
    # The model is what four undisturbed steps make, and so is the file.
    twin = nn.Linear(3, 1)
    twin.load_state_dict(start)
    fit(twin, Square(), regression(), replace(recipe, steps=4))
    assert same(good, twin)
    tensors, about = read_tensors(tmp_path / STATE_FILE)
    assert about["step"] == 4
    assert torch.equal(tensors["model.weight"], twin.weight)


def test_a_nan_at_the_first_step_leaves_the_model_as_it_was(tmp_path):
    data = regression()
    data["y"][:] = float("nan")
    model = nn.Linear(3, 1)
    before = model.weight.clone()
    with pytest.raises(TrainingError, match="as it began"):
        fit(model, Square(), data, TrainingRecipe(steps=5, batch=8), out=tmp_path)
    assert torch.equal(model.weight, before)
    assert not (tmp_path / STATE_FILE).exists()


def test_ctrl_c_ends_the_step_and_leaves_a_checkpoint(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def on_step(progress):
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(
            nn.Linear(3, 1),
            Square(),
            regression(),
            TrainingRecipe(steps=50, batch=8),
            out=tmp_path,
            on_step=on_step,
        )
    assert read_tensors(tmp_path / STATE_FILE)[1]["step"] in (5, 6)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rate": 0.02}, "recipe.rate: 0.01 there, 0.02 here"),
        ({"steps": 14}, "recipe.steps"),
        ({"seed": 6}, "seed"),
    ],
)
def test_another_recipe_in_the_same_folder_is_refused_by_name(tmp_path, change, named):
    fit(net(), ClassifierLoss(), draw(), FAST, out=tmp_path)
    with pytest.raises(CheckpointError, match=named):
        fit(net(), ClassifierLoss(), draw(), replace(FAST, **change), out=tmp_path)


def test_another_loss_model_or_data_in_the_same_folder_is_refused(tmp_path):
    fit(net(), ClassifierLoss(), draw(), FAST, out=tmp_path)
    with pytest.raises(CheckpointError, match="loss"):
        fit(net(), ClassifierLoss(smoothing=0.1), draw(), FAST, out=tmp_path)
    with pytest.raises(CheckpointError, match="data"):
        fit(net(), ClassifierLoss(), draw(seed=1), FAST, out=tmp_path)
    with pytest.raises(CheckpointError, match="model"):
        fit(net()[1], ClassifierLoss(), draw(), FAST, out=tmp_path)


def test_training_leaves_the_global_generator_alone_and_repeats(tmp_path):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second = net(), net()
    fit(first, ClassifierLoss(), draw(), FAST)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    fit(second, ClassifierLoss(), draw(), FAST)
    assert same(first, second)
    fit(third := net(), ClassifierLoss(), draw(), replace(FAST, seed=6))
    assert not same(first, third)


def test_the_average_is_the_running_mean_of_the_weights():
    """Its decay rises as (1 + t) / (10 + t) up to the recipe's."""
    seen, recipe = [], TrainingRecipe(steps=30, batch=8, rate=0.1, ema=0.6, schedule="constant")
    model, plain = nn.Linear(3, 1), nn.Linear(3, 1)
    plain.load_state_dict(model.state_dict())
    average = model.weight.detach().clone()
    fit(
        plain,
        Square(),
        regression(),
        replace(recipe, ema=0.0),
        on_step=lambda _: seen.append(plain.weight.detach().clone()),
    )
    for t, weight in enumerate(seen):
        decay = min(0.6, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * weight
    fit(model, Square(), regression(), recipe)
    torch.testing.assert_close(model.weight.detach(), average)


def test_bf16_keeps_float32_weights_and_a_finished_model_is_in_the_usual_layout():
    model = net()
    fit(model, ClassifierLoss(), draw(), replace(FAST, precision="bf16", channels_last=True))
    assert all(p.dtype == torch.float32 and p.is_contiguous() for p in model.parameters())
    assert not model.training


def test_the_clock_ends_a_run_and_the_history_says_so():
    history = fit(nn.Linear(3, 1), Square(), regression(), TrainingRecipe(steps=10**9, seconds=0.3, batch=8))
    assert history.clocked
    assert 0.3 <= history.seconds < 3
    assert len(history.losses["fit"]) == history.steps > 5


def test_progress_counts_and_expects_the_end():
    events = []
    recipe = TrainingRecipe(epochs=2.5, batch=8)
    fit(nn.Linear(3, 1), Square(), regression(), recipe, on_step=events.append)
    assert [e.step for e in events] == list(range(1, 11))
    assert events[-1].epoch == 2.5
    assert events[-1].fraction == 1
    assert events[-1].remaining == 0
    assert all(e.remaining > 0 for e in events[:-1])


def test_an_epoch_holds_each_row_once_in_an_order_of_its_own():
    recipe = TrainingRecipe(epochs=2, batch=8, seed=1)
    batches = Batches({"i": torch.arange(32)}, recipe)
    epochs = [torch.cat([batches.at(4 * e + s, 0)["i"] for s in range(4)]) for e in range(2)]
    assert all(torch.equal(e.sort().values, torch.arange(32)) for e in epochs)
    assert not torch.equal(*epochs)
    late = Batches({"i": torch.arange(32)}, recipe).at(6, 0)  # asked out of order
    assert torch.equal(late["i"], batches.at(6, 0)["i"])


def test_shifts_move_pixels_and_repeat_the_border():
    image = torch.arange(9).reshape(1, 1, 3, 3)
    moved = shifted(image, torch.tensor([[1, -1]]))[0, 0]  # one down, one to the left
    assert moved.tolist() == [[1, 2, 2], [1, 2, 2], [4, 5, 5]]
    assert torch.equal(shifted(image, torch.zeros(1, 2, dtype=torch.int64)), image)


def test_the_rate_rises_to_its_peak_and_falls_to_zero():
    one = TrainingRecipe(steps=1, rate=0.5, warm=0.25)
    rates = [one.rate_at(f / 100) for f in range(101)]
    assert max(rates) == rates[25] == 0.5
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert TrainingRecipe(steps=1, rate=0.5, schedule="cosine").rate_at(0.5) == pytest.approx(0.25)


def test_the_clock_overrules_only_a_run_that_lags():
    recipe = TrainingRecipe(steps=100, seconds=10)
    assert recipe.fraction(30, 100, 1.0) == 0.3  # ahead of the clock
    assert recipe.fraction(0, 100, 1.9) == 0.0  # too early to tell
    assert recipe.fraction(30, 100, 8.0) == 0.8
    assert TrainingRecipe(seconds=10).fraction(7, None, 2.5) == 0.25


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"epochs": 1, "steps": 1},
        {"steps": 0},
        {"seconds": float("nan")},
        {"steps": 1, "batch": 0},
        {"steps": 1, "ema": 1.0},
        {"steps": 1, "schedule": "magic"},
        {"steps": 1, "rate": -1.0},
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(fields):
    with pytest.raises(UsageError):
        TrainingRecipe(**fields)


def test_data_without_rows_is_refused():
    for data in ({}, {"x": torch.zeros(0, 2)}, {"x": torch.zeros(3), "y": torch.zeros(2)}):
        with pytest.raises(DataError):
            fit(nn.Linear(3, 1), Square(), data, TrainingRecipe(steps=1))
