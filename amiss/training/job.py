"""From a preset and images to a trained model with its figures, ready to be saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amiss.data.attributes import attributes
from amiss.data.images import Images
from amiss.models import ConvVAE, Flow, build
from amiss.training.checkpoint import save_model
from amiss.training.evaluate import accuracy, flow_bits, head_accuracies, mean_elbo, reconstruction_error
from amiss.training.losses import AttributesLoss, ClassifierLoss, ELBOLoss
from amiss.training.presets import Preset
from amiss.training.trainer import History, Progress, fit

__all__ = ["Trained", "evaluate", "train"]


@dataclass(frozen=True)
class Trained:
    """A model, how it came to be, and what it can do.

    Attributes:
        model: In eval mode, on the CPU.
        preset: What it was trained by.
        facts: What travels with it in its file; `figures` holds those of the test images.
        history: The loss curve and what it cost.
    """

    model: nn.Module
    preset: Preset
    facts: dict[str, Any]
    history: History

    def save(self, path: Path | str, dtype: Literal["float32", "float16"] = "float32") -> None:
        """Write the model with its facts to one file (see `save_model`)."""
        save_model(path, self.model, self.preset.model, self.facts, dtype=dtype)


def train(
    preset: Preset,
    images: Images,
    test: Images | None = None,
    *,
    out: Path | str | None = None,
    on_step: Callable[[Progress], None] | None = None,
    device: torch.device | str = "cpu",
) -> Trained:
    """Build, train and evaluate a model.

    Args:
        preset: What to train and how.
        images: The training images; labeled for a classifier, with their table for one of many labels.
        test: Images for the figures; none are made up without them.
        out: Folder where the run keeps its state; an unfinished run there is continued.
        on_step: Told after each step.
        device: Where to train; figures are computed on the CPU.

    Raises:
        TrainingError: A loss or gradient was not finite.
        CheckpointError: The folder holds the state of another run.
    """
    model = build(preset.model, seed=preset.training.seed)
    model.load_state_dict(dict(preset.start), strict=False)
    data: dict[str, Tensor] = {"image": images.pixels}
    if isinstance(preset.loss, ClassifierLoss) and images.labels is not None:
        data["label"] = images.labels
    if isinstance(preset.loss, AttributesLoss):
        data["attribute"] = _columns(images, preset.loss)
    history = fit(model, preset.loss, data, preset.training, out=out, on_step=on_step, device=device)
    model.cpu()
    facts: dict[str, Any] = {
        "kind": preset.kind,
        "data": images.fingerprint,
        "classes": list(images.classes),
        "training": {"steps": history.steps, "images": len(images), "seed": preset.training.seed},
        "figures": {} if test is None else evaluate(model, preset, test),
    }
    if isinstance(preset.loss, ClassifierLoss | AttributesLoss):
        facts |= {"mean": list(preset.loss.mean), "std": list(preset.loss.std)}
    if isinstance(preset.loss, AttributesLoss):
        facts |= {"heads": list(preset.loss.heads)}
    return Trained(model, preset, facts, history)


def evaluate(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """Figures on images that the model has not seen.

    Returns:
        For a classifier `accuracy`; for one of many labels `accuracy:NAME` of each, their mean as `accuracy`, and
        `majority`, which is what the commoner answer alone would score; for an autoencoder `negative_elbo` and `kl`
        (nats an image, the pixels binarized where its training binarized them), and `mse` of a pixel of the
        reconstruction; for a flow `bits_per_dim` and `mse`. `images` counts the images.
    """
    figures: dict[str, float] = {"images": len(test)}
    if isinstance(preset.loss, ClassifierLoss) and test.labels is not None:
        mean, std = preset.loss.mean, preset.loss.std
        figures["accuracy"] = accuracy(model, test.pixels, test.labels, mean=mean, std=std)
    if isinstance(preset.loss, AttributesLoss):
        columns = _columns(test, preset.loss)
        each = head_accuracies(model, test.pixels, columns, mean=preset.loss.mean, std=preset.loss.std)
        there = columns.mean(0)
        figures |= {"accuracy": float(each.mean()), "majority": float(torch.maximum(there, 1 - there).mean())}
        figures |= {f"accuracy:{name}": float(share) for name, share in zip(preset.loss.heads, each, strict=True)}
    if isinstance(preset.loss, ELBOLoss) and isinstance(model, ConvVAE):
        bound, kl = mean_elbo(model, test.pixels, binarize=preset.loss.binarize)
        figures |= {"negative_elbo": -bound, "kl": kl}
        figures["mse"] = reconstruction_error(model, test.pixels)
    if isinstance(model, Flow):
        figures |= {"bits_per_dim": flow_bits(model, test.pixels), "mse": reconstruction_error(model, test.pixels)}
    return figures


def _columns(images: Images, loss: AttributesLoss) -> Tensor:
    """The attributes that a loss names, as floats 0 and 1 [n, m]."""
    return torch.stack(list(attributes(images, loss.heads).values()), 1).float()
