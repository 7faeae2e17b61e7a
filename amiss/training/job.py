"""From a preset and data to a trained model with its figures, ready to be saved."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from amiss.data.training_data import TrainingData
from amiss.models import build
from amiss.training.checkpoint import save_model
from amiss.training.kinds import KINDS
from amiss.training.preset import Preset
from amiss.training.progress import History, Progress, Watch
from amiss.training.trainer import fit

__all__ = ["Trained", "evaluate", "train"]


@dataclass(frozen=True)
class Trained:
    """A model, how it came to be, and what it can do.

    Attributes:
        model: In eval mode, on the CPU.
        preset: What it was trained by.
        facts: What travels with it in its file; `figures` holds those of the test data.
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
    data: TrainingData,
    test: TrainingData | None = None,
    *,
    out: Path | str | None = None,
    on_step: Callable[[Progress], None] | None = None,
    device: torch.device | str = "cpu",
    more: int | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Build, train and evaluate a model.

    Args:
        preset: What to train and how.
        data: The training images, labeled for a classifier, with their table for one of many labels; or the text, for
            a kind that learns from one.
        test: The same for the figures; none are made up without it.
        out: Folder where the run keeps its state; an unfinished run there is continued.
        on_step: Told after each step.
        device: Where to train; figures are computed on the CPU.
        more: Go on for so many steps more than the run in `out` has done.
        watch: Who looks at the run while it goes on.

    Raises:
        TrainingError: A loss or gradient was not finite.
        CheckpointError: The folder holds the state of another run.
        UsageError: `more`, and there is no run to go on with.
    """
    kind = KINDS[preset.kind]
    model = build(preset.model, seed=preset.training.seed)
    model.load_state_dict(dict(preset.start), strict=False)
    rows = kind.data(preset, data)
    history = fit(
        model, preset.loss, rows, preset.training, out=out, on_step=on_step, device=device, more=more, watch=watch
    )
    model.cpu()
    facts: dict[str, Any] = {
        "kind": preset.kind,
        "data": data.fingerprint,
        "classes": list(data.classes),
        "training": {"steps": history.steps, kind.counts: len(data), "seed": preset.training.seed},
        "figures": {} if test is None else evaluate(model, preset, test),
    }
    return Trained(model, preset, facts | kind.facts(preset), history)


def evaluate(model: nn.Module, preset: Preset, test: TrainingData) -> dict[str, float]:
    """Figures on data that the model has not seen.

    Returns:
        What the kind of the model measures: for a classifier `accuracy`; for one of many labels `accuracy:NAME` of
        each, their mean as `accuracy`, and `majority`, which is what the commoner answer alone would score; for a vae
        `negative_elbo` and `kl` (nats an image, the pixels binarized where its training binarized them), and `mse`
        of a pixel of the reconstruction; for a flow `bits_per_dim` and `mse`; for an autoregressive model `nats` an
        image and `bits_per_dim`; for a language model `bits_per_character`. `images` counts the images, `characters`
        those of a text.
    """
    kind = KINDS[preset.kind]
    return {kind.counts: len(test), **kind.evaluate(model, preset, test)}
