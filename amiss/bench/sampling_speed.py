"""What a cache saves: drawing images one pixel after the other, and by a whole pass for each pixel."""

import time
from statistics import median
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import density

__all__ = ["speed"]


def speed(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU seconds of 64 images of the network that gives `pixelcnn_nats`, with one thread, both ways whole.

    The cached way is so short that it is measured seven times; its median counts. In float64 both ways draw the same
    images bit for bit; in float32 a lot may fall between two probabilities that differ by rounding alone.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = density(run, "pixelcnn")[0]
    n = 4 if run.quick else 64
    cached, naive = [], 0.0
    for _ in range(7):
        began = time.process_time()
        quick = model.sample(n, generator=torch.Generator().manual_seed(run.seed))
        cached.append(time.process_time() - began)
    began = time.process_time()
    slow = model.sample_naive(n, generator=torch.Generator().manual_seed(run.seed))
    naive = time.process_time() - began
    few, double = min(n, 8), model.double()
    same = double.sample(few, generator=torch.Generator().manual_seed(run.seed + 100))
    again = double.sample_naive(few, generator=torch.Generator().manual_seed(run.seed + 100))
    torch.set_num_threads(threads)
    return {
        "cached_sampling_speedup": naive / median(cached),
        "cached_equals_naive": float(torch.equal(same, again)),
    }, {
        "n": n,
        "cached": cached,
        "naive": naive,
        "float32_pixels_alike": float((quick == slow).double().mean()),
        "float64_images": few,
    }
