"""The U-Net: maps that shrink and grow again with bridges between them, and a denoiser that is made of one."""

import itertools
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound

__all__ = ["Denoiser", "UNet", "unet_sizes"]

_DEEPEST, _WIDEST, _CHANNELS, _LARGEST = 8, 1024, 1024, 2**14


class UNet(nn.Module):
    """Levels of two 3 x 3 convolutions each, halved by max-pooling on the way down and doubled on the way up.

    Where it grows, the map that left for the level below is cropped to the center and put beside what came back, so
    that fine detail need not pass the bottom. Without those bridges it is a bottleneck, as compression needs it.

    Args:
        channels: Channels of the images.
        outputs: Channels of the answer.
        width: Channels of the first level; each level below has twice as many.
        depth: Levels below the first.
        padding: "valid" as published: each convolution takes a pixel off each side; "same" keeps the size.
        skips: Whether there are bridges.

    Raises:
        UsageError: An argument that cannot mean anything, or asks for a network past all reason.

    References:
        Ronneberger, Fischer and Brox 2015, figure 1.
    """

    def __init__(
        self,
        channels: int = 1,
        outputs: int = 2,
        width: int = 64,
        depth: int = 4,
        padding: Literal["valid", "same"] = "valid",
        skips: bool = True,
    ) -> None:
        super().__init__()
        limits = {"channels": _CHANNELS, "outputs": _CHANNELS, "width": _WIDEST, "depth": _DEEPEST}
        counts = {"channels": channels, "outputs": outputs, "width": width, "depth": depth}
        if any(not 1 <= n <= limits[name] for name, n in counts.items()) or padding not in ("valid", "same"):
            raise UsageError(
                "This U-Net cannot be built.",
                slug="unet-arguments",
                seen=", ".join(f"{name}={n}" for name, n in counts.items()) + f", padding={padding!r}",
                needed=", ".join(f"{name} 1 to {n}" for name, n in limits.items()) + ", padding 'valid' or 'same'",
                hint="Pass, for instance, UNet(channels=1, outputs=2, width=64, depth=4).",
            )
        self.channels, self.outputs, self.depth, self.padding, self.skips = channels, outputs, depth, padding, skips
        widths = [width * 2**i for i in range(depth + 1)]
        margin = 0 if padding == "valid" else 1
        self.down = nn.ModuleList(_pair(a, b, margin) for a, b in zip([channels, *widths[:-1]], widths, strict=True))
        above = widths[-2::-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in above)
        self.up = nn.ModuleList(_pair(2 * w if skips else w, w, margin) for w in above)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The answer [N, outputs, H', W'] to images [N, channels, H, W], of any range; with "same" H' is H.

        Raises:
            ContractError: The images have other channels, or a side that cannot be halved and bridged so often.
        """
        for answer in self.maps(x):  # noqa: B007 - the last one is wanted
            pass
        return answer

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Every map in order: the image, what each convolution, pooling and growth gives, and last the answer."""
        self._check(x)
        yield x
        left: list[Tensor] = []
        for level, pair in enumerate(self.down):
            if level:
                left.append(x)
                x = F.max_pool2d(x, 2)
                yield x
            for conv in pair:  # type: ignore[attr-defined]
                x = F.relu(conv(x))
                yield x
        for grow, pair in zip(self.grow, self.up, strict=True):
            x, other = grow(x), left.pop()
            if self.skips:
                x = torch.cat([_cropped(other, x), x], 1)
            yield x
            for conv in pair:  # type: ignore[attr-defined]
                x = F.relu(conv(x))
                yield x
        yield self.head(x)

    def _check(self, x: Tensor) -> None:
        fits = x.ndim == 4 and x.shape[1] == self.channels
        sides = list(x.shape[2:])
        if not fits or not all(_fits(side, self.depth, self.padding) for side in sides):
            nearest = [_nearest(side, self.depth, self.padding) for side in sides]
            raise ContractError(
                "The images do not fit this U-Net.",
                slug="unet-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {self.channels}, H, W) with sides that {self.depth} halvings leave whole",
                why="a side is odd where it is to be halved, or too short",
                hint=f"Pad the images to {' x '.join(map(str, nearest))}." if fits else "Match the channels.",
            )


class Denoiser(nn.Module):
    """A U-Net with same padding that says what noise to take away.

    D(y) = y + u(y), and u begins as 0, so that training begins at the identity. Trained on the squared error under
    normal noise of deviation sigma it estimates the mean of all images that y may have been, hence the gradient of
    the log density of noisy images, (D(y) - y) / sigma^2. `sample` walks along it.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels of what `sample` draws, divisible by 2^depth.
        width: Channels of the first level.
        depth: Levels below the first.
        sigma: Deviation of the noise that it is trained for, in units of the image range.

    Raises:
        UsageError: An argument that cannot mean anything.

    References:
        Vincent et al. 2008 (denoising autoencoders); Zhang et al. 2017, section III (learning the residual); Miyasawa
        1961 (the mean is a gradient); Saremi and Hyvarinen 2019, section 3 (walk and jump).
    """

    bound: Bound = "none"

    def __init__(
        self, channels: int = 3, size: int = 32, width: int = 24, depth: int = 2, sigma: float = 0.2
    ) -> None:
        super().__init__()
        self.net = UNet(channels, channels, width, depth, "same")
        if not (0 < sigma < 100) or not 1 <= size <= _LARGEST or size % 2**depth:
            raise UsageError(
                "This denoiser cannot be built.",
                slug="denoiser-arguments",
                seen=f"size={size}, depth={depth}, sigma={sigma}",
                needed=f"a size up to {_LARGEST} divisible by {2**depth}, and a positive deviation below 100",
                hint="Pass, for instance, Denoiser(channels=3, size=32, depth=2, sigma=0.2).",
            )
        self.channels, self.size, self.sigma = channels, size, sigma
        nn.init.zeros_(self.net.head.weight)
        assert self.net.head.bias is not None  # noqa: S101 - for the reader and the checker of types
        nn.init.zeros_(self.net.head.bias)

    def forward(self, y: Tensor) -> Tensor:
        """The estimated images [N, C, H, W] of noisy ones; they may leave [0, 1] by a little."""
        return y + self.net(y).to(y)

    def averaged(self, y: Tensor) -> Tensor:
        """The mean of the estimates of noisy images [N, C, H, W] in all eight positions of a square, turned back.

        It takes eight passes, and errs a little less: errors that depend on the position cancel.

        References:
            Timofte, Rothe and Van Gool 2016, section 3.6 (enhanced prediction).
        """
        total = torch.zeros_like(y)
        for turns, mirrored in itertools.product(range(4), (False, True)):
            turned = torch.rot90(y, turns, (2, 3))
            answer = self(turned.flip(3)).flip(3) if mirrored else self(turned)
            total = total + torch.rot90(answer, -turns, (2, 3))
        return total / 8

    @torch.no_grad()
    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        steps: int = 100,
    ) -> Tensor:
        """`n` images [n, C, H, W] in [0, 1]: a walk among noisy images, and one estimate at its end.

        Args:
            n: How many.
            c: None: there is no condition.
            given: Images [n, C, H, W] that the walk begins at; by default noise.
            mask: True [n, C, H, W] where the images are to agree with `given`.
            temperature: Factor on the noise of the walk.
            generator: Where the noise is drawn from, on the CPU.
            steps: Of the walk.

        Raises:
            ContractError: A condition was passed, a mask without images, or shapes that do not fit.
        """
        shape = (n, self.channels, self.size, self.size)
        wrong = c is not None or (mask is not None and given is None)
        wrong |= any(t is not None and tuple(t.shape) != shape for t in (given, mask))
        if wrong:
            raise ContractError(
                "The denoiser cannot draw such images.",
                slug="denoiser-condition",
                seen=f"c={c is not None}, given={None if given is None else tuple(given.shape)}, "
                f"mask={None if mask is None else tuple(mask.shape)}",
                needed=f"no condition; images, and with them a mask, of shape {shape}",
                hint="Pass given=x to begin at images, and mask=kept to keep their pixels.",
            )
        generator = generator or torch.Generator().manual_seed(0)

        def noise() -> Tensor:
            return self.sigma * torch.randn(shape, generator=generator).to(self.net.head.weight)

        y = (0.5 if given is None else given) + noise()
        for _ in range(steps):
            if given is not None and mask is not None:
                y = torch.where(mask, given + noise(), y)
            # Langevin's step of half a variance: the gradient's half way to the estimate, and noise to match.
            y = y + 0.5 * (self(y) - y) + temperature * noise()
        x = self(y).clamp(0, 1)
        return x if given is None or mask is None else torch.where(mask, given, x)


def unet_sizes(side: int = 572, depth: int = 4, padding: Literal["valid", "same"] = "valid") -> list[int]:
    """Side of every map of a U-Net for images of so many pixels a side, the last two being the answer's.

    They are read off the network itself, which computes without memory.

    Raises:
        ContractError: Images of this side do not fit.
        UsageError: There is no such network.
    """
    with torch.device("meta"):
        net = UNet(1, 2, 1, depth, padding)
        return [int(m.shape[-1]) for m in net.maps(torch.empty(1, 1, side, side))]


def _pair(before: int, after: int, margin: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Conv2d(before, after, 3, padding=margin), nn.Conv2d(after, after, 3, padding=margin)])


def _cropped(x: Tensor, like: Tensor) -> Tensor:
    """The center of `x`, of the size of `like`."""
    height, width = like.shape[2:]
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def _fits(side: int, depth: int, padding: str) -> bool:
    """Whether each halving finds an even side, and each map has a pixel at least."""
    lost = 4 if padding == "valid" else 0
    for _ in range(depth):
        side -= lost
        if side < 2 or side % 2:
            return False
        side //= 2
    for _ in range(depth):
        side = 2 * (side - lost)
        if side < 2:
            return False
    return side > lost


def _nearest(side: int, depth: int, padding: str) -> int:
    """The next side that fits."""
    side = max(1, min(side, _LARGEST))
    while not _fits(side, depth, padding):
        side += 1
    return side
