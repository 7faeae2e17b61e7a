"""Defenses that train, on MNIST: adversarial training, logit pairing and augmentation under the same attacks."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from amiss.bench.bench import Run
from amiss.bench.lenets import digits
from amiss.classifier import Classifier
from amiss.defend import (
    AdversarialTraining,
    Augmentation,
    FineTuning,
    Hardened,
    LogitPairing,
    Ordeal,
    PairingLoss,
    Workshop,
)
from amiss.defend.pairing import Form
from amiss.defend.retraining import Retraining
from amiss.repro import generator
from amiss.training import TrainingRecipe, presets

__all__ = ["EPS", "attacked", "augmentation", "formula_error", "network", "pairing", "training"]

EPS = 0.3
_FORMS: tuple[Form, ...] = ("lecture", "adversarial")
_MEAN, _STD = (0.1307,), (0.3081,)
_ROWS = 50  # of the check of the formula


def training(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Adversarial training, L + L_adv with adversaries of 5 steps, from the weights of a network trained on images.

    `adv_trained_robust` is the share of 1,000 test images that stay right under PGD of 100 steps from 20 starts,
    `robust_gain` that share less the one before. `adv_trained_minutes` are CPU minutes of one thread.
    """
    done = _hardened(run, "training", AdversarialTraining(steps=5, **_settings(run)))
    first, last = done.rows
    figures = {
        "adv_trained_robust": last["robust_many"] or 0.0,
        "robust_gain": (last["robust_many"] or 0.0) - (first["robust_many"] or 0.0),
        "adv_trained_minutes": last["cpu_minutes"] or 0.0,
        "adv_trained_accuracy": last["accuracy"] or 0.0,
        "adv_trained_few": last["robust_few"] or 0.0,
    }
    if last["robust_worst"] is not None:
        figures["adv_trained_worst"] = last["robust_worst"]
    return figures, _told(done)


def pairing(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Logit pairing in the lecture's form and as it was published, under few steps and under many.

    `logit_pairing_error` is how far the loss is from its formula, relative, in float64.
    """
    figures, told = {"logit_pairing_error": formula_error(run.seed)}, dict[str, Any]()
    for form in _FORMS:
        done = _hardened(run, f"pairing-{form}", LogitPairing(form=form, steps=5, **_settings(run)))
        last = done.rows[-1]
        for kind in ("few", "many", "worst"):
            if (share := last[f"robust_{kind}"]) is not None:
                figures[f"pairing_{form}_{kind}"] = share
        figures[f"pairing_{form}_accuracy"] = last["accuracy"] or 0.0
        told[form] = _told(done)
    return figures, told


def augmentation(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Static augmentation: adversaries of 5 steps, made once, in the training set."""
    done = _hardened(run, "augmentation", Augmentation(steps=5, **_settings(run)))
    last = done.rows[-1]
    figures = {f"augmented_{kind}": last[f"robust_{kind}"] or 0.0 for kind in ("few", "many")}
    return figures | {"augmented_accuracy": last["accuracy"] or 0.0}, _told(done)


def attacked(run: Run) -> Ordeal:
    """The attacks of every row: PGD 10, PGD 100 from 20 starts, the worst case, on 1,000 images; if quick, less."""
    return Ordeal(EPS, 30, 3, 5, 2, worst=False) if run.quick else Ordeal(EPS, 1000, 10, 100, 20)


def network(run: Run) -> Classifier:
    """Two convolutions of stride 2 and two dense layers, trained on the images alone, once, and read ever after.

    References:
        Wong, Rice and Kolter (2020), fast is better than free, section 4 (its network for MNIST).
    """
    torch.set_num_threads(1)
    train = digits(run)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(run.seed, 1).initial_seed())
        fresh = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv1=nn.Conv2d(1, 16, 4, 2, 1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(16, 32, 4, 2, 1),
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                fc1=nn.Linear(32 * 7 * 7, 100),
                relu3=nn.ReLU(),
                fc2=nn.Linear(100, len(train.classes)),
            )
        )
    start = Classifier(fresh, mean=_MEAN, std=_STD, labels=train.classes)
    shop = Workshop(run.place / "network", f"{run.seed} {run.quick}", lambda *_: None)
    recipe = TrainingRecipe(epochs=6, rate=4e-3, shift=1, precision=_precision(), channels_last=True, seed=run.seed)
    data = {"image": train.pixels, "label": train.truth}
    return shop.trained("plain", start, data, FineTuning(mean=_MEAN, std=_STD), recipe, "training")


def formula_error(seed: int) -> float:
    """How far the loss of pairing is from L + weight |f(x) - f(x')|^2, and from the published form, relative."""
    draw = generator(seed, 7)
    clean, made = (torch.randn(_ROWS, 10, generator=draw, dtype=torch.float64) for _ in range(2))
    label = torch.randint(0, 10, (_ROWS,), generator=draw)
    own, theirs = (float((y.exp().sum(1).log() - y[torch.arange(_ROWS), label]).sum()) for y in (clean, made))
    apart = 0.7 * sum(float(((a - b) ** 2).sum()) for a, b in zip(clean, made, strict=True))
    errors = []
    for form, known in zip(_FORMS, (own + apart, (own + theirs) / 2 + apart), strict=True):
        loss = PairingLoss(form=form, weight=0.7)
        errors.append(abs(float(loss.total(clean, made, label)) / known - 1))
    return max(errors)


def _settings(run: Run) -> dict[str, Any]:
    """What all of them share."""
    ordeal = attacked(run)
    return {
        "eps": EPS,
        "epochs": 1 if run.quick else 6,
        "rate": 5e-3,
        "precision": _precision(),
        "images": ordeal.images,
        "few": ordeal.few,
        "many": ordeal.many,
        "restarts": ordeal.restarts,
        "worst": ordeal.worst,
        "seed": run.seed,
    }


def _hardened(run: Run, name: str, defense: Retraining) -> Hardened:
    """The defense in a folder of this seed's, where it goes on after a stop."""
    classifier = network(run)
    return defense.harden(classifier, digits(run), digits(run, "test"), run.place / name)


def _told(done: Hardened) -> dict[str, Any]:
    return {"sentence": done.sentence, "rows": list(done.rows)}


def _precision() -> Any:
    """The arithmetic that this processor is quick in."""
    return presets.mnist_classifier().training.precision
