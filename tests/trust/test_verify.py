"""Successes as their files hold them: in a batch, alone, inside the constraint, and by vote."""

import numpy as np
import torch
from PIL import Image

from amiss.constraints import Unconstrained
from amiss.objectives import Become
from amiss.optimizers import Sign
from amiss.probe import Probe
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.trust import verify
from tests.trust.nets import sum_model


def test_a_file_is_judged_by_its_bytes_and_not_by_the_tensor(tmp_path):
    # 100.4/255 a pixel is past the bias in the tensor; its file holds 100/255, which is not.
    images = torch.stack([torch.full((1, 2, 2), v / 255) for v in (100.4, 100.6, 101.0)])
    task = Task(torch.arange(3), torch.zeros_like(images), target=torch.ones(3, dtype=torch.int64))
    probe = Probe(Pixels(), Become(margin=0.0), Unconstrained(), Sign(0.1))
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    held = verify(probe, sum_model(4 * 100.2 / 255), task, images, paths)
    assert held.held.tolist() == [False, True, True]
    assert [np.unique(Image.open(path)).tolist() for path in paths] == [[100], [101], [101]]


def test_the_margin_is_part_of_the_judgement(tmp_path):
    images = torch.full((1, 1, 2, 2), 0.4)
    task = Task(torch.arange(1), torch.zeros_like(images), target=torch.ones(1, dtype=torch.int64))
    for margin, held in ((0.0, True), (0.55, True), (0.65, False)):
        probe = Probe(Pixels(), Become(margin=margin), Unconstrained(), Sign(0.1))
        assert verify(probe, sum_model(1.0), task, images, [tmp_path / "x.png"]).held.tolist() == [held]


def test_nothing_to_verify_is_no_error():
    probe = Probe(Pixels(), Become(), Unconstrained(), Sign(0.1))
    assert verify(probe, sum_model(1.0), Task(torch.arange(0)), torch.zeros(0, 1, 2, 2), []).held.tolist() == []
