"""StackGAN on drawn digits: are samples what their sentences say, as an independent classifier reads them?"""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.data import Images, to_bytes, write_png
from amiss.data.worlds.captions import SCENES
from amiss.data.worlds.scenes import sample_scenes
from amiss.models import StackGAN
from amiss.repro import fold, generator
from amiss.training import attributes_for, load_model, train
from amiss.training.measures.frechet import frechet_distance, penultimate
from amiss.training.measures.sentences import critic_figures
from amiss.training.presets.stackgan import stackgan_for

__all__ = ["stackgan"]

_LEARN, _JUDGE, _TEST = 1, 2, 3  # streams of a seed
_SHOWN = 10  # sentences of the panel
_LEVELS = [len(names) for names in SCENES.values]


def stackgan(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Both stages trained on drawn digits and their sentences, and asked for the sentences of others.

    A sample agrees with its sentence where the judge, a classifier trained on other drawings of the world, reads all
    labels of the sentence off it, after rounding to bytes. A wrong sentence differs from the right one in one label;
    it is rejected where the critic's logit is below 0 and below that of the right one. The Frechet distance to real
    images is measured in the judge's last hidden layer, of samples of stage II and of the same samples of stage I,
    enlarged by bicubic interpolation.
    """
    torch.set_num_threads(1)
    judge, facts = _judge(run)
    model = _trained(run)
    test = sample_scenes(300 if run.quick else 3000, _stream(run, _TEST))
    real = test.images()
    drawn, enlarged = _drawn(model, real, run.seed)
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    seen = {
        name: penultimate(judge, pixels, mean=mean, std=std)
        for name, pixels in {"real": real.pixels, "second": drawn, "bicubic": enlarged}.items()
    }
    write_png(run.place / "stackgan.png", _panel(enlarged, drawn, real.pixels))
    right = {name: _read(logits) == test.labels for name, (_, logits) in seen.items()}
    agreement = {name: float(hits.all(1).float().mean()) for name, hits in right.items()}
    frechet = {name: frechet_distance(seen[name][0], seen["real"][0]) for name in ("second", "bicubic")}
    critic = critic_figures(model, real, run.seed)
    figures = {
        "stackgan_agreement": agreement["second"],
        "stackgan_rejects_wrong": critic["rejects_wrong"],
        "stage2_over_bicubic": frechet["second"] / frechet["bicubic"],
    }
    told = {
        "images": len(real),
        "agreement": agreement,
        "labels": {
            name: dict(zip(SCENES.columns, hits.float().mean(0).tolist(), strict=True))
            for name, hits in right.items()
        },
        "frechet": frechet,
        "critic": critic,
        "panel": list(real.captions[:_SHOWN]),
    }
    return figures, told


def _stream(run: Run, purpose: int) -> int:
    """A seed for each purpose."""
    return int(fold(fold(torch.zeros((), dtype=torch.int64), run.seed), purpose)) & 0x7FFFFFFF


def _judge(run: Run) -> tuple[nn.Module, dict[str, Any]]:
    """A classifier of all labels, one output a value, trained once on drawings of its own."""
    path = run.place / "scenes-judge.safetensors"
    if not path.is_file():
        scenes = sample_scenes(300 if run.quick else 12_000, _stream(run, _JUDGE))
        table = {
            f"{name}={value}": (column == i).float()
            for name, values, column in zip(SCENES.columns, SCENES.values, scenes.labels.unbind(1), strict=True)
            for i, value in enumerate(values)
        }
        images = replace(scenes.images(), table=table, labels=None)
        train(attributes_for(images, list(table), run.seed, 1 if run.quick else None), images).save(path)
    return load_model(path)


def _read(logits: Tensor) -> Tensor:
    """The labels [n, 5] that the judge's outputs tell."""
    return torch.stack([part.argmax(1) for part in logits.split(_LEVELS, 1)], 1)


def _trained(run: Run) -> StackGAN:
    """Both stages, each trained once and read from its file ever after."""
    images = sample_scenes(300 if run.quick else 12_000, _stream(run, _LEARN)).images()
    done: tuple[nn.Module, dict[str, Any]] | None = None
    for name in ("first", "second"):
        path = run.place / f"stackgan-{name}.safetensors"
        if not path.is_file():
            preset = stackgan_for(images, first=done, seed=run.seed)
            if run.quick:
                preset = replace(preset, training=replace(preset.training, steps=2))
            train(preset, images, out=run.place / f"stackgan-{name}").save(path)
        done = load_model(path)
    model = done[0] if done else None
    assert isinstance(model, StackGAN)  # noqa: S101 - it was saved as one
    return model


@torch.no_grad()
def _drawn(model: StackGAN, images: Images, seed: int) -> tuple[Tensor, Tensor]:
    """A sample for each sentence and the same of stage I, enlarged, both as bytes [n, 1, 32, 32]."""
    codes, draws = model.text(model.read(images.captions)), generator(seed)
    parts = [model.draw(part, draws) for part in codes.split(250)]
    small = torch.cat([part.small for part in parts])
    enlarged = F.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    return to_bytes(torch.cat([part.image for part in parts])), to_bytes(enlarged)


def _panel(*rows: Tensor) -> Tensor:
    """The first images of each set, a row each, twice as large: stage I enlarged, stage II, drawn by the world."""
    pixels = torch.stack([row[:_SHOWN] for row in rows])[:, :, 0].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    return pixels.repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
