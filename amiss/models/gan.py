"""Generators that learn by playing against a discriminator: the dense network of the lecture, and DCGAN."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound

__all__ = ["DCGAN", "GAN", "Adversarial", "arithmetic"]

_LARGEST, _WIDEST, _DEEPEST = 2**16, 2**13, 8  # values of an image, units of a layer, layers of a network


class Adversarial(nn.Module):
    """A generator of images and the discriminator that it learned from.

    Codes are standard normal. The generator ends in a hyperbolic tangent and the discriminator begins with images
    in [-1, 1]; both speak images in [0, 1] to the outside. In eval mode a row's image does not depend on its batch.

    Args:
        shape: Channels, height and width of the images.
        latent: Dimensions of the code.
        generator: Codes [N, latent] to the images' values before the hyperbolic tangent [N, *shape].
        discriminator: Images [N, *shape] in [-1, 1] to logits [N, 1], above 0 for "real"; its last layer is linear.
        reader: From what that last layer reads to the code of the image [N, latent]; None: codes are not read.

    References:
        Goodfellow et al. 2014, generative adversarial nets.
    """

    bound: Bound = "none"

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        generator: nn.Module,
        discriminator: nn.Sequential,
        reader: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.latent = tuple(shape), latent
        self.generator, self.discriminator, self.reader = generator, discriminator, reader

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        drawn: Tensor = self.generator(z)
        # Reduced precision ends here; float64 stays what it is.
        return (drawn.to(torch.promote_types(drawn.dtype, torch.float32)).tanh() + 1) / 2

    def forward(self, z: Tensor) -> Tensor:
        """The images of codes: `decode`."""
        return self.decode(z)

    def discriminate(self, x: Tensor) -> Tensor:
        """Logits [N] that images `x` [N, C, H, W] in [0, 1] are real."""
        return self.judge(x)[0]

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [N] that images `x` [N, C, H, W] in [0, 1] are real, and the codes [N, latent] that the reader sees.

        Raises:
            ContractError: The images have another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ContractError(
                "The images do not fit this discriminator.",
                slug="gan-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {', '.join(map(str, self.shape))})",
                hint="Resize the images, or train a model for their size.",
            )
        features = self.discriminator[:-1](2 * x - 1)
        logits: Tensor = self.discriminator[-1](features)
        full = torch.promote_types(logits.dtype, torch.float32)
        return logits.flatten().to(full), None if self.reader is None else self.reader(features).to(full)

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] from the normal prior, its standard deviation times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        device = next(self.generator.parameters()).device
        return temperature * torch.randn(n, self.latent, generator=generator).to(device)

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Images [n, C, H, W] in [0, 1] of `n` codes from the prior.

        Raises:
            ContractError: A condition was passed: there is none.
        """
        if c is not None:
            raise ContractError(
                "This generator draws from its prior alone.",
                slug="gan-condition",
                seen=f"a condition of shape {tuple(c.shape)}",
                needed="no condition",
                hint="Leave c out.",
            )
        return self.decode(self.prior(n, temperature=temperature, generator=generator))


class GAN(Adversarial):
    """Dense generator and discriminator; by default those of the lecture, for 28 x 28 digits.

    Generator: 100-256-512-1024-784, each hidden layer a leaky ReLU of slope 0.2 and batch normalization.
    Discriminator: 784-512-256-1 with leaky ReLU. Points of the plane are images of one row and two columns.

    Args:
        shape: Channels, height and width of the images.
        latent: Dimensions of the code.
        widths: Units of the generator's hidden layers.
        judges: Units of the discriminator's hidden layers.
        batch_norm: Whether the generator normalizes its hidden layers.

    Raises:
        UsageError: An argument that cannot mean anything, or a network beyond all reason.

    References:
        Goodfellow et al. 2014, generative adversarial nets; Ioffe and Szegedy 2015, algorithm 1 (batch
        normalization).
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        latent: int = 100,
        widths: Sequence[int] = (256, 512, 1024),
        judges: Sequence[int] = (512, 256),
        batch_norm: bool = True,
    ) -> None:
        _refuse_unless(
            len(shape) == 3
            and all(side >= 1 for side in shape)
            and math.prod(shape) <= _LARGEST
            and 1 <= len(widths) <= _DEEPEST
            and 1 <= len(judges) <= _DEEPEST
            and all(1 <= units <= _WIDEST for units in (latent, *widths, *judges)),
            seen=f"shape={tuple(shape)[:4]}, latent={latent}, widths={tuple(widths)[:9]}, judges={tuple(judges)[:9]}",
            hint="Pass, for instance, GAN(shape=(1, 28, 28), latent=100).",
        )
        values = math.prod(shape)
        layers: list[nn.Module] = []
        for before, after in pairwise([latent, *widths]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
            layers += [nn.BatchNorm1d(after, momentum=0.2)] if batch_norm else []
        generator = nn.Sequential(*layers, nn.Linear(widths[-1], values), nn.Unflatten(1, tuple(shape)))
        layers = [nn.Flatten()]
        for before, after in pairwise([values, *judges]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        super().__init__(shape, latent, generator, nn.Sequential(*layers, nn.Linear(judges[-1], 1)))


class DCGAN(Adversarial):
    """A generator of transposed convolutions against a discriminator of strided ones.

    The code becomes a small map by a dense layer; each transposed convolution (stride 2, and a kernel of 4, or of 3
    where the next side is odd) doubles its side and halves its channels, with batch normalization and ReLU in
    between. The discriminator is the mirror image, with leaky ReLU of slope 0.2. There are two such stages below 24
    pixels and three from there on.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels, 8 or more.
        latent: Dimensions of the code.
        width: Channels of the largest maps; each stage inwards has twice as many.
        norm: What the discriminator's inner convolutions are normalized by: "batch", "spectral" or "none".
        reads: Whether codes can be read off what the discriminator's last layer sees; see `AdversarialLoss.code`.

    Raises:
        UsageError: An argument that cannot mean anything, or a network beyond all reason.

    References:
        Radford, Metz and Chintala 2016, section 3 (DCGAN); Miyato et al. 2018, algorithm 1 (spectral normalization).
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        latent: int = 64,
        width: int = 32,
        norm: Literal["batch", "spectral", "none"] = "none",
        reads: bool = False,
    ) -> None:
        _refuse_unless(
            min(channels, latent, width) >= 1
            and size >= 8
            and channels * size**2 <= _LARGEST
            and max(latent, 4 * width) <= _WIDEST
            and norm in ("batch", "spectral", "none"),
            seen=f"channels={channels}, size={size}, latent={latent}, width={width}, norm={norm!r}",
            hint="Pass, for instance, DCGAN(channels=1, size=28, latent=64).",
        )
        stages = 2 if size < 24 else 3
        sides = [-(-size // 2**i) for i in range(stages + 1)]  # of the maps, the image's first
        widths = [channels, *(width * 2**i for i in range(stages))]
        top = widths[-1]
        layers: list[nn.Module] = [
            nn.Linear(latent, top * sides[-1] ** 2),
            nn.Unflatten(1, (top, sides[-1], sides[-1])),
        ]
        for before, after, side in zip(widths[:0:-1], widths[-2::-1], sides[-2::-1], strict=True):
            # A side of n becomes 2 n with a kernel of 4, and 2 n - 1 with one of 3.
            grow = nn.ConvTranspose2d(before, after, 3 if side % 2 else 4, stride=2, padding=1)
            layers += [nn.BatchNorm2d(before), nn.ReLU(), grow]
        generator = nn.Sequential(*layers)
        layers = []
        for i, (before, after) in enumerate(pairwise(widths)):
            # Batch normalization of the images themselves would hide their brightness.
            layers += [*_judging(before, after, norm if i else "none"), nn.LeakyReLU(0.2)]
        features = top * (size // 2**stages) ** 2
        discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 1))
        reader = nn.Linear(features, latent) if reads else None
        super().__init__((channels, size, size), latent, generator, discriminator, reader)


def arithmetic(add: Sequence[Tensor], subtract: Sequence[Tensor] = ()) -> Tensor:
    """Codes of concepts, added and subtracted: a man with glasses, less a man, and a woman.

    A concept is the average of a few codes whose images show it, for a single code shows much else beside it. One
    concept more on the left than on the right, of equally many codes each, keeps the lengths of codes: with three of
    three codes each, the sum of normal codes is as long as a code of the prior.

    Args:
        add: Concepts that are added, each of codes [..., k, latent], of which the mean over k is taken.
        subtract: Concepts that are subtracted, likewise.

    Returns:
        Codes [..., latent].

    Raises:
        UsageError: Nothing is added, or a concept has no code.

    References:
        Radford, Metz and Chintala 2016, section 6.3.2.
    """
    if not add or not all(codes.ndim >= 2 and codes.shape[-2] for codes in (*add, *subtract)):
        raise UsageError(
            "There is nothing to compute with.",
            slug="code-arithmetic",
            seen=", ".join(str(tuple(codes.shape)) for codes in (*add, *subtract)) or "no concept",
            needed="at least one concept to add, each of codes [k, latent] with k of at least 1",
            hint="Pass, for instance, arithmetic([men_with_glasses, women], [men]), three codes each.",
        )
    total = sum((codes.mean(-2) for codes in add), start=torch.zeros((), device=add[0].device))
    return total - sum((codes.mean(-2) for codes in subtract), start=torch.zeros((), device=add[0].device))


def _judging(before: int, after: int, norm: str) -> list[nn.Module]:
    """A strided convolution of the discriminator and what normalizes it."""
    convolution = nn.Conv2d(before, after, 4, stride=2, padding=1)
    if norm == "spectral":
        return [nn.utils.parametrizations.spectral_norm(convolution)]
    return [convolution, nn.BatchNorm2d(after)] if norm == "batch" else [convolution]


def _refuse_unless(sound: bool, *, seen: str, hint: str) -> None:
    if not sound:
        raise UsageError(
            "These networks cannot be built.",
            slug="gan-arguments",
            seen=seen,
            needed=f"positive numbers, at most {_LARGEST} values in an image and {_WIDEST} units in a layer",
            hint=hint,
        )
