"""Transfer over recipes and networks: what adversaries made for one network are to each other one."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from amiss.audit.attack_pages import attack_record
from amiss.audit.attack_recipes import Attacks
from amiss.audit.attack_transfers import Row, attack_matrix, transfer_figures
from amiss.audit.attacks import AttackExperiment
from amiss.bench.bench import Run
from amiss.bench.defend_training import network
from amiss.bench.lenets import digits, lenet
from amiss.bench.mobilenets import MOBILENETS, mobilenet, photographs
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import AdversarialLoss, Workshop
from amiss.demo import demo_classifier, demo_faces
from amiss.report import build
from amiss.training import TrainingRecipe, presets
from amiss.trust import wilson

__all__ = ["transfer"]

_MNIST = Attacks(0.2, ("fgsm", "pgd", "deepfool", "ddn", "square", "worst_case"), images=100, queries=500)
_IMAGENET = Attacks(8 / 255, ("fgsm", "pgd", "square", "worst_case"), images=24, steps=10, queries=60, batch=24)
_QUICK: dict[str, Any] = {"recipes": ("fgsm", "pgd", "square"), "images": 6, "steps": 4, "queries": 20}
_SIDE = 128  # of the photographs: that of the smallest network, so that all attack the same pixels
_OTHER_SEED = 1000  # of a second training, far from the seeds of runs
_HARD, _EPOCHS = 0.3, 2  # radius that the hardened network learns from, and passes over the data


def transfer(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The transfer matrix of five networks for digits, within 0.2, and of three for photographs, within 8/255.

    Each share is over the images that all networks of the group name rightly. Of a group there are the mean and the
    largest share off the diagonal, `untargeted_mean` and `untargeted_max`, the mean on it, `own`, and the mean of the
    controls off it, `noise`. Every share with its 95 % interval is in the raw counts, and the page of each group
    lies in the folder of the seed.

    Raises:
        Skip: There is no MNIST here, or there are no examples, weights or photographs.
    """
    torch.set_num_threads(1)
    rows = {"mnist": _matrix(run, "mnist", _digit_networks(run), digits(run, "test"), _MNIST)}
    rows["imagenet"] = _matrix(run, "imagenet", _photo_networks(run), _photographs(run), _IMAGENET)
    names = {"mean": "untargeted_mean", "max": "untargeted_max", "own": "own", "noise": "noise"}
    figures = {
        f"transfer_{group}_{names[kind.removeprefix('transfer_')]}": value
        for group, made in rows.items()
        for kind, value in transfer_figures(made).items()
    }
    return figures, {
        group: {"eps": asked.eps, "n": made[0]["n"], "rows": [_told(row) for row in made]}
        for (group, made), asked in zip(rows.items(), (_MNIST, _IMAGENET), strict=True)
    }


def _matrix(run: Run, group: str, models: Mapping[str, Classifier], images: Images, asked: Attacks) -> list[Row]:
    """The rows of one group, and its page; measured anew, whatever an earlier run left there."""
    out, own = run.place / f"transfer-{group}", next(iter(models))
    shutil.rmtree(out, ignore_errors=True)
    asked = replace(asked, seed=run.seed, **(_QUICK if run.quick else {}))
    found = AttackExperiment(models[own], images, asked).run(out)
    rows: list[Row] = attack_matrix(found, models, out, lambda *_: None)["rows"]
    named = {"model": own, "data": f"{group}, {len(images):,} images", "command": "amiss bench attacks"}
    build(attack_record(found, models[own], out, **named, transfer=rows), out)
    return rows


def _told(row: Row) -> dict[str, Any]:
    """A cell of the matrix: who for whom, counts, and the share with its 95 % interval."""
    kept = {name: row[name] for name in ("recipe", "source", "model", "met", "changed", "noise", "side")}
    return {**kept, "share": (row["changed"] / row["n"], *wilson(row["changed"], row["n"]))}


def _digit_networks(run: Run) -> dict[str, Classifier]:
    """Two architectures with two initial weights each, and the first of the second, hardened."""
    again = replace(run, seed=run.seed + _OTHER_SEED, place=run.place / "again")
    plain = network(run)
    made = {"lenet": lenet(run), "lenet, again": lenet(run, run.seed + _OTHER_SEED)}
    return {**made, "strided": plain, "strided, again": network(again), "strided, hardened": _hardened(run, plain)}


def _hardened(run: Run, plain: Classifier) -> Classifier:
    """A network that has learned from adversaries of five steps within 0.3 for two epochs."""
    train = digits(run)
    mean, std = plain.preprocessing
    loss = AdversarialLoss(mean=mean, std=std, eps=_HARD, steps=5, clean=0.0, grow=0.3)
    precision = presets.mnist_classifier().training.precision
    epochs = 1 if run.quick else _EPOCHS
    recipe = TrainingRecipe(epochs=epochs, rate=5e-3, precision=precision, channels_last=True, seed=run.seed)
    shop = Workshop(run.place / "transfer", f"{run.seed} {run.quick}", lambda *_: None)
    data = {"image": train.pixels, "label": train.truth}
    return shop.trained("hardened", plain, data, loss, recipe, "training")


def _photo_networks(run: Run) -> dict[str, Classifier]:
    """The three MobileNets, first the one that takes the photographs as they are; if quick, one under two names."""
    if run.quick:
        return {"faces": demo_classifier(), "faces, again": demo_classifier()}
    return {name: mobilenet(run, name) for name in sorted(MOBILENETS, key=lambda name: MOBILENETS[name].size)}


def _photographs(run: Run) -> Images:
    return demo_faces(40) if run.quick else photographs(run, _SIDE)
