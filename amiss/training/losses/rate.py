"""The loss of a codec: bits for what is kept, and squared error for what is lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models import ImageCodec
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["RateLoss"]


@dataclass(frozen=True)
class RateLoss:
    """Nats of an image's code, and the squared error of the image times a factor; it reads `image` in [0, 1].

    The rate of each row is drawn anew in each step. Where an error is weighed with 6 / step**2, a fine uniform
    quantizer of that step is best: its error step**2 / 12 costs half a nat, and half the step costs ln 2 nats more.

    Attributes:
        steps: For each rate of the codec the step, in gray levels of 255, finest first.
        start: Fingerprint of the weights that the run begins with: other components make another run.

    Raises:
        UsageError: There is no step, or one that is not positive.

    References:
        Balle, Laparra and Simoncelli 2017, equation 10; Gersho and Gray 1992, section 5.6 (fine quantizers).
    """

    steps: tuple[float, ...]
    start: str = ""
    turns: tuple[tuple[str, ...], ...] = (("codec",),)

    def __post_init__(self) -> None:
        if not self.steps or not all(0 < step < float("inf") for step in self.steps):
            raise UsageError(
                "A codec is trained for steps of quantization.",
                slug="codec-steps",
                seen=str(self.steps),
                needed="one positive number a rate, in gray levels of 255",
                hint="Pass, for instance, RateLoss((30, 42, 60, 85, 120)).",
            )

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"codec": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed rate and weighed distortion."""
        codec, image = expect(model, ImageCodec, "RateLoss"), batch["image"]
        rate = torch.randint(len(self.steps), (len(image),), generator=batch.generator(1)).to(image.device)
        nats, error = codec.rate_distortion(image, rate, batch.generator())
        weight = 6 * (255 / image.new_tensor(self.steps)) ** 2
        return {"codec": (nats + weight[rate] * error).sum()}
