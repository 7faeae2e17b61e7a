"""Audits whose answers are known: of linear classifiers, judged by hand from the files."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.audit import Audit, Plan, record, run_audit
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.report import build
from amiss.testing import LinearWorld

QUICK = Plan(steps=20, attacked=60)


def linear_images(world, wrong=1.0, classes=()):
    """The world's images in 8 bits; the first share of them labeled by the runner-up, the rest by the answer."""
    pixels = to_bytes(world.task.image)
    order = world.logits(pixels.to(world.dtype) / 255).argsort(1, descending=True)
    labels = torch.where(torch.arange(world.n) < wrong * world.n, order[:, 1], order[:, 0])
    return Images.of(pixels, labels, classes or tuple(map(str, range(world.classes))))


def from_disk(path):
    """An image file in [0, 1], by Pillow and nothing of ours: float64 [C, H, W]."""
    with Image.open(path) as image:
        values = np.asarray(image, np.float64) / 255
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def strict(text):
    """JSON in which NaN and Infinity are errors."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@dataclass(frozen=True)
class Done:
    """An audit, its record as read back from JSON, and where it lies."""

    found: Audit
    account: dict
    out: Path
    images: Images

    def sizes(self, name):
        """L2 of each verified repair by a method: position of the image -> size, from the files."""
        part = self.found.repairs[name]
        return {
            i: float(np.linalg.norm(from_disk(self.out / path) - self.images.images([i])[0].double().numpy()))
            for i, path, ok in zip(self.found.mistakes.tolist(), part.paths, part.verified.tolist(), strict=True)
            if ok
        }


def audited(classifier, images, out, *, report=True, command="amiss audit", **options):
    """Audit, record, and build the report; the record travels through strict JSON."""
    found = run_audit(classifier, images, out, **{"plan": QUICK, **options})
    account = record(found, classifier, out, model="m", data="d", command=command)
    account = strict(json.dumps(account))
    if report:
        assert build(account, out).is_file()
    return Done(found, account, out, images)


@pytest.fixture(scope="session")
def world():
    """Two classes, and a decoder that loses nothing: as many codes as pixels."""
    return LinearWorld(n=60, latent=64, dtype=torch.float32)


@pytest.fixture(scope="session")
def linear(world, tmp_path_factory):
    """An audit of the linear world with its exact decoder and itself as judge; 20 of 60 images are wrong."""
    out = tmp_path_factory.mktemp("linear") / "run"
    images = linear_images(world, wrong=1 / 3)
    return audited(world.classifier(), images, out, decoder=world.codec, judge=world.classifier())


class Fixed(torch.nn.Module):
    """Answers every image with the same logits; its only weight decides nothing."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1) + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.fixture
def fixed():
    """fixed(1.0, 0.0): a classifier that always says 0."""
    return lambda *logits, **options: Classifier(Fixed(*logits), **options)


@pytest.fixture
def small():
    """small(n, shape, labels): noise in 8 bits with labels."""

    def make(n=12, shape=(1, 8, 8), labels=None, classes=("a", "b"), seed=0, **options):
        noise = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        labels = torch.arange(n) % len(classes) if labels is None else torch.as_tensor(labels)
        return Images.of(noise, labels, classes, **options)

    return make
