"""An encoder for a generator that stays as it is: with it, a GAN has codes for images, and can serve the probes."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.coded import Coded
from amiss.models.gan import DCGAN, GAN, Adversarial

__all__ = ["Inverter"]

_GENERATORS: dict[str, type[Adversarial]] = {"GAN": GAN, "DCGAN": DCGAN}
_WIDEST = 2**11


class Inverter(Coded):
    """A frozen generator and an encoder that gives images the codes they could have come from.

    `decode` is the generator's, always in eval mode. `encode` is trained on drawn images, whose codes are known, and
    on real ones (`InversionLoss`). It has strided convolutions without normalization, so a row's code does not
    depend on its batch.

    Args:
        generator: Recipe of the generator: {"architecture": "GAN" or "DCGAN", "arguments": {...}}.
        width: Channels of the encoder's first convolution; the second has twice as many.
        hidden: Units of the encoder's dense layer.

    Raises:
        UsageError: The recipe is for no generator, or an argument cannot mean anything.

    References:
        Zhu et al. 2016, generative visual manipulation on the natural image manifold, section 3.1.
    """

    def __init__(self, generator: Mapping[str, Any], width: int = 32, hidden: int = 256) -> None:
        super().__init__()
        name, arguments = generator.get("architecture"), generator.get("arguments", {})
        if name not in _GENERATORS or not isinstance(arguments, Mapping) or not 1 <= min(width, hidden) <= max(
            width, hidden
        ) <= _WIDEST:  # fmt: skip
            raise UsageError(
                "This inverter cannot be built.",
                slug="inverter-arguments",
                seen=f"generator={dict(generator)!r}, width={width}, hidden={hidden}"[:200],
                needed=f"the recipe of a GAN or a DCGAN, and positive numbers of at most {_WIDEST}",
                hint='Pass Inverter({"architecture": "DCGAN", "arguments": {"size": 28}}).',
            )
        self.gan = _GENERATORS[name](**arguments)
        self.gan.requires_grad_(False)
        self.latent = self.gan.latent
        channels, height, across = self.gan.shape
        layers: list[nn.Module] = []
        for before, after in pairwise([channels, width, 2 * width]):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            height, across = -(-height // 2), -(-across // 2)
        self.encoder = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(2 * width * height * across, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, self.latent),
        )

    def train(self, mode: bool = True) -> "Inverter":
        """Change the encoder's mode; the generator stays in eval mode, or its batch statistics would move."""
        super().train(mode)
        self.gan.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "Inverter":
        """Change the encoder alone; the generator stays frozen."""
        super().requires_grad_(requires_grad)
        self.gan.requires_grad_(False)
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, latent] of images `x` [N, C, H, W] in [0, 1]."""
        if tuple(x.shape[1:]) != self.gan.shape:
            raise ContractError(
                "The images do not fit this inverter.",
                slug="inverter-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {', '.join(map(str, self.gan.shape))})",
                hint="Resize the images, or train a generator for their size.",
            )
        code: Tensor = self.encoder(2 * x - 1)
        return code.to(torch.promote_types(code.dtype, torch.float32))

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes `z` [N, latent]: the generator's."""
        return self.gan.decode(z)

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] from the generator's prior."""
        return self.gan.prior(n, temperature=temperature, generator=generator)
