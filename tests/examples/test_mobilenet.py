"""MobileNets as a user would bring it: padding against a formula, names and answers against photographs."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from amiss.data import open_data
from amiss.errors import DataError
from amiss.loading import open_classifier
from tests.realdata import amiss_data

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("mobilenet_v1", ROOT / "examples" / "mobilenet_v1.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def data(monkeypatch):
    amiss_data("weights")
    folder = amiss_data("imagenet-200")
    monkeypatch.setenv("AMISS_DATA", str(folder.parent))
    return folder


@pytest.mark.parametrize(
    ("side", "stride", "expected"), [(6, 2, (0, 1)), (7, 2, (1, 1)), (6, 1, (1, 1)), (5, 1, (1, 1))]
)
def test_same_padding_puts_the_odd_pixel_last_and_keeps_ceil_of_side_over_stride(example, side, stride, expected):
    ramp = torch.arange(1.0, side + 1).expand(1, 1, side, side)
    padded = example.same(ramp, stride)
    assert torch.equal(padded, F.pad(ramp, expected * 2))
    kernel = torch.ones(1, 1, 3, 3)
    assert F.conv2d(padded, kernel, stride=stride).shape[-1] == -(-side // stride)


def test_a_missing_folder_is_named_with_what_to_do(example, monkeypatch, tmp_path):
    monkeypatch.setenv("AMISS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="AMISS_DATA"):
        example.mobilenetv1_025()


@pytest.mark.parametrize(("name", "size", "least"), [("mobilenetv1_025", 128, 0.3), ("mobilenetv1_050", 160, 0.5)])
def test_it_names_photographs(example, monkeypatch, name, size, least):
    photos = open_data(data(monkeypatch), size=size, channels=3)
    classifier = getattr(example, name)()
    assert len(photos) == 200
    assert classifier.labels == photos.classes
    assert not classifier.network.training
    assert {p.dtype for p in classifier.network.parameters()} == {torch.float32}
    check = classifier.check(photos.pixels, photos.labels, batch=50)
    print(f"{name}: top-1 {check.accuracy:.3f} on 200 photographs of {size} pixels")
    assert check.accuracy >= least


def test_the_larger_one_too(monkeypatch):
    data(monkeypatch)
    monkeypatch.chdir(ROOT)
    classifier = open_classifier("examples/mobilenet_v2.py:mobilenet_v2")
    photos = open_data(amiss_data("imagenet-200"), size=224, channels=3).pick(slice(0, 200, 8))
    assert classifier.check(photos.pixels, photos.labels, batch=25).accuracy >= 0.7
