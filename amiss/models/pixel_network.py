"""What pixel networks share: a condition at their beginning, and the order of channels at their end."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models.masked import ConvCache, check_condition, check_network, dense, gray_likelihood
from amiss.models.pixel_density import PixelDensity

__all__ = ["ChannelHead", "Condition", "PixelNetwork"]


class Condition(nn.Module):
    """A bias for every place of the first maps: a learned one, and what a class or a low-resolution image adds to it.

    Args:
        features: Channels of the first maps.
        channels: Channels of the images.
        size: Height and width of the images.
        classes: Number of classes; 0: none is asked for.
        low: Height and width of the low-resolution image; 0: none is asked for. It divides `size`.

    References:
        van den Oord et al. 2016, conditional image generation with PixelCNN decoders, section 2.3.
    """

    def __init__(self, features: int, channels: int, size: int, classes: int, low: int) -> None:
        super().__init__()
        if (classes and low) or (low and size % low):
            raise UsageError(
                "Images cannot depend on this.",
                slug="density-depends",
                seen=f"classes={classes}, low={low}, size={size}",
                needed="classes, or a low-resolution image whose side divides that of the images, not both",
                hint="Pass, for instance, size=28, low=7.",
            )
        self.channels, self.classes, self.low = channels, classes, low
        self.place = nn.Parameter(torch.zeros(1, features, size, size))
        self.name = nn.Embedding(classes, features) if classes else None
        self.spread: nn.Module | None = None
        if low:
            # Each place of a block has weights of its own: a pixel's place in its block matters.
            look = nn.Conv2d(channels, features, 3, padding=1)
            self.spread = nn.Sequential(
                look, nn.ReLU(), nn.ConvTranspose2d(features, features, size // low, size // low)
            )

    def forward(self, c: Tensor | None) -> Tensor:
        """The bias [N or 1, features, H, W] for classes [N], int64, or small images [N, C, h, w] in [0, 1].

        Raises:
            ContractError: `c` is not what the network depends on.
        """
        self._check(c)
        if c is not None and self.name is not None:
            return self.place + self.name(c)[:, :, None, None]
        if c is not None and self.spread is not None:
            return self.place + self.spread(2 * c.to(self.place.dtype) - 1)
        return self.place

    def _check(self, c: Tensor | None) -> None:
        if self.classes:
            fits = c is not None and c.dtype == torch.int64 and c.ndim == 1
            fits = fits and bool(((c >= 0) & (c < self.classes)).all())  # type: ignore[operator, union-attr]
            check_condition(c, fits, f"classes [N], int64, from 0 to {self.classes - 1}")
        elif self.low:
            want = (self.channels, self.low, self.low)
            fits = c is not None and c.is_floating_point() and tuple(c.shape[1:]) == want
            check_condition(c, fits, f"images (N, {want[0]}, {want[1]}, {want[2]}) in [0, 1]")
        else:
            check_condition(c, c is None)


class ChannelHead(nn.Module):
    """From features of a pixel's predecessors to the parameters of its channels, one after the other.

    A hidden layer for each channel reads the features and the pixel's own earlier channels (for green, red); a linear
    way leads past it.

    Args:
        features: Channels of the maps it reads.
        hidden: Units of the hidden layer of each channel.
        channels: Channels of the images.
        outputs: Numbers that the likelihood reads for each channel.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, equation 2 (the order of channels); Salimans, Karpathy, Chen
        and Kingma 2017, section 2.2 (features of whole pixels, channels coupled at the end).
    """

    def __init__(self, features: int, hidden: int, channels: int, outputs: int) -> None:
        super().__init__()
        later = range(1, channels)
        self.read = nn.ModuleList(nn.Conv2d(features, hidden, 1) for _ in range(channels))
        self.write = nn.ModuleList(nn.Conv2d(hidden, outputs, 1) for _ in range(channels))
        self.join = nn.ModuleList(nn.Conv2d(g, hidden, 1, bias=False) for g in later)
        self.past = nn.ModuleList(nn.Conv2d(g, outputs, 1, bias=False) for g in later)

    def forward(self, maps: Tensor, x: Tensor) -> Tensor:
        """Parameters [N, outputs, D] from features [N, F, H, W], and images `x` [N, C, H, W] in [-1, 1]."""
        maps = F.relu(maps)
        out = []
        for g, (read, write) in enumerate(zip(self.read, self.write, strict=True)):
            units = read(maps) if not g else read(maps) + self.join[g - 1](x[:, :g])
            given = write(F.relu(units))
            out.append((given if not g else given + self.past[g - 1](x[:, :g])).flatten(2))
        return torch.stack(out, 3).flatten(2)


class _HeadCache:
    """The head, one channel after the other; weights are copied as they are now."""

    def __init__(self, head: ChannelHead) -> None:
        self.read, self.write = [dense(m) for m in head.read], [dense(m) for m in head.write]
        self.join, self.past = [dense(m)[0] for m in head.join], [dense(m)[0] for m in head.past]
        self.maps = torch.empty(0)

    def at(self, channel: int, pixel: Tensor) -> Tensor:
        """Parameters [n, outputs] of a channel, given the pixel [n, C] whose earlier channels are known."""
        weight, bias = self.read[channel]
        units = torch.addmm(bias, self.maps, weight)
        if channel:
            units = torch.addmm(units, pixel[:, :channel], self.join[channel - 1])
        weight, bias = self.write[channel]
        out = torch.addmm(bias, units.relu_(), weight)
        return torch.addmm(out, pixel[:, :channel], self.past[channel - 1]) if channel else out


class MapsCache(Protocol):
    """What a network keeps of its maps while pixels are drawn."""

    first: ConvCache
    """The convolution that reads the image."""

    def row(self, y: int, extra: Tensor) -> None:
        """All that can be known before row `y` is begun; `extra` [W, n or 1, F] is added to the first maps."""
        ...

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, F] of the pixel (y, x)."""
        ...


@dataclass
class _Cache:
    """The parts of `PixelNetwork.step`: biases by row and column [H, W, n or 1, F], the maps, the head."""

    extra: Tensor
    maps: MapsCache
    head: _HeadCache


class PixelNetwork(PixelDensity):
    """A density whose network is made of maps; the features of a pixel come from the pixels before it.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        features: Channels of the maps.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        levels: int,
        components: int,
        features: int,
        hidden: int,
        classes: int,
        low: int,
    ) -> None:
        likelihood = gray_likelihood(levels, components)
        super().__init__(channels, size, likelihood)
        sizes = {"channels": channels, "hidden": hidden, "classes": classes, "low": low}
        check_network(type(self).__name__, sizes, {"channels": 16, "hidden": 1024})
        self.low = low
        self.condition = Condition(features, channels, size, classes, low)
        self.head = ChannelHead(features, hidden, channels, likelihood.outputs)

    @abstractmethod
    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, F, H, W] of images `x` [N, C, H, W] in [-1, 1]; `extra` is added to the first maps."""

    @abstractmethod
    def maps_cache(self, n: int) -> Any:
        """The same, one pixel after the other: a `MapsCache` of `n` images."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters [N, outputs, D] of images `x` [N, C, H, W] in [0, 1]."""
        x = 2 * x - 1
        return self.head(self.maps(x, self._extra(c, len(x))), x)

    def init_cache(self, n: int, c: Tensor | None = None) -> _Cache:
        """Maps of which nothing is seen, and the biases of the condition."""
        extra = self._extra(c, n).detach().permute(2, 3, 0, 1).contiguous()
        return _Cache(extra, self.maps_cache(n), _HeadCache(self.head))

    def step(self, previous: Tensor | None, t: int, cache: _Cache) -> Tensor:
        """Parameters [n, outputs] of dimension `t`, after dimension t - 1 had the values `previous`."""
        first = cache.maps.first
        if previous is not None:
            place, channel = divmod(t - 1, self.channels)
            first.slot(*divmod(place, self.size))[:, channel] = 2 * previous - 1
        place, channel = divmod(t, self.channels)
        y, x = divmod(place, self.size)
        if not channel:
            if not x:
                cache.maps.row(y, cache.extra[y])
            cache.head.maps = cache.maps.at(y, x)
        return cache.head.at(channel, first.slot(y, x))

    def _extra(self, c: Tensor | None, n: int) -> Tensor:
        """The bias of `n` images, or one for all of them."""
        extra: Tensor = self.condition(c)
        check_condition(c, len(extra) in (1, n), f"a condition for each of {n} images, or one for all")
        return extra
