"""Where feature adversaries stay far from their guides: small networks, and one that learned a style."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.lse_real import shape_of
from amiss.bench.mobilenets import paired, ratios
from amiss.bench.real_plants import cifar_sprites
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.models import fused
from amiss.recipes import feature_opt
from amiss.training import Preset, classifier_for, load_model, presets, train

__all__ = ["failures", "styled"]

Measured = tuple[dict[str, float], dict[str, Any]]

_PAIRS, _STEPS = 24, 70
_DELTAS = (5, 10, 25)
_FAR = 0.5  # R1 above which an image is nearer to its source than to its guide


@dataclass(frozen=True)
class _Case:
    """A network, images that it has not learned, and two of its layers.

    Attributes:
        classifier: The network.
        images: Images to pair.
        hidden: Its last hidden layer.
        logits: Its last layer.
    """

    classifier: Classifier
    images: Images
    hidden: str
    logits: str = "answer"


def failures(run: Run) -> Measured:
    """LeNets of MNIST and CIFAR-10, a residual network, and that one after it has learned contrasts for classes.

    R1 is the median over 24 pairs of test images, at the last hidden layer and at the logits. The residual network is
    shown beside the LeNets: on the same images its last hidden layer does not resist.
    """
    torch.set_num_threads(1)
    told = {name: _measured(case, run) for name, case in _cases(run).items()}

    def r1(name: str, layer: str = "hidden") -> float:
        return float(told[name][layer]["10"]["median"])

    figures = {f"{name}_r1_10": r1(name) for name in told}
    figures |= {f"{name}_guide_10": told[name]["hidden"]["10"]["guide"] for name in ("mnist", "cifar")}
    figures["styled_r1_10_logits"] = r1("styled", "logits")
    figures["styled_gap"] = r1("styled") - r1("styled", "logits")
    figures["styled_over_base"] = r1("styled") - r1("residual")
    return figures, told


def _measured(case: _Case, run: Run) -> dict[str, Any]:
    task = paired(case.classifier, case.images, 8 if run.quick else _PAIRS, run.seed)
    check = case.classifier.check(case.images.pixels, case.images.truth)
    assert task.target is not None  # noqa: S101 - pairs have targets
    told: dict[str, Any] = {"pairs": len(task), "accuracy": check.accuracy, "classes": len(case.images.classes)}
    for name, layer in (("hidden", case.hidden), ("logits", case.logits)):
        told[name] = {"layer": layer}
        for delta in _DELTAS[1:2] if run.quick else _DELTAS:
            probe = feature_opt(layer, delta / 255, 20 if run.quick else _STEPS, seed=run.seed, levels=None)
            images = probe.run(case.classifier, task).images
            r1 = ratios(case.classifier, layer, task, images)
            told[name][str(delta)] = {
                "median": float(r1.median()),
                "far": float((r1 > _FAR).double().mean()),
                "guide": float((case.classifier.predict(images) == task.target).double().mean()),
                "each": r1.tolist(),
            }
    return told


def _cases(run: Run) -> dict[str, _Case]:
    """The networks, trained where their files are not there yet; if quick, on digits of 8 pixels."""
    if run.quick:
        digits = open_data("digits", split="train"), open_data("digits")
        lenet, residual, style = (_brief(digits[0], name, run.seed) for name in ("LeNet", "ResNet", "ResNet"))
        learned = {"mnist": (digits, lenet), "cifar": (digits, lenet), "residual": (digits, residual)}
    else:
        folder, cifar = str(run.data("MNIST")), cifar_sprites(run.data("cifar10-sprites"))
        mnist = open_data(folder, split="train"), open_data(folder, limit=1000, seed=run.seed)
        sprites = cifar.pick(slice(0, 10_000)), cifar.pick(slice(10_000, None))
        small = classifier_for(sprites[0], run.seed, 10.0)
        small = replace(small, model={**small.model, "architecture": "LeNet"})
        residual = presets.cifar_classifier(run.seed)
        style = _epochs(residual, 4.0, rate=3e-3, shift=0)
        learned = {
            "mnist": (mnist, _epochs(presets.mnist_classifier(run.seed), 3.0)),
            "cifar": (sprites, small),
            "residual": (sprites, residual),
        }
    cases = {
        name: _case(run, name, images, preset, "pool" if name == "residual" else "fc1")
        for name, (images, preset) in learned.items()
    }
    images = styled(*learned["residual"][0])
    arguments = {**style.model["arguments"], "classes": len(images[0].classes)}
    style = replace(style, model={**style.model, "arguments": arguments})
    base = load_model(run.place / "failures-residual.safetensors")[0].state_dict()
    kept = {name: value for name, value in base.items() if not name.startswith("fc.")}
    cases["styled"] = _case(run, "styled", images, replace(style, start=kept), "pool")
    return cases


def styled(learned: Images, asked: Images) -> tuple[Images, Images]:
    """The same images under other labels: which quarter of the training images' contrasts theirs lies in.

    Args:
        learned: Training images, whose quartiles bound the classes.
        asked: Test images.
    """
    contrast = shape_of(learned)["contrast"]
    bounds = contrast.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=contrast.dtype))
    names = ("flat", "soft", "clear", "hard")

    def relabeled(images: Images, values: Tensor) -> Images:
        return replace(images, labels=torch.bucketize(values, bounds), classes=names)

    return relabeled(learned, contrast), relabeled(asked, shape_of(asked)["contrast"])


def _case(run: Run, name: str, images: tuple[Images, Images], preset: Preset, hidden: str) -> _Case:
    path = run.place / f"failures-{name}.safetensors"
    if not path.is_file():
        train(preset, images[0]).save(path)
    network, facts = load_model(path)
    classifier = Classifier(fused(network), mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    return _Case(classifier, images[1], hidden)


def _epochs(preset: Preset, epochs: float, **other: Any) -> Preset:
    return replace(preset, training=replace(preset.training, epochs=epochs, **other))


def _brief(images: Images, name: str, seed: int) -> Preset:
    preset = _epochs(classifier_for(images, seed), 3.0)
    arguments = {**preset.model["arguments"], "width": 8}
    return replace(preset, model={"architecture": name, "arguments": arguments})
