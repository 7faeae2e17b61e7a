"""The best density of pixels, trained for long: how well it predicts digits, and what its own samples cost it."""

from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of, score, trained
from amiss.data import Images
from amiss.repro import generator
from amiss.training import Preset
from amiss.training.batches import as_pixels, binarized
from amiss.training.measures.own_samples import own_samples
from amiss.training.presets.recurrent_densities import diagonal_bilstm_for, mnist_diagonal_bilstm

__all__ = ["pixel"]

_LONG = 30_000  # steps of 32 images: an hour with one thread
_BINARY, _SAMPLES = 1, 2  # streams of randomness


def pixel(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Nats an image of the Diagonal BiLSTM, and the gap between the likelihood of its own samples and of test images.

    The gap is that of 2,000 samples at temperature 1 and of all test images. An interrupted training goes on.
    """
    model, spent = trained(run, "pixel_long", _quick if run.quick else _full)
    told = score(run, "pixel_long", model)
    torch.set_num_threads(1)
    asked = binarized(as_pixels(digits_of(run, "test").pixels), generator(run.seed, _BINARY))
    n = 100 if run.quick else 2000
    found = own_samples(model, asked, n=n, generator=generator(run.seed, _SAMPLES))
    return {"pixel_nats": told["nats"], "own_sample_gap": found.gap}, {
        **told,
        "own": found.own,
        "unseen": found.unseen,
        "gap_error": found.error,
        "samples": n,
        "training": spent,
    }


def _full(_: Images, seed: int) -> Preset:
    return mnist_diagonal_bilstm(seed, _LONG)


def _quick(images: Images, seed: int) -> Preset:
    return diagonal_bilstm_for(images, levels=2, epochs=2, seed=seed)
