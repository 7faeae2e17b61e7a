"""Real images for tests, found by the environment variable AMISS_DATA; without them a test is skipped."""

import os
from pathlib import Path

import pytest
import torch

from amiss.data import Images, read_image

__all__ = ["CIFAR10", "amiss_data", "cifar10"]

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def amiss_data(*parts: str) -> Path:
    """A place in the folder of real data; skips the test where it is absent."""
    root = os.environ.get("AMISS_DATA") or Path(__file__).parents[2] / "shared" / "data"
    path = Path(root, *parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join(parts) or 'real data'}: set AMISS_DATA to the folder that has it")
    return path


def cifar10(split: str = "test") -> Images:
    """CIFAR-10: the first 10,000 training or the first 1,000 test images.

    A sprite holds 1,000 images, one a row, as 1,024 pixels row by row.
    """
    folder = amiss_data("cifar10-sprites")
    batches = range(10) if split == "train" else [50]
    sprites = [read_image(folder / f"cifar10_batch_{i:02d}.png") for i in batches]
    pixels = torch.cat([sprite.permute(1, 0, 2).reshape(-1, 3, 32, 32) for sprite in sprites])
    labels = torch.frombuffer(bytearray((folder / "labels.u8").read_bytes()), dtype=torch.uint8)
    labels = labels[:10_000] if split == "train" else labels[10_000:]
    names = [f"{split}/{i:05d}" for i in range(len(pixels))]
    return Images.of(pixels, labels, CIFAR10, names=names)
