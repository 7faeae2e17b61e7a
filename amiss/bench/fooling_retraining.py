"""Retraining with a class of rubbish: what it costs, what it refuses, and whether nonsense becomes dearer."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from amiss.bench.bench import Run
from amiss.bench.lenets import digits, lenet
from amiss.bench.mobilenets import mobilenet, photographs
from amiss.bench.real_plants import cifar_sprites
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import Archive, FineTuning, Hardened, RubbishClass, Workshop, evolve, widened
from amiss.defend.telling import cost, interval
from amiss.demo import demo_classifier, demo_faces
from amiss.repro import generator
from amiss.training import TrainingRecipe, load_model, presets, train
from amiss.trust import wilson

__all__ = ["retraining", "retraining_cifar", "retraining_imagenet"]

_QUICK: dict[str, Any] = {"rounds": 1, "champions": 10, "held_out": 10, "learned_generations": 3, "generations": 5}
_QUICK |= {"confidence": 0.3}  # so little evolution makes nothing surer
_LEARNED = 10_000  # images of CIFAR-10 that are trained on; those behind them are its test images
_LAYERS = ("blocks.4.1", "classifier")  # of MobileNetV1: the last block and the head
_RECALLS = {"": "", "_first": "_first", "_newest": "_newest", "_long": "_long"}
_RECALLS |= {"_other": "_direct", "_gradient": "_gradient"}
"""How the shares of recall are called here, by the endings of their columns."""
_CROPS = 30  # of each photograph: with less, a photograph that is not learned from is soon called rubbish
_KEPT = 0.1  # of what the network said of a champion


def retraining(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """LeNet on MNIST, five rounds of 600 champions: accuracy, held-out nonsense, and evaluations a round.

    Held-out fooling images are champions of evolutions like those that are learned from, in the same rounds, with
    other seeds, of which the network of their round was 0.99 sure. `rubbish_recall` is the share of them that the
    last network calls rubbish: of all rounds, as the last network learns from all of them. `_first` is of those that
    fooled the network as it was given, `_newest` of those that fooled the last network but one; `_long`, `_direct`
    and `_gradient` are of champions that evolved five times as long, of evolved pixels, and of climbs, of all rounds.
    What fools the last network itself is told by `retrain_fooled`, and by the evaluations that its median class took,
    or, where `retrain_reached_last` is 0, that were not enough.

    References:
        Nguyen, Yosinski and Clune (2015), section 3.5: fooling images that are held out of retraining to validate it.
    """
    torch.set_num_threads(1)
    classifier = lenet(run)
    defense = RubbishClass(champions=600, shift=1, seed=run.seed)
    done = _hardened(run, "retraining", defense, classifier, digits(run), digits(run, "test"))
    return _figures(done, ""), _told(done)


def retraining_cifar(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A small residual network on the first 10,000 images of CIFAR-10, five rounds of 100 champions: the same.

    A round is three passes: after one, the network was less accurate than as it was given, among the ten classes
    alone too. It goes on learning images, which it had seen twelve times: that is a part of what accuracy becomes.
    """
    torch.set_num_threads(1)
    images = demo_faces(300) if run.quick else cifar_sprites(run.data("cifar10-sprites"))
    learned = len(images) - len(images) // 3 if run.quick else _LEARNED
    known, asked = images.pick(slice(0, learned)), images.pick(slice(learned, len(images)))
    classifier = demo_classifier() if run.quick else _residual(run, known)
    settings: dict[str, Any] = {"champions": 100, "generations": 40, "held_out": 30, "share": 0.15}
    defense = RubbishClass(**settings, epochs=3, shift=3, rate=5e-3, seed=run.seed)
    done = _hardened(run, "retraining-cifar", defense, classifier, known, asked)
    return _figures(done, "_cifar"), _told(done)


def retraining_imagenet(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV1 0.25 with a class 1001: evaluations to the old network's median champion, before and after.

    The last block and the head learn from half of the photographs, whole and in crops, and from the champions of one
    evolution. Of a photograph the network is to go on saying what it said, and not its label: 100 labels would teach
    it to forget the 900 classes that they are not of. Of a champion it keeps a tenth of what it said, so that rubbish
    becomes likelier than all classes and they keep their order. The other half of the photographs and champions of
    another seed are held out: `rubbish_recall_imagenet` is of those that the network took for their class and was
    half sure of, for so short an evolution makes hardly any that 0.99 could be asked of.

    References:
        Li and Hoiem (2016), learning without forgetting.
    """
    torch.set_num_threads(1)
    classifier = demo_classifier() if run.quick else mobilenet(run, "v1-0.25")
    images = demo_faces(60) if run.quick else photographs(run, 128)
    large = images if run.quick else photographs(run, 224)
    layers = ("fc1", "fc2") if run.quick else _LAYERS
    order = torch.randperm(len(images), generator=generator(run.seed))
    known, asked = order[: len(images) // 2], images.pick(order[len(images) // 2 :])
    n, shop = len(classifier.labels or ()), Workshop(run.place / "retraining-imagenet", str(run.seed), _silent)

    def archive(name: str, who: Classifier, evaluations: int, seed: int, enough: float | None = None) -> Archive:
        generations = (evaluations // 50 if run.quick else evaluations) // 200
        shape = tuple(images.pixels.shape[1:])
        made: dict[str, Any] = {"children": 200, "generations": generations, "until": "budget", "batch": 100}
        return shop.archive(name, lambda: evolve(who, n, shape, **made, seed=seed, enough=enough))

    before = archive("before", classifier, 30_000, run.seed)
    aside = archive("aside", classifier, 15_000, 1000 + run.seed)
    shown = torch.cat([images.pixels[known].repeat(2, 1, 1, 1), _crops(large.pick(known), images, run)])
    data = _distilled(classifier, shown, before.images)
    start = widened(classifier, images.images([0]))
    mean, std = start.preprocessing
    recipe = TrainingRecipe(epochs=6, batch=100, rate=2e-3, channels_last=True, seed=run.seed)
    loss = FineTuning(mean=mean, std=std, layers=layers)
    now = shop.trained("model", start, data, loss, recipe, "retraining")
    now.network.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
    mark = float(before.median[-1])
    after = archive("after", now, 60_000, 2000 + run.seed, enough=mark)
    spent, reached = before.reached(mark), after.reached(mark)
    assert spent is not None  # noqa: S101 - it is where that evolution ended
    answers = {"before": _logits(classifier, asked.pixels).argmax(1), "after": _logits(now, asked.pixels).argmax(1)}
    right = {name: int((said == asked.truth).sum()) for name, said in answers.items()}
    called = int((answers["after"] == n).sum())
    sure = aside.fooling(0.3 if run.quick else 0.5)
    refused = _logits(now, aside.images).argmax(1) == n
    figures = {
        "retrain_imagenet_evaluations_before": spent,
        "retrain_imagenet_evaluations_after": float(after.evaluations[-1]) if reached is None else reached,
        "retrain_imagenet_reached": float(reached is not None),
        "retrain_imagenet_median_after": float(after.median[-1]),
        "retrain_imagenet_accuracy_loss": (right["before"] - right["after"]) / len(asked),
        "retrain_imagenet_called_rubbish": called / len(asked),
    }
    if sure.any():
        figures["rubbish_recall_imagenet"] = float(refused[sure].double().mean())
    recalls = {
        name: {"of": (of := int(rows.sum())), "refused": (k := int(refused[rows].sum())), "interval": wilson(k, of)}
        for name, rows in (("sure", sure), ("called", aside.fools))
    }
    curves = {name: one.median.tolist()[::10] for name, one in (("before", before), ("after", after))}
    told = {"mark": mark, "photographs": len(asked), "right": right, "called_rubbish": called, "recalls": recalls}
    return figures, {**told, "median_every_2000": curves}


def _crops(large: Images, images: Images, run: Run) -> Tensor:
    """Square parts of photographs at the size of others, some of them mirrored [_CROPS * n, C, H, W], uint8."""
    side, size, draw = large.pixels.shape[-1], images.pixels.shape[-1], generator(run.seed, 1)
    parts = []
    for image in large.pixels.repeat(_CROPS, 1, 1, 1):
        crop = int(torch.randint(side // 3, side + 1, (), generator=draw))
        top, left = torch.randint(side - crop + 1, (2,), generator=draw).tolist()
        part = image[None, :, top : top + crop, left : left + crop].float()
        part = functional.interpolate(part, size=size, mode="bilinear", antialias=True)
        parts.append(part.flip(3) if torch.rand((), generator=draw) < 0.5 else part)
    return torch.cat(parts).round().clamp(0, 255).to(torch.uint8)


def _distilled(classifier: Classifier, shown: Tensor, rubbish: Tensor) -> dict[str, Tensor]:
    """Images and rubbish with labels [N, classes + 1] that are distributions: what the network said, and rubbish."""
    said = _logits(classifier, torch.cat([shown, rubbish])).softmax(1)
    kept = torch.ones(len(said), 1)
    kept[len(shown) :] = _KEPT
    return {"image": torch.cat([shown, rubbish]), "label": torch.cat([kept * said, 1 - kept], 1)}


def _silent(what: str, done: int, total: int) -> None:
    """A bench tells its parts alone."""


def _hardened(
    run: Run, name: str, defense: RubbishClass, classifier: Classifier, known: Images, asked: Images
) -> Hardened:
    """The defense in a folder of this seed's, where it goes on after a stop; if quick, a few small rounds."""
    defense = replace(defense, **_QUICK) if run.quick else defense
    return defense.harden(classifier, known, asked, run.place / name)


def _figures(done: Hardened, kind: str) -> dict[str, float]:
    first, last, found = done.rows[0], done.rows[-1], done.figures
    figures = {
        f"retrain_accuracy_loss{kind}": found["accuracy_loss"],
        f"retrain_called_rubbish{kind}": found["called_rubbish"],
        f"retrain_fooled{kind}": found["fooled"],
        f"retrain_evaluations_first{kind}": cost(first),
        f"retrain_evaluations_once{kind}": cost(done.rows[1]),
        f"retrain_evaluations_last{kind}": cost(last),
        f"retrain_reached_last{kind}": float(last["evaluations_median"] is not None),
    }
    recalls = {f"rubbish_recall{name}{kind}": last[f"recall{key}"] for key, name in _RECALLS.items()}
    return figures | {name: share for name, share in recalls.items() if share is not None}  # None: no such image


def _told(done: Hardened) -> dict[str, Any]:
    last = done.rows[-1]
    recalls = {
        f"rubbish_recall{name}": {"of": last[f"recall{key}_of"], "interval": list(interval(last, f"recall{key}"))}
        for key, name in _RECALLS.items()
        if last[f"recall{key}_of"]
    }
    return {"sentence": done.sentence, "rows": list(done.rows), "recalls": recalls}


def _residual(run: Run, known: Images) -> Classifier:
    """The residual network, trained once and read from its file ever after."""
    path = run.place / "cifar-resnet.safetensors"
    if not path.is_file():
        train(presets.cifar_classifier(run.seed), known).save(path)
    model, facts = load_model(path)
    return Classifier(model, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


@torch.no_grad()
def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    """Logits [n, classes] of images of bytes [n, C, H, W]."""
    parts = [classifier.outputs(x.to(torch.float32) / 255)["answer"] for x in images.split(100)]
    return torch.cat(parts)
