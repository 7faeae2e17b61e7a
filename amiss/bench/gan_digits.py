"""Generators of MNIST: which digits they draw, how well, and whether they learned them by heart."""

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.bench.lenets import digits, lenet
from amiss.data import Images, to_bytes
from amiss.models import Adversarial
from amiss.repro import generator
from amiss.training import Preset, load_model, train
from amiss.training.measures.classes import class_shares, classes_drawn, entropy, histogram_kl
from amiss.training.measures.frechet import frechet_distance, penultimate
from amiss.training.measures.game import game, won
from amiss.training.measures.memory import memorized
from amiss.training.presets.adversarial import dcgan_for, gan_for

__all__ = ["dcgan", "dense"]

_JUDGE = 1000  # added to the seed: the judge shares no lots with the generators
_CODES = 11  # stream of randomness


def dense(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The lecture's dense networks on MNIST: how many classes they draw, by the word of an independent LeNet.

    A class is drawn where at least 1 % of 10,000 samples are of it.
    """
    torch.set_num_threads(1)
    images = digits(run)
    model, told = _trained(run, "dense", gan_for(images, seed=run.seed), images)
    figures, raw = _judged(run, _drawn(run, model), images)
    return {"gan_classes": figures["classes"]}, told | raw | figures


def dcgan(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A DCGAN on MNIST: its minutes, and what an independent LeNet says of as many samples as there are test images.

    Samples are rounded to bytes first. The Frechet distance is that to the test images in the last hidden layer of
    the LeNet (the raw counts hold that of as many training images, for a scale); the class histogram is compared
    with that of the test labels. `dcgan_memorised` is the share of samples that lie nearer to a training image, in
    pixels, than all but 1 % of the test images do.
    """
    torch.set_num_threads(1)
    images, test = digits(run), digits(run, "test")
    model, told = _trained(run, "dcgan", dcgan_for(images, seed=run.seed), images)
    drawn = _drawn(run, model)
    figures, raw = _judged(run, drawn, images)
    memory = memorized(drawn, images.pixels, test.pixels)
    told |= {"threshold": memory.threshold, "median_distance": float(memory.distances.median())}
    told["game"] = asdict(game(model, test.pixels[:2000]))
    named = {f"dcgan_{name}": figures[name] for name in ("classes", "class_kl", "frechet")}
    return named | {"dcgan_minutes": told["minutes"], "dcgan_memorised": memory.share}, told | raw | figures


def _trained(run: Run, name: str, preset: Preset, images: Images) -> tuple[Adversarial, dict[str, Any]]:
    """A generator, trained once and read from its file ever after, and what its training was."""
    path = run.place / f"{name}.safetensors"
    if not path.is_file():
        if run.quick:
            preset = replace(preset, training=replace(preset.training, epochs=None, steps=30))
        done = train(preset, images, out=run.place / name)
        curves = done.history.losses
        told = {
            "minutes": done.history.seconds / 60,
            "steps": done.history.steps,
            "won": won(curves["discriminator"]),
            "last_losses": {player: sum(curve[-100:]) / len(curve[-100:]) for player, curve in curves.items()},
        }
        replace(done, facts=done.facts | {"bench": told}).save(path)
    model, facts = load_model(path)
    assert isinstance(model, Adversarial)  # noqa: S101 - it was saved as one
    return model, dict(facts["bench"])


@torch.no_grad()
def _drawn(run: Run, model: Adversarial) -> Tensor:
    """As many samples as there are test images, as bytes [n, 1, 28, 28]."""
    parts = torch.arange(len(digits(run, "test"))).split(500)
    return to_bytes(
        torch.cat([model.sample(len(p), generator=generator(run.seed, _CODES, i)) for i, p in enumerate(parts)])
    )


def _judged(run: Run, drawn: Tensor, images: Images) -> tuple[dict[str, float], dict[str, Any]]:
    """What the judge, a LeNet of its own lots, says of drawn images beside the test images."""
    judge, test = lenet(run, _JUDGE + run.seed), digits(run, "test")
    mean, std = judge.preprocessing
    assert isinstance(judge.network, nn.Module)  # noqa: S101 - a LeNet
    seen = {
        name: penultimate(judge.network, pixels, mean=mean, std=std)
        for name, pixels in {"drawn": drawn, "test": test.pixels, "train": images.pixels[: len(test)]}.items()
    }
    shares = class_shares(seen["drawn"][1].argmax(1), 10)
    real = class_shares(test.truth, 10)
    distances = {name: frechet_distance(seen[name][0], seen["test"][0]) for name in ("drawn", "train")}
    figures = {
        "classes": classes_drawn(shares),
        "class_kl": histogram_kl(shares, real),
        "frechet": distances["drawn"],
    }
    raw = {
        "samples": len(drawn),
        "shares": shares.tolist(),
        "entropy": entropy(shares),
        "frechet_of_training_images": distances["train"],
        "judge_accuracy": float((seen["test"][1].argmax(1) == test.truth).double().mean()),
    }
    return figures, raw
