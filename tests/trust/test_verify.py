"""Successes as their files hold them: in a batch, alone, inside the constraint, and by vote."""

from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.classifier import Classifier
from amiss.constraints import L2, LatentNorm, Linf, Mask, Quantized, Unconstrained
from amiss.data import to_bytes, write_png
from amiss.errors import UsageError
from amiss.objectives import Become
from amiss.optimizers import Sign
from amiss.probe import Probe
from amiss.recipes import lse
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.trust import verify, wilson
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


def probe(constraint=None, margin=0.0):
    return Probe(Pixels(), Become(margin=margin), constraint or Unconstrained(), Sign(0.1))


def gray(*levels):
    """Images of one level each, 2 x 2."""
    return torch.stack([torch.full((1, 2, 2), level / 255) for level in levels])


def becoming(images, start=0.0):
    """The task of becoming class 1 from one gray."""
    return Task(torch.arange(len(images)), torch.full_like(images, start), target=torch.ones(len(images)).long())


def test_a_success_in_a_batch_that_does_not_hold_alone_is_none(tmp_path):
    # Each row is lifted by the mean of its batch: the dark image is class 1 in bright company only.
    images = gray(50, 200)
    leaning = Classifier(lambda x: torch.stack([torch.full((len(x),), 0.4), (x.mean((1, 2, 3)) + x.mean()) / 2], 1))
    seen = verify(probe(), leaning, becoming(images), images, [tmp_path / "a.png", tmp_path / "b.png"])
    low, high, mean = 50 / 255, 200 / 255, 125 / 255
    assert (low + mean) / 2 < 0.4 < (high + mean) / 2
    assert (seen.batch.tolist(), seen.alone.tolist()) == ([False, True], [False, True])
    lifted = Classifier(lambda x: torch.stack([torch.full((len(x),), 0.33), (x.mean((1, 2, 3)) + x.mean()) / 2], 1))
    seen = verify(probe(), lifted, becoming(images), images, [tmp_path / "a.png", tmp_path / "b.png"])
    assert low < 0.33 < (low + mean) / 2
    assert (seen.batch.tolist(), seen.alone.tolist()) == ([True, True], [False, True])
    assert (seen.held.tolist(), seen.votes.tolist(), seen.n_votes) == ([False, True], [0, 1], 1)


@pytest.mark.parametrize(
    ("constraint", "inside"),
    [
        (Linf(2 / 255), [True, True, False, False]),
        (Linf(3 / 255) & Quantized(256), [True, True, True, False]),
        (L2(2 * 2.5 / 255), [True, True, False, False]),  # four pixels: a level each is a length of two
        (Linf(None), [True] * 4),
        (Mask(torch.tensor([[True, True], [True, False]])), [True, False, False, False]),
        (LatentNorm(radius=0.0), [True] * 4),  # binds parameters, and none are given
    ],
)
def test_a_file_outside_the_constraint_is_no_success(constraint, inside, tmp_path):
    images = gray(100, 102, 102.6, 120)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    seen = verify(probe(constraint), sum_model(0.1), becoming(images, 100 / 255), images, paths)
    assert seen.batch.all() and seen.alone.all()
    assert seen.inside.tolist() == seen.held.tolist() == inside


def test_parameters_are_held_to_the_constraint_that_binds_them(tmp_path):
    images = gray(100, 100, 100)
    p = torch.tensor([[0.6, 0.8], [0.6, 0.8 + 5e-7], [0.6, 0.81]])
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    seen = verify(probe(LatentNorm(radius=1.0)), sum_model(0.1), becoming(images), images, paths, p)
    assert seen.inside.tolist() == seen.held.tolist() == [True, True, False]
    genomes = verify(probe(LatentNorm(radius=1.0)), sum_model(0.1), becoming(images), images, paths, [{}, {}, {}])
    assert genomes.held.all()


@pytest.mark.parametrize("k", [0, 10, 14, 15, 20])
def test_a_success_by_vote_has_an_interval_above_one_half(k, tmp_path):
    turns = count()
    moody = Classifier(lambda x: torch.stack([torch.zeros(len(x)), torch.full((len(x),), k - next(turns) - 0.5)], 1))
    seen = verify(probe(), moody, becoming(gray(9)), gray(9), [tmp_path / "x.png"], votes=20)
    assert (seen.votes.tolist(), seen.n_votes) == ([k], 20)
    assert seen.held.tolist() == [wilson(k, 20)[0] > 0.5] == [k >= 15]
    assert seen.batch.tolist() == [min(k, 10) > 5]
    assert seen.alone.tolist() == [k - min(k, 10) > 5]


def test_votes_do_not_make_a_file_inside(tmp_path):
    seen = verify(probe(Linf(0.1)), sum_model(0.1), becoming(gray(90)), gray(90), [tmp_path / "x.png"], votes=4)
    assert (seen.votes.tolist(), seen.inside.tolist(), seen.held.tolist()) == ([4], [False], [False])


@pytest.mark.parametrize("votes", [0, -1, 2, 3])
def test_votes_that_cannot_decide_are_refused(votes, tmp_path, refuses):
    with refuses(UsageError, "verify-votes"):
        verify(probe(), sum_model(0.1), becoming(gray(9)), gray(9), [tmp_path / "x.png"], votes=votes)
    assert wilson(3, 3)[0] <= 0.5 < wilson(4, 4)[0]
    assert not list(tmp_path.iterdir())


def test_another_writer_writes(tmp_path):
    written = []

    def keep(path, image):
        written.append((path.name, image.clone()))
        write_png(path, 255 - image)

    images = gray(10, 250)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    seen = verify(probe(), sum_model(2.0), becoming(images), images, paths, write=keep)
    assert [name for name, _ in written] == ["a.png", "b.png"]
    assert torch.equal(torch.stack([image for _, image in written]), to_bytes(images))
    assert seen.held.tolist() == [True, False]  # what is read back is judged, not what was handed over
    assert len(seen) == 2


def test_what_a_recipe_finds_in_a_decoders_codes_is_verified_whole(tmp_path):
    world = LinearWorld(n=12, seed=3)
    found = lse(world.codec).run(world.classifier(), world.task)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    seen = verify(lse(world.codec), world.classifier(), world.task, found.images, paths, found.p)
    assert torch.equal(seen.held, found.met) and bool(found.met.any())


def test_what_cannot_be_judged_for_lack_of_memory_is_no_success(tmp_path):
    world = LinearWorld(n=3)

    def starving(x):
        raise torch.OutOfMemoryError("not even one")

    probe = Probe(Pixels(), Become(), Linf(0.5), Sign(0.1))
    asked = Classifier(starving, labels=("a", "b"))
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    assert not verify(probe, asked, world.task, world.task.image, paths).held.any()
