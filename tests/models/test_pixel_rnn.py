"""What the recurrent networks on pixels see: a triangle, or everything before."""

import pytest
import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models.diagonal_bilstm import DiagonalBiLSTM
from amiss.models.raster_lstm import RasterLSTM
from amiss.models.recurrence import lstm
from amiss.models.row_lstm import RowLSTM

NETS = [RowLSTM, DiagonalBiLSTM, RasterLSTM]


def tiny(net, size=7, **more):
    """A network whose weights are all far from 0, so that whatever could be seen is seen."""
    torch.manual_seed(0)
    arguments = {"size": size, "width": 8, "state": 5, "first": 3, "hidden": 8} | more
    model = net(**arguments).double().eval()
    for p in model.parameters():
        p.data.uniform_(-1, 1)
    return model


def seen(model) -> Tensor:
    """Whether the logit of dimension t depends on value j: [D, D]."""
    x = torch.rand(4, model.dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slopes = torch.autograd.functional.jacobian(lambda rows: model(model.shaped(rows))[:, 0].sum(0), x)
    return slopes.ne(0).any(1)


@pytest.mark.parametrize("net", [DiagonalBiLSTM, RasterLSTM])
@pytest.mark.parametrize("layers", [1, 2])
def test_everything_before_is_seen_and_nothing_else(net, layers):
    there = seen(tiny(net, layers=layers))
    assert torch.equal(there, torch.ones_like(there).tril(-1))


def test_a_row_lstm_sees_a_triangle():
    """Row by row: the patch of the pixel and of its left neighbor, and what the three states above have seen."""
    size, reach = 9, 1
    there = seen(tiny(RowLSTM, size)).view(size, size, size, size)

    def patch(y, x):
        rows = {(y - up, x + d) for up in range(1, reach + 1) for d in range(-reach, reach + 1)}
        return rows | {(y, x - d) for d in range(1, reach + 1)}

    known = {}
    for y in range(size):
        for x in range(size):
            context = patch(y, x) | (patch(y, x - 1) if x else set())
            for d in (-1, 0, 1):
                context |= known.get((y - 1, x + d), set())
            known[y, x] = {(i, j) for i, j in context if 0 <= i < size and 0 <= j < size}
            assert {tuple(place) for place in there[y, x].nonzero().tolist()} == known[y, x], (y, x)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    "more", [{"layers": 2}, {"channels": 3, "size": 4}, {"levels": 5, "size": 4}, {"classes": 4}]
)
def test_steps_replay_the_pass(net, more):
    model = tiny(net, **more)
    generator = torch.Generator().manual_seed(2)
    c = torch.tensor([0, 3, 1]) if "classes" in more else None
    top = model.likelihood.levels - 1
    rows = torch.randint(0, top + 1, (3, model.dimensions), generator=generator).double() / top
    whole = model(model.shaped(rows), c)
    cache = model.init_cache(3, c)
    with torch.no_grad():
        steps = [model.step(rows[:, t - 1] if t else None, t, cache) for t in range(model.dimensions)]
    assert torch.stack(steps, 2).sub(whole).abs().max() < 1e-12


@pytest.mark.parametrize("net", NETS)
def test_a_cache_begins_anew(net):
    model = tiny(net, 5)
    first, again = (model.sample(4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)


def test_one_update_of_an_lstm_is_that_of_torch():
    generator = torch.Generator().manual_seed(4)
    x, state, cell = (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    ours = torch.nn.LSTMCell(3, 3).double()
    gates = x @ ours.weight_ih.T + state @ ours.weight_hh.T + ours.bias_ih + ours.bias_hh
    enter, forget, candidate, leave = gates.chunk(4, 1)  # the order of torch
    made = lstm(torch.cat([enter, forget, leave, candidate], 1), cell)
    for mine, known in zip(made, ours(x, (state, cell)), strict=True):
        assert torch.allclose(mine, known, atol=1e-12)
    alone = lstm(torch.cat([enter, forget, leave, candidate], 1), None)
    zero = lstm(torch.cat([enter, forget, leave, candidate], 1), torch.zeros_like(cell))
    assert all(torch.equal(a, b) for a, b in zip(alone, zero, strict=True))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    "wrong", [{"state": 0}, {"width": 10**6}, {"layers": 10**6}, {"first": 4}, {"hidden": 10**9}]
)
def test_absurd_sizes_are_refused(net, wrong):
    with pytest.raises(UsageError):
        net(**wrong)
