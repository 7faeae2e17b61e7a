"""The dense autoencoder of the course's notebook, and the sizes of the U-Net of the lecture's slide."""

from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.data import open_data
from amiss.models.unet import unet_sizes
from amiss.training import load_model, train
from amiss.training.presets.autoencoders import autoencoder_for

__all__ = ["SLIDE", "notebook", "sizes"]

SLIDE = (572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28,
         56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388)  # fmt: skip
"""Side of each map on the slide, from the image to the answer."""


def notebook(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Cross-entropy a pixel of the 784-32-784 autoencoder on the 10,000 gray test images after 50 epochs.

    The notebook's own log says 0.19, 0.153 and 0.134 after its first three. Quick: small digits, 2 epochs.
    """
    torch.set_num_threads(1)
    path = run.place / "notebook.safetensors"
    if not path.is_file():
        folder = "digits" if run.quick else str(run.data("MNIST"))
        learned, asked = (open_data(folder, split=split) for split in ("train", "test"))
        preset = autoencoder_for(learned, seed=run.seed, epochs=2 if run.quick else 50)
        done = train(preset, learned, asked, out=run.place / "notebook")
        steps, pixels = done.preset.training.per_epoch(len(learned)), learned.pixels[0].numel()
        curve = torch.tensor(done.history.losses["autoencoder"][: 3 * steps]).split(steps)
        done.facts["training"] |= {
            "bce_of_epochs": [float(part.mean()) / pixels for part in curve],
            "seconds": done.history.seconds,
        }
        done.save(path)
    _, facts = load_model(path)
    return {"notebook_ae_bce": facts["figures"]["bce"]}, {"figures": facts["figures"], "training": facts["training"]}


def sizes(_: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Whether the U-Net has every size of the slide: 1 or 0."""
    seen = unet_sizes(SLIDE[0])
    return {"unet_sizes": float(tuple(seen) == SLIDE)}, {"sizes": seen, "slide": list(SLIDE)}
