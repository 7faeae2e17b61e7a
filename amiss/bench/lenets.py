"""Small networks for digits that the parts of a bench share: MNIST, or drawn digits where less must do."""

from dataclasses import replace

import torch

from amiss.bench.bench import Run
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.training import Preset, load_model, presets, train

__all__ = ["digits", "lenet"]


def digits(run: Run, split: str = "train") -> Images:
    """MNIST's images of 28 pixels; if quick, the drawn digits at that size.

    Args:
        run: Whose folder of real data holds them.
        split: "train" or "test".

    Raises:
        Skip: There is no MNIST here.
    """
    if not run.quick:
        return open_data(str(run.data("MNIST")), split=split)
    small = open_data("digits", split=split)
    pixels = torch.nn.functional.interpolate(small.images(), size=28).mul(255).round().to(torch.uint8)
    return Images.of(pixels, small.labels, small.classes)


def lenet(run: Run, seed: int | None = None, network: str = "LeNet") -> Classifier:
    """A network of 28 x 28 digits, trained once by its preset and read from its file ever after.

    Args:
        run: Where its file lies.
        seed: Of its training; the run's own where left out.
        network: "LeNet", "SmallCNN" or "ResNet".

    Raises:
        Skip: There is no MNIST here.
    """
    seed = run.seed if seed is None else seed
    path = run.place / f"{network.lower()}-{seed}.safetensors"
    if not path.is_file():
        torch.set_num_threads(1)  # the same sums, hence the same weights, on a busy machine too
        train(_preset(run, seed, network), digits(run)).save(path)
    model, facts = load_model(path)
    return Classifier(model, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def _preset(run: Run, seed: int, network: str) -> Preset:
    """That of MNIST for LeNet, two passes over the digits for others; if quick, two of any."""
    preset = presets.mnist_classifier(seed)
    if network != "LeNet":
        preset = presets.classifier_for(digits(run), seed, 2, network)
    return replace(preset, training=replace(preset.training, epochs=2)) if run.quick else preset
