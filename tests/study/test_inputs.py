"""Samples are known by what they are, wherever they lie, and are read when they are needed."""

from dataclasses import replace

import pytest
import torch

from amiss.data import Images
from amiss.study import Inputs
from amiss.task import Task

PIXELS = torch.arange(5 * 4, dtype=torch.uint8).reshape(5, 1, 2, 2)
IMAGES = Images.of(PIXELS, [0, 1, 0, 1, 1], ("a", "b"), unreadable=[("x.png", "cut short")])


def test_images_are_read_by_position():
    inputs = Inputs.of_images(IMAGES, torch.tensor([3, 1]))
    assert len(inputs) == 2
    assert inputs.names == ("00003", "00001")
    assert inputs.ids == (IMAGES.ids[3], IMAGES.ids[1])
    task = inputs.rows([1])
    assert torch.equal(task.image, IMAGES.images([1]))
    assert task.label.tolist() == [1]
    assert task.target is None
    assert inputs.columns == {"label": [1, 1]}
    assert inputs.unreadable == (("x.png", "cut short"),)


def test_targets_go_with_their_rows():
    inputs = Inputs.of_images(IMAGES, target=torch.tensor([4, 3, 2, 1, 0]))
    assert inputs.rows([0, 4]).target.tolist() == [4, 0]
    truth = Inputs.of_images(IMAGES, torch.tensor([1, 2]), to_truth=True)
    assert truth.rows([0, 1]).target.tolist() == [1, 0]
    assert truth.columns == {"label": [1, 0], "target": [1, 0]}


def test_a_task_in_memory_is_read_as_it_is():
    task = Task(torch.tensor([7, 9]), torch.rand(2, 1, 2, 2), target=torch.tensor([1, 0]), extra={"z": torch.rand(2)})
    inputs = Inputs.of_task(task)
    assert inputs.names == ("00000", "00001")
    back = inputs.rows([1, 0])
    assert torch.equal(back.image, task.image.flip(0))
    assert torch.equal(back.extra["z"], task.extra["z"].flip(0))
    assert Inputs.of_task(task, ["p", "q"]).names == ("p", "q")


def test_equal_images_have_equal_ids_and_stay_two():
    inputs = Inputs.of_images(Images.of(PIXELS[[0, 0]]))
    assert inputs.ids[0] == inputs.ids[1]
    assert len(inputs) == 2


BASE = Task(
    torch.tensor([1, 2]),
    torch.rand(2, 1, 2, 2),
    torch.tensor([0, 1]),
    torch.tensor([1, 0]),
    torch.rand(2, 1, 2, 2),
    {"z": torch.rand(2, 3)},
)
CHANGES = [
    {"key": torch.tensor([1, 3])},
    {"image": BASE.image + 1e-7},
    {"image": BASE.image.double()},
    {"image": None},
    {"guide": BASE.guide.flip(0)},
    {"label": torch.tensor([1, 1])},
    {"label": None},
    {"target": torch.tensor([1, 1])},
    {"target": None},
    {"extra": {"z": torch.rand(2, 3)}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_data_that_changed_have_another_fingerprint(change):
    assert Inputs.of_task(BASE).fingerprint == Inputs.of_task(replace(BASE)).fingerprint
    assert Inputs.of_task(replace(BASE, **change)).fingerprint != Inputs.of_task(BASE).fingerprint


def test_order_and_number_are_part_of_the_data():
    prints = {Inputs.of_task(BASE.rows(torch.tensor(rows))).fingerprint for rows in ([0, 1], [1, 0], [0], [0, 0])}
    assert len(prints) == 4


def test_names_of_files_are_not():
    named = Images.of(PIXELS, IMAGES.labels, names=list("abcde"))
    assert Inputs.of_images(named).fingerprint == Inputs.of_images(IMAGES).fingerprint
