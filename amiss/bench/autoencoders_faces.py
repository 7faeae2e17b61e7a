"""Glasses put on drawn faces by a step in the codes of a VAE, judged by an independent classifier of attributes."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.data import Images, open_data, to_bytes, write_png
from amiss.data.attributes import attributes
from amiss.models import LatentVariable
from amiss.models.latent_walks import direction, encode_all
from amiss.training import Preset, attributes_for, load_model, presets, train
from amiss.training.pictures import sheet

__all__ = ["faces", "judged", "with_step"]

_GLASSES = "glasses"
_BATCH = 250
_LENGTHS = (1.0, 1.25, 1.5, 2.0)  # steps that may be taken
_ENOUGH = 0.9  # of the validation faces that are to get glasses


def with_step(model: LatentVariable, x: Tensor, step: Tensor) -> Tensor:
    """Images [N, C, H, W] with the difference that a step of their codes makes: clip(x + g(z + d) - g(z)).

    What the decoder loses of an image cancels in the difference, as in a latent sympathetic example.

    Args:
        model: The autoencoder.
        x: Images in [0, 1].
        step: The step d [latent].
    """
    with torch.no_grad():
        parts = [(part, model.encode(part)) for part in torch.split(x, _BATCH)]
        return torch.cat([part + model.decode(z + step) - model.decode(z) for part, z in parts]).clamp(0, 1)


def judged(judge: nn.Module, facts: dict[str, Any], x: Tensor) -> Tensor:
    """Which attributes a judge sees in images [N, C, H, W], as bytes hold them: booleans [N, heads]."""
    mean, std = (torch.tensor(facts[name]).view(-1, 1, 1) for name in ("mean", "std"))
    x = to_bytes(x).float() / 255
    with torch.no_grad():
        return torch.cat([judge((part - mean) / std) > 0 for part in torch.split(x, _BATCH)])


def faces(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The mean code of training faces with glasses minus that of those without, added to test faces without.

    `glasses_flip` is the share of these, among faces that the judge sees without glasses, in which it then sees them;
    `others_unchanged` the share of (image, other attribute) whose judged value is that of the face as it was. The
    judge learns from faces of another world. The step is taken once, or so many times as validation faces need for
    nine in ten to get glasses; the raw counts hold what a single step does. `glasses.png` shows faces and what
    becomes of them.
    """
    torch.set_num_threads(1)
    few = ",n=80" if run.quick else ""
    known, held, asked = (open_data(f"faces:seed={run.seed}{few}", split=split) for split in ("train", "val", "test"))
    strangers = open_data(f"faces:seed={run.seed + 1000}{few}", split="train")
    vae, _ = _saved(run, "faces-vae", presets.faces_vae(run.seed), known)
    epochs = 1.0 if run.quick else 8.0
    judge, facts = _saved(run, "faces-judge", attributes_for(strangers, seed=run.seed, epochs=epochs), strangers)
    step = direction(encode_all(vae, known.images()), attributes(known, [_GLASSES])[_GLASSES])
    heads: list[str] = facts["heads"]
    glasses = heads.index(_GLASSES)

    def after(images: Images, length: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Faces without glasses, what becomes of them, and what the judge sees in both."""
        x = images.images(attributes(images, [_GLASSES])[_GLASSES] == 0)
        before = judged(judge, facts, x)
        x, before = x[~before[:, glasses]], before[~before[:, glasses]]
        changed = with_step(vae, x, length * step)
        return x, changed, before, judged(judge, facts, changed)

    length = next((s for s in _LENGTHS if after(held, s)[3][:, glasses].double().mean() >= _ENOUGH), _LENGTHS[-1])
    x, changed, before, seen = after(asked, length)
    write_png(run.place / "glasses.png", sheet(torch.cat([x[:12], changed[:12]]), 12))
    kept = (seen == before).double().mean(0)
    others = [i for i in range(len(heads)) if i != glasses]
    _, _, once_before, once = after(asked, 1.0)
    truth = torch.stack(list(attributes(asked, heads).values()), 1) > 0
    right = (judged(judge, facts, asked.images()) == truth).double().mean(0)
    return {
        "glasses_flip": float(seen[:, glasses].double().mean()),
        "others_unchanged": float(kept[others].mean()),
    }, {
        "images": len(x),
        "steps": length,
        "flip_of_one_step": float(once[:, glasses].double().mean()),
        "unchanged_by_one_step": float((once == once_before).double().mean(0)[others].mean()),
        "unchanged": {heads[i]: float(kept[i]) for i in others},
        "judge": {name: float(share) for name, share in zip(heads, right, strict=True)},
        "length_of_step": float(step.norm()),
    }


def _saved(run: Run, name: str, preset: Preset, images: Images) -> tuple[Any, dict[str, Any]]:
    """A network of this seed, trained where its file is not there yet."""
    path = run.place / f"{name}.safetensors"
    if not path.is_file():
        train(preset, images, out=run.place / name).save(path)
    return load_model(path)
