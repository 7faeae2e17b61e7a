"""Arithmetic with the codes of a generator of drawn faces: a man with glasses, less a man, and a woman."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.data import Images, to_bytes
from amiss.data.worlds.faces import sample_faces
from amiss.models import Adversarial, arithmetic
from amiss.repro import generator
from amiss.training import attributes_for, load_model, train
from amiss.training.measures.frechet import frechet_distance, penultimate
from amiss.training.presets.adversarial import dcgan_for

__all__ = ["faces", "picked"]

_HEADS = ("glasses", "male")
_JUDGE, _TEST = 20_000, 40_000  # added to the seed: faces that the generator has not seen
_CODES, _PICKS = 11, 12  # streams of randomness
_AVERAGED = 3  # codes a concept
_CLEAREST = 0.2  # share of the codes, at either end, that stand for faces with glasses and without


def faces(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A man with glasses, less a man without, and a woman without: each the average of three codes of such images.

    A judge, a classifier trained on other faces, sorts the images of drawn codes. With glasses are those that it sees
    glasses in, of the fifth where it sees them most clearly, and without are those of the fifth at the other end; men
    and women are told by the sign of the judge's answer alone. `gan_arithmetic` is the share of the trials, each of
    nine codes picked at random, in which the judge sees glasses in the image of the result and none in that of the
    average woman. The raw counts hold the same with other men without glasses in the place of those with glasses,
    and how the judge does on real faces. Images are 24 pixels a side: the drawn faces averaged over 2 x 2.
    """
    torch.set_num_threads(1)
    judge, facts = _judge(run)
    model, raw = _generator(run)
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    codes = model.prior(500 if run.quick else 5000, generator=generator(run.seed, _CODES))
    drawn = penultimate(judge, _images(model, codes), mean=mean, std=std)
    real = _faces(_TEST + run.seed, 500 if run.quick else 3000)
    seen = penultimate(judge, real.pixels, mean=mean, std=std)
    glasses, male = drawn[1].unbind(1)
    raw |= {
        "codes": len(codes),
        "with_glasses": int((glasses > 0).sum()),
        "men": int((male > 0).sum()),
        "frechet": frechet_distance(drawn[0], seen[0]),
        "judge_glasses": float(((seen[1][:, 0] > 0) == (real.table["glasses"] > 0.5)).double().mean()),
        "judge_male": float(((seen[1][:, 1] > 0) == (real.truth == 1)).double().mean()),
    }
    low, high = glasses.quantile(torch.tensor([_CLEAREST, 1 - _CLEAREST]))
    bare, there = (glasses <= low.clamp_max(0)), (glasses > high.clamp_min(0))
    men = (male > 0) & bare
    concepts = {"man with glasses": (male > 0) & there, "man": men, "woman": (male <= 0) & bare}
    raw["shown"] = {name: int(rows.sum()) for name, rows in concepts.items()}
    if min(raw["shown"].values()) < _AVERAGED:
        return {"gan_arithmetic": 0.0}, raw  # a generator that does not draw them has no arithmetic of them
    trials, lots = 50 if run.quick else 1000, generator(run.seed, _PICKS)
    shown, man, woman = (picked(codes[rows], trials, lots) for rows in concepts.values())
    before = penultimate(judge, _images(model, woman.mean(1)), mean=mean, std=std)[1]
    for name, first in {"glasses": shown, "control": picked(codes[men], trials, lots)}.items():
        after = penultimate(judge, _images(model, arithmetic([first, woman], [man])), mean=mean, std=std)[1]
        raw[name] = {
            "trials": trials,
            "appeared": int(((after[:, 0] > 0) & (before[:, 0] <= 0)).sum()),
            "there_before": int((before[:, 0] > 0).sum()),
            "still_women": int((after[:, 1] <= 0).sum()),
        }
    return {"gan_arithmetic": raw["glasses"]["appeared"] / trials}, raw


def picked(codes: Tensor, trials: int, draws: torch.Generator) -> Tensor:
    """Three different codes for each trial, at random: [trials, 3, latent] out of `codes` [n, latent], n >= 3."""
    return codes[torch.rand(trials, len(codes), generator=draws).topk(_AVERAGED, 1).indices]


def _images(model: Adversarial, codes: Tensor) -> Tensor:
    """Images of codes, as bytes."""
    with torch.no_grad():
        return to_bytes(torch.cat([model.decode(part) for part in codes.split(500)]))


def _faces(seed: int, n: int) -> Images:
    """Drawn faces of 24 pixels a side; who is male is told without the world's noise in the label."""
    people = sample_faces(n, seed)
    images = replace(people, labels=(people["jaw"] + people["brow"] > 1).long()).images()
    small = F.avg_pool2d(images.images(), 2)
    return Images.of(to_bytes(small), images.labels, images.classes, table=dict(images.table))


def _judge(run: Run) -> tuple[nn.Module, dict[str, Any]]:
    """A classifier of glasses and of men, trained once on faces of its own."""
    path = run.place / "faces-judge.safetensors"
    if not path.is_file():
        images = _faces(_JUDGE + run.seed, 500 if run.quick else 6000)
        train(attributes_for(images, _HEADS, run.seed, 1 if run.quick else 8), images).save(path)
    return load_model(path)


def _generator(run: Run) -> tuple[Adversarial, dict[str, Any]]:
    """The generator, trained once and read from its file ever after, and what its training was."""
    path = run.place / "faces.safetensors"
    if not path.is_file():
        images = _faces(run.seed, 500 if run.quick else 6000)
        preset = dcgan_for(images, latent=16, width=16, code=5.0, seed=run.seed, epochs=6)
        if run.quick:
            preset = replace(preset, training=replace(preset.training, epochs=None, steps=30))
        done = train(preset, images, out=run.place / "faces")
        told = {"minutes": done.history.seconds / 60, "steps": done.history.steps}
        replace(done, facts=done.facts | {"bench": told}).save(path)
    model, facts = load_model(path)
    assert isinstance(model, Adversarial)  # noqa: S101 - it was saved as one
    return model, dict(facts["bench"])
