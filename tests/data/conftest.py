"""What the tests of the data room share."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # for realdata


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def photo():
    """Write a colorful image file and give its pixels: photo(path, seed=0, size=(8, 10), channels=3)."""
    from amiss.data import write_png

    def write(path, seed=0, size=(8, 10), channels=3):
        pixels = torch.randint(0, 256, (channels, *size), generator=torch.Generator().manual_seed(seed))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, pixels.to(torch.uint8))
        return pixels.to(torch.uint8)

    return write
