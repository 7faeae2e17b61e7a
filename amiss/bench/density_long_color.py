"""A PixelCNN of color images: bits a dimension of CIFAR-10's bytes, and samples to look at."""

from typing import Any

import torch
import torch.nn.functional as F

from amiss.bench.bench import Run
from amiss.bench.real_plants import cifar_sprites
from amiss.data import Images, sample_faces, write_png
from amiss.models import PixelDensity, bits_per_dim
from amiss.training import load_model, train
from amiss.training.measures.likelihood import nats
from amiss.training.pictures import sheet
from amiss.training.presets.densities import cifar_pixelcnn, pixelcnn_for

__all__ = ["color"]

_SAMPLES = 32


def color(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Exact bits a dimension of 1,000 test images, after training on 10,000; an interrupted training goes on.

    Quick: drawn faces, made small.
    """
    torch.set_num_threads(1 if run.quick else min(2, torch.get_num_threads()))
    learned, asked = _images(run)
    path = run.place / "color.safetensors"
    if not path.is_file():
        if run.quick:
            preset = pixelcnn_for(learned, width=8, blocks=1, epochs=12, seed=run.seed)
        else:
            preset = cifar_pixelcnn(run.seed)
        done = train(preset, learned, out=run.place / "color")
        done.facts["training"] |= {"seconds": done.history.seconds, "epochs": done.history.epochs}
        done.save(path)
    model, facts = load_model(path)
    assert isinstance(model, PixelDensity)  # noqa: S101
    bits = bits_per_dim(-nats(model, asked.pixels, batch=100), model.dimensions)
    drawn = model.sample(4 if run.quick else _SAMPLES, generator=torch.Generator().manual_seed(run.seed))
    write_png(run.place / "color.png", sheet(drawn))
    return {"cifar_bits_per_dim": float(bits.mean())}, {
        "images": len(bits),
        "error": float(bits.std() / len(bits) ** 0.5),
        "training": facts["training"],
    }


def _images(run: Run) -> tuple[Images, Images]:
    """CIFAR-10's first 10,000 training and its first 1,000 test images."""
    if run.quick:
        small = F.avg_pool2d(sample_faces(200, run.seed).images().images(), 6).mul(255).round().to(torch.uint8)
        return Images.of(small[:160]), Images.of(small[160:])
    images = cifar_sprites(run.data("cifar10-sprites"))
    return images.pick(slice(0, 10_000)), images.pick(slice(10_000, None))
