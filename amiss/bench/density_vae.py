"""The variational autoencoder of MNIST: its bound on all test images, and what its codes are worth."""

from dataclasses import replace
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of
from amiss.models import ConvVAE
from amiss.training import load_model, train
from amiss.training.measures.latent import active_units, bounds
from amiss.training.presets.vae import mnist_vae_long

__all__ = ["vae"]

_CODES = 50  # of the importance-weighted bound


def vae(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Minus the bound in nats an image, dynamically binarized, with one code drawn for each of the test images.

    The raw counts hold the importance-weighted bound of the first 500 and the dimensions in use. Quick: the digits of
    scikit-learn.
    """
    torch.set_num_threads(1)
    path, asked = run.place / "vae.safetensors", digits_of(run, "test")
    if not path.is_file():
        learned = digits_of(run)
        preset = mnist_vae_long(run.seed)
        if run.quick:
            small = {**preset.model, "arguments": {**preset.model["arguments"], "size": learned.pixels.shape[-1]}}
            preset = replace(preset, model=small, training=replace(preset.training, epochs=4))
        done = train(preset, learned, out=run.place / "vae")
        done.facts["training"] |= {"seconds": done.history.seconds}
        done.save(path)
    model, facts = load_model(path)
    assert isinstance(model, ConvVAE)  # noqa: S101
    one = bounds(model, asked.pixels, 1, binarize=True, seed=run.seed)
    many = bounds(model, asked.pixels[:500], _CODES, binarize=True, seed=run.seed)
    return {"vae_neg_elbo": -one.elbo}, {
        "images": one.images,
        "importance_500": -many.importance,
        "elbo_500": -many.elbo,
        "codes": many.codes,
        "active": int(active_units(model, asked.pixels[:2000]).sum()),
        "latent": model.latent,
        "training": facts["training"],
    }
