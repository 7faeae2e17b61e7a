"""Learned acquisition: exactly k frames, gradients that reach every score, and patterns of light that are learned."""

import pytest
import torch
import torch.nn.functional as F

from amiss.errors import ContractError, UsageError
from amiss.models.acquisition import FramePicker, Illumination, hadamard

MANY = {"size": 4, "patterns": 17, "begin": "hadamard"}


def lots(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("keep", [1, 3, 9])
def test_exactly_k_frames_are_kept_in_training_and_after_it(keep):
    picker, x = FramePicker(9, keep), torch.rand(2, 9, 4) + 0.1
    for generator in (None, lots(), lots(1)):
        kept = (picker(x, generator) != 0).all(2)
        assert kept.sum(1).tolist() == [keep] * 2
        assert set(picker.mask(7, generator).detach().unique().tolist()) <= {0.0, 1.0}
    assert picker.hard().sum() == keep
    still = picker.eval()(x, lots())
    assert torch.equal(still, x * picker.hard()[None, :, None])


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_frame_is_tried_as_often_as_the_temperature_says(fraction):
    """The highest of scores with Gumbel noise of scale tau is frame t with probability softmax(a / tau)."""
    picker = FramePicker(5, 1)
    picker.raw.data.copy_(torch.linspace(0.1, 0, 5))
    assert torch.allclose(picker.scores, torch.linspace(1, 0, 5))
    picker.cool(fraction)
    assert picker.temperature.item() == pytest.approx(5 * 0.06**fraction)
    n = 4000
    tried = picker.mask(n, lots()).detach().mean(0)
    chances = (picker.scores.detach() / picker.temperature).softmax(0)
    assert bool(((tried - chances).abs() < 4 * (chances * (1 - chances) / n).sqrt()).all())


def test_a_frame_that_tells_more_wins_score():
    """The gradient of the soft mask: where more of a frame lowers the loss, its score rises, kept or not."""
    picker = FramePicker(4, 2)
    worth = torch.tensor([0.0, 3.0, 0.0, 1.0])
    loss = -(picker(torch.ones(500, 4), lots()) * worth).sum()
    loss.backward()
    assert picker.raw.grad[1] < 2 * picker.raw.grad[3] < 0
    assert picker.raw.grad[0] == picker.raw.grad[2] == 0


def test_movies_of_one_batch_try_choices_of_their_own_and_blanks_are_what_was_asked():
    picker, x = FramePicker(6, 2, blank=0.5), torch.ones(50, 6, 3)
    seen = picker(x, lots())
    assert set(seen.detach().unique().tolist()) == {0.5, 1.0}
    assert len({tuple(row) for row in (seen[:, :, 0] == 1).tolist()}) > 5
    torch.manual_seed(3)
    first = picker(x)
    torch.manual_seed(3)
    assert torch.equal(first, picker(x)) and not torch.equal(first, picker(x))  # torch's own lots, as of dropout


@pytest.mark.parametrize("missing", [float("nan"), float("inf")])
def test_what_is_missing_in_a_frame_that_is_not_picked_does_no_harm(missing):
    picker, x = FramePicker(4, 2, blank=0.5), torch.rand(30, 4, 3)
    mask = picker.mask(30, lots())
    x = torch.where((mask.detach() == 0)[:, :, None], missing, x).requires_grad_()
    seen = picker.shown(x, mask)
    assert bool((seen[mask == 0] == 0.5).all()) and torch.equal(seen[mask == 1], x[mask == 1])
    seen.square().sum().backward()
    assert bool(x.grad.isfinite().all()) and bool(picker.raw.grad.isfinite().all()) and bool(picker.raw.grad.any())
    picker.eval()
    x = torch.rand(1, 4, 3)
    x[0, 0, 0] = missing  # picked: it stays, for the model behind to refuse
    assert not bool(picker(x)[0, 0].isfinite().all())


def test_the_informative_frames_of_a_movie_are_found():
    """Frames 1 and 4 of six show the class, and all others noise."""
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        y = torch.randint(2, (512,), generator=lots(seed))
        x = torch.randn(512, 6, 1, generator=lots(seed + 10))
        for frame in (1, 4):
            x[:, frame, 0] = 1.5 * (2 * y - 1) + torch.randn(512, generator=lots(seed + frame))
        picker, head = FramePicker(6, 2), torch.nn.Linear(6, 2)
        optimizer = torch.optim.Adam(
            [{"params": picker.parameters(), "lr": 0.005}, {"params": head.parameters()}], 0.02
        )
        g = lots(seed + 20)
        for step in range(300):
            picker.cool(step / 300)
            optimizer.zero_grad()
            F.cross_entropy(head(picker(x, g).flatten(1)), y).backward()
            optimizer.step()
        found.append(picker.hard().nonzero().flatten().tolist())
    assert found == [[1, 4]] * 3


def test_readings_are_light_minus_dark_and_go_back_by_the_same_patterns():
    light, x = Illumination(2, 4, 3), torch.rand(5, 2, 4, 4)
    on = light.hard().bool()
    assert torch.equal(on, light.scores >= 0)
    for k in range(3):
        by_hand = (x[:, :, on[k]].sum(2) - x[:, :, ~on[k]].sum(2)) / 16
        assert torch.allclose(light.read(x)[:, :, k], by_hand, atol=1e-6)
    back = torch.einsum("nck,khw->nchw", light.read(x), 2 * on.float() - 1)
    assert torch.allclose(light(x), back, atol=1e-6)


def test_a_whole_hadamard_matrix_loses_nothing():
    signs = torch.tensor([[1.0, 1], [1, -1]])
    whole = torch.kron(torch.kron(signs, signs), torch.kron(signs, signs))  # 16 x 16
    light, x = Illumination(1, 4, 16), torch.rand(3, 1, 4, 4)
    light.scores.data.copy_(whole.reshape(16, 4, 4))
    assert torch.allclose(light(x), x, atol=1e-6)


def test_noise_is_that_of_the_sensor_and_only_where_lots_are_given():
    light, x = Illumination(1, 8, 50, noise=0.1), torch.rand(100, 1, 8, 8)
    torch.manual_seed(0)
    assert not torch.equal(light.read(x), light.read(x))  # torch's own lots in training, as of dropout
    light.eval()
    assert torch.equal(light.read(x), light.read(x))
    error = light.read(x, lots()) - light.read(x)
    assert error.std().item() == pytest.approx(0.1, rel=0.05)


def test_patterns_are_learned_unless_they_are_to_stay():
    x = torch.rand(4, 1, 8, 8)
    for learned in (True, False):
        light = Illumination(1, 8, 3, learned=learned)
        assert light.scores.requires_grad == learned
        out = light(x).square().sum()
        assert out.requires_grad == learned
        if learned:
            out.backward()
            assert bool((light.scores.grad != 0).all())


@pytest.mark.parametrize(
    "arguments",
    [
        {"frames": 3, "keep": 4},
        {"frames": 3, "keep": 0},
        {"frames": 3, "keep": 1, "blank": float("nan")},
        {"frames": "9", "keep": 3},
        {"frames": 9, "keep": 2.5},
    ],
)
def test_more_frames_than_the_movie_has_are_refused(arguments):
    with pytest.raises(UsageError, match="picker-frames"):
        FramePicker(**arguments)
    with pytest.raises(ContractError, match="picker-movie"):
        FramePicker(3, 2)(torch.zeros(1, 4))


def test_temperatures_are_those_between_the_beginning_and_the_end_of_a_run():
    picker, found = FramePicker(3, 2), []
    for fraction in (0.0, -1.0, 1.0, 2.0):
        picker.cool(fraction)
        found.append(picker.temperature.item())
    assert found == pytest.approx([5, 5, 0.3, 0.3])
    with pytest.raises(UsageError, match="picker-cool"):
        picker.cool(float("nan"))
    assert picker.temperature.item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "arguments", [{"size": 0}, {"patterns": 0}, {"noise": -1.0}, {"noise": float("nan")}, {"begin": "fourier"}, MANY]
)
def test_illuminations_that_there_are_not_are_refused(arguments):
    with pytest.raises(UsageError, match="illumination"):
        Illumination(**arguments)
    with pytest.raises(ContractError, match="illumination-shape"):
        Illumination(1, 4)(torch.zeros(1, 1, 5, 5))
    with pytest.raises(ContractError, match="not finite"):
        Illumination(1, 2)(torch.tensor([[[[0.0, 1.0], [float("nan"), 0.0]]]]))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_hadamard_patterns_are_orthogonal_and_the_smoothest_come_first(size):
    rows = hadamard(size**2, size).flatten(1)
    assert torch.equal(rows @ rows.T, size**2 * torch.eye(size**2))
    assert torch.equal(rows[0], torch.ones(size**2))
    turns = (hadamard(size**2, size).diff(dim=2) != 0)[:, 0].sum(1) + (hadamard(size**2, size).diff(dim=1) != 0)[
        :, :, 0
    ].sum(1)
    assert turns.tolist() == sorted(turns.tolist())


def test_hadamard_patterns_of_other_sizes_are_read_at_the_centers_of_pixels():
    assert hadamard(2, 3)[1][0].tolist() in ([1, 1, -1], [1, -1, -1])
    first = hadamard(9, 28)
    assert first.shape == (9, 28, 28) and bool((first.abs() == 1).all())
    assert len({tuple(row) for row in first.flatten(1).tolist()}) == 9
    light = Illumination(1, 28, 9, begin="hadamard", learned=False)
    assert torch.equal(2 * light.hard() - 1, first)
