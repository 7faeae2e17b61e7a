"""What other networks make of feature adversaries that were made for one of them, beside noise of equal size."""

from typing import Any

import torch

from amiss.analysis.transfer import transfer as shown
from amiss.bench.bench import Run, Skip
from amiss.bench.features_labels import MADE
from amiss.bench.mobilenets import mobilenet, scene
from amiss.classifier import Classifier
from amiss.models import reinitialized
from amiss.tensorfile import read_tensors

__all__ = ["transfer"]

_OTHERS = ("v1-0.5", "v1-0.25")


def transfer(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV2's images of the part labels at 10/255 shown to MobileNetV1, half and a quarter as wide."""
    torch.set_num_threads(1)
    if not (run.place / MADE).is_file():
        raise Skip("the part labels comes first")
    made = read_tensors(run.place / MADE)[0]
    told, figures = {}, {}
    for name, classifier in _others(run).items():
        seen = shown(
            classifier, made["source"], made["made"], made["label"], made["guide"], made["key"], seed=run.seed
        )
        short = name.replace("-", "_").replace(".", "")
        figures[f"transfer_changed_{short}"] = seen.made.changed / seen.made.n
        figures[f"transfer_noise_{short}"] = seen.noise.changed / seen.noise.n
        figures[f"transfer_guide_{short}"] = seen.made.guide / seen.made.n
        told[name] = {"made": seen.made.shares, "noise": seen.noise.shares, "right": seen.right, "n": seen.made.n}
    return figures, told


def _others(run: Run) -> dict[str, Classifier]:
    if run.quick:  # a network that has learned nothing
        own = scene(run, "v2", 2).classifier
        network: Any = own.network
        return {"random": Classifier(reinitialized(network, "random"), labels=own.labels)}
    return {name: mobilenet(run, name) for name in _OTHERS}
