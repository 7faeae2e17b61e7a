"""The prior in whole numbers is the model's prior, and the tables are distributions that a file can hold."""

import zlib

import numpy as np
import pytest
import torch

from amiss.codec.prior import EDGES, MEAN_UNIT, SCALE_UNIT, WEIGHTS, prior_of, scale_of, walk
from amiss.codec.rans import BITS
from amiss.codec.tables import pack, symbols_of, table_of, unpack, values_of
from amiss.errors import DataError
from amiss.models.compression import LEAST, ImageCodec, _around, _features

torch.set_num_threads(1)


def coder(grid=(6, 3, 4), seed=0, **arguments):
    """A small codec whose prior looks everywhere; its code has another shape than that of its images."""
    torch.manual_seed(seed)
    model = ImageCodec(channels=1, size=24, stride=8, code=grid[0], width=8, depth=1, rates=2, **arguments)
    with torch.no_grad():
        model.scale.normal_(-0.1, 0.1)
        model.mean.normal_(0, 0.1)
    return model.eval()


@pytest.mark.parametrize("grid", [(6, 3, 4), (40, 1, 1), (3, 1, 5), (3, 4, 1)])
def test_the_walk_sees_what_the_model_sees(grid):
    model = coder(grid)
    prior = prior_of(model, 1)
    code = torch.randint(-9, 10, (5, *grid), generator=torch.Generator().manual_seed(1))
    means, levels = np.zeros((*grid, 5)), np.zeros((*grid, 5))

    def look(c, i, j, mean, level):
        means[c, i, j], levels[c, i, j] = mean, level
        return code[:, c, i, j].numpy()

    assert np.array_equal(walk(prior, grid, 5, look), code.permute(1, 2, 3, 0).numpy())
    # The same in floating point, where these sums are exact.
    features = _features(code.double()).round()
    scale = torch.einsum("ncfhw,cf->chwn", features, torch.from_numpy(WEIGHTS[prior.scales]).double())
    at = np.searchsorted(EDGES, scale.numpy(), "right") - 1
    assert np.array_equal(at.clip(0), levels)
    weights = torch.from_numpy(prior.means).double() / MEAN_UNIT
    mean = sum(p * w[:, None, None] for p, w in zip(_around(code.double()), weights.T, strict=True))
    assert np.array_equal((mean + 0.5).floor().permute(1, 2, 3, 0).numpy(), means)


def test_weights_are_rounded_by_little():
    model = coder()
    wanted = model.scale_weights[0].detach().double().numpy()
    got = WEIGHTS[prior_of(model, 0).scales] / SCALE_UNIT
    assert np.abs(got - wanted).max() <= max(wanted.max() / 16, 8 / SCALE_UNIT)


def test_each_level_holds_its_scale():
    assert EDGES[0] == LEAST * SCALE_UNIT
    assert (np.diff(EDGES) > 0).all()
    for level in range(len(EDGES) - 1):
        assert EDGES[level] < scale_of(level) * SCALE_UNIT < EDGES[level + 1]


@pytest.mark.parametrize("level", range(0, len(EDGES), 3))
def test_a_table_is_the_logistic_distribution(level):
    scale = scale_of(level)
    table = table_of(scale)
    assert table.min() >= 1
    assert table[0] + 2 * table[1:-1].sum() + table[-1] == 1 << BITS
    assert (np.diff(table[:-1]) <= 1).all()  # it falls from the middle, but for rounding
    edge = np.arange(len(table) - 1) + 0.5
    below = 1 / (1 + np.exp(-edge / scale))
    mass = np.array([2 * below[0] - 1, *np.diff(below)])
    got = table[:-1] / (1 << BITS)
    lost = mass * np.log2(np.maximum(mass, 1e-300) / got)
    assert 2 * lost[1:].sum() + lost[0] < 0.03  # bits a symbol


def test_symbols_stand_for_values():
    tables = {3: table_of(0.05), 20: table_of(2.0)}
    rows, freqs = symbols_of(tables)
    assert (freqs.sum(1) == 1 << BITS).all()
    assert rows[3] == 0
    assert rows[20] == 1
    assert (rows == -1).sum() == len(EDGES) - 2
    assert values_of(np.arange(5)).tolist() == [0, 1, -1, 2, -2]


def test_prior_and_tables_come_back_from_their_bytes():
    prior = prior_of(coder((11, 3, 3)), 1)
    prior.active[[2, 10]] = False
    tables = {level: table_of(scale_of(level)) for level in (0, 5, 43)}
    back, read = unpack(pack(prior, tables), 11)
    assert np.array_equal(back.active, prior.active)
    assert np.array_equal(back.scales[prior.active], prior.scales[prior.active])
    assert np.array_equal(back.means[prior.active], prior.means[prior.active])
    assert read.keys() == tables.keys()
    assert all(np.array_equal(read[level], tables[level]) for level in tables)


def test_bytes_that_are_no_tables_are_refused():
    prior = prior_of(coder((11, 3, 3)), 1)
    raw = zlib.decompress(pack(prior, {5: table_of(scale_of(5))}))
    bad = {
        "not packed": raw,
        "a bomb": zlib.compress(b"\0" * 10**8),
        "cut": zlib.compress(raw[:-1]),
        "longer": zlib.compress(raw + b"\0"),
        "cut while packed": zlib.compress(raw)[:-3],
        "a frequency of 0": zlib.compress(raw[:-4] + b"\0" + raw[-3:]),
        "frequencies beyond all": zlib.compress(raw[:-3] + b"\xff\xff\xff"),
        "a level that there is not": zlib.compress(raw.replace(bytes([1, 5]), bytes([1, 200]))),
        "a weight that there is not": zlib.compress(raw[:2] + b"\xff" + raw[3:]),
    }
    for name, data in bad.items():
        with pytest.raises(DataError, match="codec-corrupt"):
            print(name, unpack(data, 11))
