"""What travels between the nouns: indexing by row, views that copy nothing, the ladder."""

from itertools import product

import pytest
import torch

from amiss.task import LEVELS, Query, Task, reaches

FULL = Task(
    torch.arange(3),
    image=torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)),
    label=torch.tensor([0, 1, 2]),
    guide=torch.zeros(3, 1, 2, 2),
    extra={"z": torch.arange(12.0).view(3, 4)},
)


def tensors(task):
    return {k: v for k, v in {**vars(task), **task.extra}.items() if isinstance(v, torch.Tensor)}


def test_rows_repeat_and_reorder_every_field():
    index = torch.tensor([2, 0, 2])
    rows = FULL.rows(index)
    assert len(rows) == 3
    assert rows.target is None
    assert tensors(rows).keys() == tensors(FULL).keys()
    assert all(torch.equal(v, tensors(FULL)[k][index]) for k, v in tensors(rows).items())
    assert len(FULL.rows(index[:0])) == 0


@pytest.mark.parametrize(("view", "lead"), [("grid", (5, 3)), ("spread", (3, 5))])
def test_grid_and_spread_are_views(view, lead):
    seen = getattr(FULL, view)(5)
    for name, value in tensors(seen).items():
        source = tensors(FULL)[name]
        assert value.shape == (*lead, *source.shape[1:])
        assert value.data_ptr() == source.data_ptr()
        row = value[3] if view == "grid" else value[:, 3]
        assert torch.equal(row, source)


def test_a_spread_of_a_grid_keeps_both_leading_dimensions():
    both = FULL.grid(4).spread(5)
    assert both.key.shape == (4, 3, 5)
    assert both.extra["z"].shape == (4, 3, 5, 4)
    assert torch.equal(both.extra["z"][2, :, 1], FULL.extra["z"])


def test_adding_leaves_the_original_alone():
    more = FULL.adding(w=torch.ones(3))
    assert set(more.extra) == {"z", "w"}
    assert set(FULL.extra) == {"z"}
    assert more.image is FULL.image


def test_the_ladder_is_a_total_order():
    for gives, wants in product(LEVELS, LEVELS):
        assert reaches(gives, wants) == (LEVELS.index(gives) >= LEVELS.index(wants))
        assert reaches(gives, wants) or reaches(wants, gives)


def test_a_query_counts_its_rows_tensor_or_genomes():
    assert len(Query(torch.zeros(4, 2), torch.zeros(4))) == 4
    assert len(Query([[1], [2, 3]], None)) == 2
