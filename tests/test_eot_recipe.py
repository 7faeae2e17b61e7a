"""The recipe of views: a bound that holds, a success that is judged by views it never saw, and refusals."""

import pytest
import torch

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.recipes import eot
from amiss.task import Task
from amiss.transforms import View


def quarters(x):
    """Which half of the picture's middle is brighter, the left or the right: turned by 180 degrees, the other."""
    middle = x[:, 0, 4:12, 4:12]
    return 40 * torch.stack([middle[:, :, :4].mean((1, 2)), middle[:, :, 4:].mean((1, 2))], 1)


@pytest.fixture(scope="module")
def task():
    image = torch.full((3, 1, 16, 16), 0.5)
    image[..., :8] += 0.05
    return Task(torch.arange(3), image, torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("printed", [True, False])
def test_it_finds_a_change_that_holds_from_other_places_too(task, printed):
    classifier = Classifier(quarters, labels=("left", "right"))
    result = eot(0.2, 20, views=4, share=1.0, printed=printed).run(classifier, task)
    assert result.met.all()
    assert (result.images - task.image).abs().max() <= 0.2 + 1e-6
    keys = torch.arange(300, 340)
    view = View((0.67, 1.5), (-20, 20), (-30, 30), over=2)
    seen = view(result.images[:1].expand(40, -1, -1, -1), keys)
    assert (classifier.predict(seen) == 1).float().mean() > 0.9


def test_what_every_view_contradicts_another_about_is_not_met(task):
    """Turned by up to 180 degrees the halves change places as often as not: no picture is read alike from there."""
    classifier = Classifier(quarters, labels=("left", "right"))
    result = eot(0.5, 6, views=16, share=0.9, rotation=180, distance=1.0, tilt=0, printed=False).run(classifier, task)
    assert not result.met.any()


def test_refusals(refuses):
    with refuses(UsageError, "recipe-distance"):
        eot(0.1, distance=0.5)
    with refuses(UsageError, "transform-range"):
        eot(0.1, tilt=90)
    with refuses(UsageError, "eot-share"):
        eot(0.1, views=0)
