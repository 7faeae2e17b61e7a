"""Latent changes leave the image bit for bit where nothing changed; elsewhere they are differences of decodings."""

import pytest
import torch
from torch import nn

from amiss.constraints import LatentNorm, Unconstrained
from amiss.domain import Domain
from amiss.errors import ContractError
from amiss.repro import normal
from amiss.spaces import Latent, Pixels, Space
from amiss.task import Task
from amiss.testing import LinearWorld


class ConvCodec(nn.Module):
    """A random convolutional decoder and encoder: its rounding depends on the batch, as real ones' does."""

    def __init__(self, latent=5, size=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 16, latent))
        self.wide = nn.Linear(latent, 12 * 16)
        self.decoder = nn.Sequential(
            nn.Tanh(), nn.ConvTranspose2d(12, 8, 4, 2, 1), nn.Tanh(), nn.Conv2d(8, 1, 3, 1, 1)
        )

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.decoder(self.wide(z).view(-1, 12, 4, 4)).sigmoid()


@pytest.fixture
def codec():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvCodec()


def walls(images):
    """Images that also hold the values 0 and 1, where a sum that rounds would show."""
    x = images(33, (1, 8, 8))
    x[:, :, 0], x[:, :, 1] = 0.0, 1.0
    return Task(torch.arange(33), x)


@pytest.mark.parametrize("rows", [1, 2, 7, 33])
def test_no_change_is_the_image_bit_for_bit_in_every_batch(codec, images, rows):
    space = Latent(codec)
    task = space.prepare(walls(images))
    domain = Domain(space, LatentNorm(0.03), task, 1)
    for owner in torch.arange(33).split(rows):
        p = space.start(task.rows(owner))
        assert torch.equal(p, torch.zeros(len(owner), 5))
        assert torch.equal(domain.decode(p, owner), task.image[owner])
    # Beside rows that have moved, the still ones stay bit for bit too.
    p = normal(task.key, (5,))
    p[::2] = 0
    x = domain.decode(p, domain.everyone)
    assert torch.equal(x[::2], task.image[::2])
    assert (x[1::2] != task.image[1::2]).flatten(1).any(1).all()


def test_a_change_is_the_difference_of_the_decoded_codes(codec, images):
    codec = codec.double()
    task = Task(torch.arange(6), images(6, (1, 8, 8), torch.float64))
    space, eps = Latent(codec), normal(torch.arange(6), (5,), torch.float64)
    prepared = space.prepare(task)
    x = space.decode(prepared, eps)
    z = codec.encode(task.image)
    assert torch.allclose(x - task.image, codec.decode(z + eps) - codec.decode(z), rtol=0, atol=1e-12)
    plain = Latent(codec, residual=False).decode(prepared, eps)
    assert torch.equal(plain, codec.decode(z + eps))
    # The two differ by what the decoder cannot draw, whatever the change is.
    assert torch.allclose(x - plain, task.image - codec.decode(z), rtol=0, atol=1e-12)
    assert task.extra == {}


def test_decoded_images_are_clipped_by_the_domain(codec, images):
    space = Latent(codec)
    task = space.prepare(walls(images))
    domain = Domain(space, Unconstrained(), task, 1)
    eps = 3 * normal(task.key, (5,))
    raw = space.decode(task, eps)
    assert raw.min() < 0 < 1 < raw.max()
    assert torch.equal(domain.decode(eps, domain.everyone), raw.clamp(0, 1))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("moved", [False, True])
def test_gradients_by_finite_differences(codec, images, residual, moved):
    space = Latent(codec.double(), residual)
    task = space.prepare(Task(torch.arange(3), images(3, (1, 8, 8), torch.float64)))
    p = (0.3 * moved * normal(task.key, (5,), torch.float64)).requires_grad_()
    toward = normal(torch.tensor([5]), (1, 8, 8), torch.float64)
    (grad,) = torch.autograd.grad((space.decode(task, p) * toward).sum(), p)
    assert grad.abs().min() > 0
    h = 1e-5
    for i in range(5):
        step = torch.zeros_like(p)
        step[:, i] = h
        with torch.no_grad():
            ahead, behind = space.decode(task, p + step), space.decode(task, p - step)
        slope = ((ahead - behind) * toward).flatten(1).sum(1) / (2 * h)
        assert torch.allclose(grad[:, i], slope, rtol=1e-6, atol=1e-8)


def test_a_rows_image_and_gradient_depend_on_its_own_parameters_alone(codec, images):
    space = Latent(codec.double())
    task = space.prepare(Task(torch.arange(4), images(4, (1, 8, 8), torch.float64)))
    p = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(space.decode(task, p)[2].sum(), p)
    assert grad[2].abs().min() > 0
    assert grad[[0, 1, 3]].abs().max() == 0


def test_the_pull_back_metric_is_the_decoders(codec, images):
    world = LinearWorld(n=3)
    linear = Latent(world.codec)
    domain = Domain(linear, LatentNorm(), linear.prepare(world.task), 1)
    metric = domain.metric(torch.zeros(3, 6, dtype=torch.float64), domain.everyone)
    assert torch.allclose(metric, torch.eye(6, dtype=torch.float64).expand(3, 6, 6), atol=1e-12)
    space = Latent(codec.double())
    task = space.prepare(Task(torch.arange(2), images(2, (1, 8, 8), torch.float64)))
    p = normal(task.key, (5,), torch.float64)
    domain = Domain(space, LatentNorm(), task, 1)
    for i, metric in enumerate(domain.metric(p, domain.everyone)):
        row = task.rows(torch.tensor([i]))
        jacobian = torch.autograd.functional.jacobian(lambda q, row=row: space.decode(row, q).flatten(), p[i : i + 1])
        jacobian = jacobian[:, 0]
        assert torch.allclose(metric, jacobian.mT @ jacobian, atol=1e-12)


def test_starts_are_side_by_side(codec, images):
    task = Latent(codec).prepare(walls(images))
    assert Latent(codec).start(task, 3).shape == (99, 5)
    start = Pixels().start(task, 3)
    assert torch.equal(start, task.image.repeat_interleave(3, 0))
    assert Pixels().start(task) is task.image
    grey = Pixels(shape=[3, 2, 2], grey=0.25).start(Task(torch.arange(2)), 2)
    assert torch.equal(grey, torch.full((4, 3, 2, 2), 0.25))


def test_preparing_leaves_the_model_alone(codec, images, traces):
    with traces(codec):
        space = Latent(codec)
        task = space.prepare(walls(images))
        p = space.start(task).requires_grad_()
        torch.autograd.grad(space.decode(task, p).sum(), p)
    assert not task.extra["z"].requires_grad and not task.extra["gz"].requires_grad


def test_refusals(codec, refuses):
    with refuses(ContractError, "contract-no-shape"):
        Pixels().start(Task(torch.arange(2)))
    with refuses(ContractError, "contract-no-image"):
        Latent(codec).prepare(Task(torch.arange(2)))


def test_the_contract_itself_is_abstract():
    for call in (lambda s: s.start(None), lambda s: s.decode(None, None), lambda s: s.vary(None, None)):
        with pytest.raises(NotImplementedError):
            call(Space())


def test_a_decoder_in_training_mode_mixes_no_rows_and_stays_as_it_was():
    from torch import nn

    class Codec(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Flatten(), nn.Sequential(nn.BatchNorm1d(4), nn.Unflatten(1, (1, 2, 2)))

    codec = Codec().train()
    before = {name: t.clone() for name, t in codec.state_dict().items()}
    task = Task(torch.arange(3), torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)))
    space = Latent(codec)
    ready = space.prepare(task)
    p = torch.full((3, 4), 0.1)
    alone = torch.cat([space.decode(ready.rows(torch.tensor([i])), p[:1]) for i in range(3)])
    assert torch.allclose(space.decode(ready, p), alone, atol=1e-6)
    assert codec.training and all(q.requires_grad for q in codec.parameters())
    assert all(torch.equal(t, before[name]) for name, t in codec.state_dict().items())


def test_a_decoder_on_another_device_is_refused(refuses):
    from torch import nn

    codec = nn.Linear(4, 4, device="meta")
    with refuses(ContractError, "contract-device"):
        Latent(codec).prepare(Task(torch.arange(1), torch.zeros(1, 1, 2, 2)))
