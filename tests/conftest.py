"""What all tests share: one thread, a small network with everything that could leave a trace, and refusals."""

import os
from contextlib import contextmanager

import pytest
import torch
from hypothesis import settings
from torch import nn

os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
torch.set_num_threads(1)
settings.register_profile("amiss", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("amiss")


class Busy(nn.Module):
    """Convolution, batch norm, one activation module used twice in place, dropout; counts how often each part ran."""

    def __init__(self, classes=3):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, classes)
        self.unused = nn.Linear(4, classes)

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        x = self.act(self.mix(x))
        return self.head(self.drop(x.mean((2, 3))))


@pytest.fixture
def busy():
    """A `Busy` network in training mode, its weights from a seed, one parameter frozen by its owner."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Busy()
        net.norm.running_mean.normal_()
    net.conv.bias.requires_grad_(False)
    net.norm.eval()
    return net


@pytest.fixture
def images():
    """Images of a shape from a seed, inside (0, 1): images(4), images(2, (3, 6, 6), torch.float64)."""

    def make(n=5, shape=(1, 6, 6), dtype=torch.float32, seed=0):
        return 0.1 + 0.8 * torch.rand(n, *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def refuses():
    """`with refuses(DataError, "data-range"):` an error of this type and slug that says what to do."""

    @contextmanager
    def check(kind, slug, seen=True):
        with pytest.raises(kind) as caught:
            yield caught
        error = caught.value
        assert error.slug == slug
        assert error.hint
        assert error.seen or not seen
        assert str(error).startswith(f"[{slug}] ")

    return check


@pytest.fixture
def traces():
    """Everything of a module that a pass could change: traces(net) before and after must be equal."""

    def take(net):
        return {
            "state": {name: value.clone() for name, value in net.state_dict().items()},
            "training": [module.training for module in net.modules()],
            "learning": [p.requires_grad for p in net.parameters()],
            "grads": [p.grad is None for p in net.parameters()],
            "hooks": [
                len(h)
                for m in net.modules()
                for h in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
            ],
            "random": torch.get_rng_state(),
        }

    def same(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    @contextmanager
    def unchanged(net):
        before = take(net)
        yield
        assert same(before, take(net))

    return unchanged
