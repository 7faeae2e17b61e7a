"""Moving images along a direction: lengths that are asked for, steps with a formula, and what the model is shown."""

import pytest
import torch
from torch import nn

from amiss.analysis.findings import Mover
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=30, latent=6, seed=2, dtype=torch.float32)
IMAGES = Images.of((WORLD.task.image * 255).round().byte())
ROWS = torch.tensor([3, 4, 11, 20, 29])
DIRECTION = torch.tensor([0.5, -1.0, 0.3, 0.0, 2.0, 0.1], dtype=torch.float64)
SLOPE = (WORLD.weight[1] - WORLD.weight[0]).double()


class Curved:
    """A decoder whose change bends with the step, and differs from image to image."""

    def encode(self, x):
        return WORLD.codec.encode(x)

    def decode(self, z):
        return WORLD.codec.decode(z + 0.2 * torch.sin(2 * z))


class Watched(nn.Module):
    """A decoder, and a model that notes how long each change was that it is asked about."""

    def __init__(self, codec):
        super().__init__()
        self.codec, self.first, self.last, self.lengths, self.shown = codec, None, None, [], []

    def encode(self, x):
        return self.codec.encode(x)

    def decode(self, z):
        self.last = self.codec.decode(z)
        self.first = self.last if self.first is None else self.first
        return self.last

    def forward(self, x):
        self.lengths.append((self.last - self.first).flatten(1).norm(dim=1))
        self.shown.append(x)
        return x.flatten(1)[:, :2]


def mover(codec=WORLD.codec, batch=64, classifier=None):
    codes = codec.encode(IMAGES.images())
    return Mover(classifier or WORLD.classifier(), codec, IMAGES.pixels, codes, 1, 0, batch)


@pytest.mark.parametrize("codec", [WORLD.codec, Curved()], ids=["linear", "curved"])
def test_every_change_has_the_length_that_was_asked_for(codec):
    watched, lengths = Watched(codec), [0.2, 0.4, 0.6]
    directions = torch.stack([DIRECTION, -DIRECTION, 2 * DIRECTION.flip(0)])
    mover(watched, classifier=Classifier(watched)).by_lengths(ROWS, directions, lengths)
    seen = torch.stack(watched.lengths).reshape(3, 3, len(ROWS))
    expected = torch.tensor(lengths)[None, :, None].expand_as(seen)
    torch.testing.assert_close(seen, expected, rtol=1e-4 if codec is WORLD.codec else 0.01, atol=0)


def test_the_model_is_shown_what_an_8_bit_file_holds():
    watched = Watched(WORLD.codec)
    moving = mover(watched, classifier=Classifier(watched))
    moving.by_steps(ROWS, DIRECTION, 3.0)
    moving.by_lengths(ROWS, DIRECTION[None], [4.0])
    for shown in watched.shown:
        levels = shown * 255
        assert float((levels - levels.round()).abs().max()) < 1e-4
        assert float(shown.min()) == 0, "far enough that the box [0, 1] binds"
        assert float(shown.max()) == 1


@pytest.mark.parametrize("codec", [WORLD.codec, Curved()], ids=["linear", "curved"])
def test_no_step_leaves_the_8_bit_image(codec):
    watched = Watched(codec)
    gaps, lengths = mover(watched, classifier=Classifier(watched)).by_steps(ROWS, DIRECTION, 0.0)
    assert torch.equal(watched.shown[0], IMAGES.images(ROWS))
    assert lengths.tolist() == [0] * len(ROWS)
    image = IMAGES.images(ROWS).flatten(1).double()
    torch.testing.assert_close(gaps, image[:, 1] - image[:, 0])


def test_steps_have_the_formula_of_the_linear_world():
    """Logit gap at x + s B d, rounded: w . (x' - 1/2); length s ||d||."""
    steps = torch.tensor([-0.05, 0.02, 0.0, 0.1, 0.15])
    gaps, lengths = mover().by_steps(ROWS, DIRECTION, steps)
    along = WORLD.codec.basis.double() @ DIRECTION
    x = IMAGES.images(ROWS).flatten(1).double() + steps[:, None].double() * along
    expected = ((x.clamp(0, 1) * 255).round() / 255 - 0.5) @ SLOPE
    torch.testing.assert_close(gaps, expected, atol=0.01, rtol=0)  # one pixel may round the other way
    torch.testing.assert_close(lengths, steps.abs().double() * DIRECTION.norm(), atol=1e-5, rtol=1e-4)


def test_forth_raises_the_logit_and_back_lowers_it():
    uphill = WORLD.codec.basis.double().T @ SLOPE
    moving = mover()
    here = moving.by_steps(ROWS, uphill, 0.0)[0]
    assert bool((moving.by_steps(ROWS, uphill, 0.05)[0] > here + 0.1).all())
    assert bool((moving.by_steps(ROWS, uphill, -0.05)[0] < here - 0.1).all())
    forth, back = moving.by_lengths(ROWS, torch.stack([uphill, -uphill]), [0.2])[:, 0]
    assert bool((forth > here + 0.1).all())
    assert bool((back < here - 0.1).all())
    swapped = Mover(moving.classifier, moving.decoder, moving.pixels, moving.codes, 0, 1, 64)
    torch.testing.assert_close(swapped.by_steps(ROWS, uphill, 0.0)[0], -here)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_do_not_matter(batch):
    whole, parts = mover(Curved()), mover(Curved(), batch)
    one, other = (moving.by_steps(ROWS, DIRECTION, torch.linspace(0, 0.2, 5)) for moving in (whole, parts))
    torch.testing.assert_close(one[0], other[0], atol=0.01, rtol=0)
    torch.testing.assert_close(one[1], other[1])
    directions = torch.stack([DIRECTION, -DIRECTION])
    one, other = (moving.by_lengths(ROWS, directions, [0.1, 0.3]) for moving in (whole, parts))
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)


def test_no_rows_give_no_logits():
    none = ROWS[:0]
    assert [len(part) for part in mover().by_steps(none, DIRECTION, 1.0)] == [0, 0]
    assert mover().by_lengths(none, DIRECTION[None], [0.1, 0.2]).shape == (1, 2, 0)


def test_a_direction_that_is_not_drawn_moves_nothing():
    """Its change has no length at any step; a length of nothing is no move either."""
    here = mover().by_steps(ROWS, DIRECTION, 0.0)[0]
    for direction, lengths in ((torch.zeros(6), [0.1, 0.2]), (DIRECTION, [0.0, 0.0])):
        moved = mover().by_lengths(ROWS, direction[None], lengths)
        torch.testing.assert_close(moved, here.expand(1, 2, len(ROWS)))
