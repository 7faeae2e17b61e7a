"""The one order of attempts against a slow reference: a sorted list of keys."""

from math import inf, isnan, nan

import torch
from hypothesis import given
from hypothesis import strategies as st

from amiss.order import better, champions, first_rows

SIZES = st.sampled_from([0.0, 0.5, 1.0, 5e-324, inf, nan])
LOSSES = st.sampled_from([0.0, 0.5, 2.0, -1.0, 5e-324, inf, nan])
ATTEMPT = st.tuples(st.booleans(), SIZES, LOSSES)


def rank(attempt):
    """What the order says in one tuple; None for an attempt that cannot stand: its numbers are not numbers."""
    met, size, loss = attempt
    if isnan(loss) or (met and isnan(size)):
        return None
    return (0, size, loss) if met else (1, 0.0, loss)


def columns(attempts):
    met, size, loss = zip(*attempts, strict=True)
    return torch.tensor(met), torch.tensor(size, dtype=torch.float64), torch.tensor(loss, dtype=torch.float64)


@given(st.lists(st.tuples(ATTEMPT, ATTEMPT.filter(lambda a: rank(a) is not None)), min_size=1, max_size=30))
def test_better_is_the_reference_and_ties_keep_the_incumbent(pairs):
    new, old = columns([p[0] for p in pairs]), columns([p[1] for p in pairs])
    expected = [rank(a) is not None and rank(a) < rank(b) for a, b in pairs]
    assert better(*new, than=old).tolist() == expected
    assert not better(*old, than=old).any()


@given(st.integers(1, 4), st.data())
def test_first_rows_is_the_reference(n, data):
    rows = data.draw(st.lists(st.tuples(st.integers(-1, n - 1), ATTEMPT), min_size=1, max_size=20))
    found = first_rows(torch.tensor([r[0] for r in rows]), n, *columns([r[1] for r in rows])).tolist()
    for sample in range(n):
        keys = [(rank(a), i) for i, (owner, a) in enumerate(rows) if owner == sample and rank(a) is not None]
        assert found[sample] == (min(keys)[1] if keys else -1)


@given(st.integers(1, 4), st.integers(1, 8), st.data())
def test_champions_are_found_by_brute_force_too(n, r, data):
    size = data.draw(st.lists(SIZES, min_size=r, max_size=r))
    cell = st.tuples(st.booleans(), LOSSES)
    grid = data.draw(st.lists(st.lists(cell, min_size=n, max_size=n), min_size=r, max_size=r))
    met = torch.tensor([[c[0] for c in row] for row in grid])
    loss = torch.tensor([[c[1] for c in row] for row in grid], dtype=torch.float64)
    found = champions(met, torch.tensor(size, dtype=torch.float64), loss).tolist()
    for sample in range(n):
        keys = [rank((grid[i][sample][0], size[i], grid[i][sample][1])) for i in range(r)]
        fit = [key for key in keys if key is not None]
        # Where no row can stand, whichever is named stays behind any incumbent.
        assert keys[found[sample]] == (min(fit) if fit else None)


@given(st.lists(ATTEMPT, min_size=1, max_size=12))
def test_owned_rows_and_rows_that_compete_agree(attempts):
    met, size, loss = columns(attempts)
    owned = int(first_rows(torch.zeros(len(attempts), dtype=torch.int64), 1, met, size, loss))
    shared = int(champions(met[:, None], size, loss[:, None]))
    assert owned == -1 or rank(attempts[owned]) == rank(attempts[shared])


def test_idle_rows_belong_to_nobody():
    owner = torch.tensor([-1, -1])
    assert first_rows(owner, 2, torch.tensor([True, True]), torch.zeros(2), torch.zeros(2)).tolist() == [-1, -1]


def test_who_met_stands_first_though_its_loss_be_higher():
    met = torch.tensor([[False, True], [True, False]])
    loss = torch.tensor([[0.1, 0.2], [0.5, 0.2]])
    assert champions(met, torch.zeros(2), loss).tolist() == [1, 0]
    broken = torch.tensor([[torch.nan, 0.2], [0.5, 0.2]])
    assert champions(torch.zeros_like(met), torch.zeros(2), broken).tolist() == [1, 0]
