"""A captioner as probes ask it: the layers of its encoder, what it says, and how likely it finds a sentence."""

from pathlib import Path

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.loading.checkpoint import other_kind
from amiss.models import Captioner
from amiss.scope import untouched
from amiss.training import load_model

__all__ = ["Describer", "open_captioner"]


class Describer(Classifier):
    """A captioner, wrapped: `Mimic` reads the layers of its encoder, `Says` its sentences, and a sum of both works.

    As with every classifier the network stays as it is: evaluation mode and frozen parameters hold for one pass.

    Args:
        captioner: The captioner.
        device: Where it is moved; it stays where it is if left out.

    Attributes:
        captioner: The captioner.
    """

    def __init__(self, captioner: Captioner, device: torch.device | str | None = None) -> None:
        if device is not None:
            captioner.to(device)
        self.captioner = captioner
        super().__init__(captioner.encoder, size=captioner.size, channels=captioner.channels)

    @property
    def fingerprint(self) -> str:
        """Digest of all its weights, those that speak included."""
        return Classifier(self.captioner).fingerprint

    def log_prob(self, sentence: str, x: Tensor) -> Tensor:
        """Log probability [N], nats, of a sentence about each image [N, C, H, W] in [0, 1].

        Raises:
            ModelError: A word is unknown, or the sentence is too long.
            ContractError: The images have another size.
        """
        inputs = self._counted(x)
        with untouched(self.captioner):
            return self.captioner.log_prob(sentence, inputs)

    def answer(self, x: Tensor, width: int = 1) -> list[str]:
        """A sentence about each image [N, C, H, W] in [0, 1]; of more than one beginning by beam search."""
        inputs = self._counted(x)
        with untouched(self.captioner):
            return self.captioner.answer(inputs, width)

    def plain(self, sentence: str) -> str:
        """The sentence as the captioner would write it: small letters, no marks."""
        return self.captioner.plain(sentence)

    def _counted(self, x: Tensor) -> Tensor:
        """The images as the network is shown them; a pass is counted, and one back where there will be one."""
        inputs = self.shown(x)
        if inputs.requires_grad:
            inputs.register_hook(self._count_backward)
        self.counts.forward += 1
        self.counts.queries += len(x)
        return inputs


def open_captioner(path: Path | str, device: torch.device | str | None = None) -> Describer:
    """The captioner in a checkpoint that `amiss train captioner` wrote, ready to be probed.

    Args:
        path: The file.
        device: Where it goes; the CPU if left out.

    Raises:
        ModelError: The checkpoint holds another kind of model.
        CheckpointError: The file is missing, foreign or damaged.
    """
    module, facts = load_model(path)
    if not isinstance(module, Captioner):
        raise other_kind(path, facts, "captioner", "a captioner", "Train one: amiss train captioner scenes")
    return Describer(module, device)
