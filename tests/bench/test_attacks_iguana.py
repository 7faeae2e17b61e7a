"""The bench about iguanas in its quick form: figures are those of the raw counts, and the page is left."""

import pytest
import torch

from amiss.bench import attacks_iguana
from amiss.bench.attacks import BENCH
from amiss.bench.bench import Run
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.testing import LinearWorld

torch.set_num_threads(1)


def test_figures_are_those_of_the_counts(tmp_path):
    figures, told = attacks_iguana.iguana(Run(10, True, tmp_path))
    digit = told["digit"]
    assert figures["digit_confidence"] == min(digit["noise"]["confidence"][0]) > 0.99
    asked = digit["least"]["settings"][-1]
    sure = [c >= asked - 1e-5 for c in digit["least"]["confidence"][-1]]
    assert figures["digit_photographs"] == sum(sure) / len(sure) and len(sure) == 10
    levels = torch.tensor(digit["within"]["gray_levels"])
    assert (levels <= torch.tensor(digit["within"]["settings"])[:, None]).all()
    assert max(digit["nearest"]["digits"]) < min(digit["nearest"]["noise"])  # what was noise is like no digit
    assert "<svg" in (tmp_path / "iguana.html").read_text(encoding="utf-8")
    assert set(figures) < set(BENCH.bars)


def test_photographs_are_a_cat_and_others_that_are_no_iguana(monkeypatch, tmp_path):
    world = LinearWorld(n=60, classes=5, side=8, dtype=torch.float32)
    names = ["fish", "common_iguana", "Egyptian_cat", "dog", "shoe"]
    right = world.logits(world.task.image).argmax(1)
    images = Images.of((world.task.image * 255).round().to(torch.uint8), right, names)
    network = world.classifier().network
    monkeypatch.setattr(attacks_iguana, "mobilenet", lambda run, name: Classifier(network, labels=names))
    monkeypatch.setattr(attacks_iguana, "photographs", lambda run, size: images)
    monkeypatch.setattr(attacks_iguana, "_noise", lambda seed, target, shape: (target, shape))
    scene = attacks_iguana._photographed(Run(10, False, tmp_path))
    labels = scene.task.label.tolist()
    assert labels[0] == 2 and len(labels) == 20 and 1 not in labels and labels.count(2) == 1
    assert (scene.task.target == 1).all()
    assert scene.noise[0].tolist() == [1] * 5
    again = attacks_iguana._photographed(Run(11, False, tmp_path))
    assert again.task.key.tolist() != scene.task.key.tolist()


@pytest.mark.parametrize("seed", [10, 11])
def test_noise_is_on_gray_levels_and_of_its_seed(seed):
    noise = attacks_iguana._noise(seed, torch.arange(3), (1, 8, 8))
    assert torch.equal((noise.image * 255).round() / 255, noise.image)
    other = attacks_iguana._noise(seed + 1, torch.arange(3), (1, 8, 8))
    assert not torch.equal(noise.image, other.image)
