"""A study of thousands of images in a process of its own, whose memory and time are watched from shard to shard."""

import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from amiss.bench.bench import Run, Skip
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.models import LeNet
from amiss.recipes import pgd
from amiss.repro import generator
from amiss.study import Inputs, Study

__all__ = ["linearity", "slope", "soak"]

_WARM = 500  # images, before which nothing is judged


def soak(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Memory and time of a study of 5,000 images of 28 x 28 by a LeNet: three steps of PGD, batches of 64.

    Memory is what is resident once the C library has given back what it holds for later: it keeps a freed buffer of
    one layer (3 MB here) at some batch or other, which is a step and no growth. What was resident before that
    stands in the raw values as "untrimmed".
    """
    n = 800 if run.quick else 5000
    try:
        data = str(run.data("MNIST"))
    except Skip:
        data = ""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "amiss.bench.trust_soak", str(run.seed), str(n), folder, data]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    told = json.loads(done.stdout)
    figures = {
        "memory_slope_mb_per_1000": slope(told["images"], told["bytes"]) * 1000 / 2**20,
        "linearity": linearity(told["images"], told["cpu"]),
    }
    return figures, {"n": n, "data": "MNIST" if data else "drawn", **told}


def slope(images: list[int], values: list[float]) -> float:
    """Least-squares slope of values over images, after the first 500."""
    x, y = _warm(images, values)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


def linearity(images: list[int], seconds: list[float]) -> float:
    """How far cumulative time strays from a straight line, as a share of the whole.

    The line goes from the first reading after 500 images to the last reading of all; the largest distance of a
    reading from it is divided by the time between the two. A cost an image that doubles on the way gives 0.083.
    """
    x, y = _warm(images, seconds)
    x, y = x - x[0], y - y[0]
    return float((y - x / x[-1] * y[-1]).abs().max() / y[-1])


def _warm(images: list[int], values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    kept = [(i, v) for i, v in zip(images, values, strict=True) if i >= _WARM]
    x, y = torch.tensor(kept, dtype=torch.float64).unbind(1)
    return x, y


def _watched(seed: int, n: int, folder: Path, data: str) -> dict[str, list[float]]:
    """Run the study; (images, bytes of memory, CPU seconds) after each shard."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LeNet().eval()
    if data:
        pixels = open_data(data).pixels[:n]
    else:
        pixels = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=generator(seed))
    classifier = Classifier(network, mean=(0.1307,), std=(0.3081,), labels=list("0123456789"))
    answers = torch.cat([classifier.predict(x.float() / 255) for x in pixels.split(256)])
    study = Study(
        folder / "run", pgd(2 / 255, 3, seed=seed), classifier, Inputs.of_images(Images.of(pixels, answers))
    )
    told: dict[str, list[float]] = {"images": [], "bytes": [], "untrimmed": [], "cpu": []}

    def note(done: float, n: int, _: int) -> None:
        if not done or (done % study.probe.batch and done != n):
            return
        if told["images"] and told["images"][-1] == done:  # read while the shard was not sealed yet
            for values in told.values():
                values.pop()
        cpu = time.process_time()
        gc.collect()
        untrimmed = _resident()
        ctypes.CDLL(None).malloc_trim(0)
        for name, value in (("images", int(done)), ("bytes", _resident()), ("untrimmed", untrimmed), ("cpu", cpu)):
            told[name].append(value)

    study.run(progress=note)
    return told


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(_watched(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])))
