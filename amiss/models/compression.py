"""A learned codec: a transform, whole numbers as code, and a prior that says what each of them costs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.coded import Coded

__all__ = ["FEATURES", "NEAR", "WINDOWS", "ImageCodec"]

WINDOWS = ((0, 2), (2, 8), (8, 32))
"""Channels before a number's own whose magnitudes are summed: from so many back, to so many back."""

NEAR = 8
"""Channels before a number's own whose magnitudes are summed over its 3 x 3 places."""

FEATURES = 3 + len(WINDOWS) + 1
"""What a number's scale is a sum of: 1, whether it is the first place, the four places around it, and channels."""

LEAST = 2**-5
"""No scale of the prior is smaller."""

_MOST = {"channels": 16, "size": 1024, "stride": 16, "code": 512, "width": 512, "depth": 16, "rates": 16}
# A step of the optimizer is about as long for each weight; those of the prior and the gains have farther to go.
_FAR, _FARTHER = 5.0, 20.0


class _Filter(nn.Module):
    """A small residual net from images to images, on blocks of pixels, that knows the rate; at first it gives 0."""

    def __init__(self, channels: int, block: int, width: int, depth: int, rates: int) -> None:
        super().__init__()
        self.block = block
        self.first = nn.Conv2d(channels * block**2, width, 3, padding=1)
        self.rate = nn.Embedding(rates, width)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2 * depth))
        self.last = nn.Conv2d(width, channels * block**2, 3, padding=1)
        nn.init.zeros_(self.rate.weight)
        for layer in (*self.layers[1::2], self.last):
            assert isinstance(layer, nn.Conv2d)  # noqa: S101
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        h = self.first(F.pixel_unshuffle(x, self.block)) + self.rate(rate)[:, :, None, None]
        for one, two in zip(self.layers[::2], self.layers[1::2], strict=True):
            h = h + two(F.relu(one(F.relu(h))))
        out: Tensor = F.pixel_shuffle(self.last(F.relu(h)), self.block)
        return out


class ImageCodec(Coded):
    """A linear transform of overlapping blocks between two small nets, at several rates.

    An image becomes whole numbers [code, H / stride, W / stride]: a net alters it, a strided convolution transforms
    it, a gain for each channel and rate says how finely it is rounded. The way back is the mirror image. The prior
    of the numbers is logistic, in the order channel, row, column: its mean is a weighted sum of the four places
    before it in its own channel, its scale a weighted sum of the magnitudes there and in the channels before. Both
    need whole numbers alone, so that `amiss.codec` can compute them without rounding, on any machine.

    Images are [N, channels, size, size] in [0, 1]. Where the size is no multiple of the stride their border is
    repeated, and cut off again. `encode` gives the code before it is rounded, at the middle rate, as one row of
    numbers.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        stride: Side of a block; a multiple of 4.
        code: Channels of the code, at most those of a block.
        width: Channels of the net behind the code; the net before it has two thirds of them.
        depth: Residual layers of the net behind the code; the net before it has half of them.
        rates: How many rates there are, from the finest to the coarsest.

    Raises:
        UsageError: An argument that cannot mean anything, or is past all reason.

    References:
        Balle, Laparra and Simoncelli 2017, sections 2 and 3 (noise for rounding, rate and distortion); Balle et al.
        2018, section 2 (a scale for each number); Wu and Memon 1997 (scales from the magnitudes around).
    """

    center: Tensor

    def __init__(
        self,
        channels: int = 3,
        size: int = 32,
        stride: int = 8,
        code: int = 96,
        width: int = 96,
        depth: int = 2,
        rates: int = 5,
    ) -> None:
        super().__init__()
        asked = {"channels": channels, "size": size, "stride": stride, "code": code, "width": width}
        asked |= {"depth": depth, "rates": rates}
        wrong = [f"{name}={n}" for name, n in asked.items() if not 1 <= n <= _MOST[name]]
        if wrong or stride % 4 or code > channels * stride**2:
            raise UsageError(
                "This codec cannot be built.",
                slug="codec-arguments",
                seen=", ".join(wrong) or f"channels={channels}, stride={stride}, code={code}",
                needed="positive counts, a stride that is a multiple of 4, at most channels * stride**2 codes",
                hint="Pass, for instance, ImageCodec(channels=3, size=32, stride=8, code=96).",
            )
        self.channels, self.size, self.stride, self.rates = channels, size, stride, rates
        side = -(-size // stride)
        self.grid = (code, side, side)
        self.latent = code * side**2
        block = stride // 2
        self.before = _Filter(channels, block, max(1, 2 * width // 3), max(1, depth // 2), rates)
        self.analysis = nn.Conv2d(channels, code, 2 * stride, stride, stride // 2, bias=False)
        self.synthesis = nn.ConvTranspose2d(code, channels, 2 * stride, stride, stride // 2, bias=False)
        self.behind = _Filter(channels, block, width, depth, rates)
        self.log_gain = nn.Parameter(torch.zeros(rates, code))
        self.log_step = nn.Parameter(torch.zeros(rates, code))
        self.scale = nn.Parameter(torch.full((rates, code, FEATURES), -4 / _FARTHER))
        self.mean = nn.Parameter(torch.zeros(code, 4))
        self.register_buffer("center", torch.full((channels, 1, 1), 0.5))

    @property
    def middle(self) -> int:
        """The rate of `encode` and `decode`."""
        return self.rates // 2

    def analyze(self, x: Tensor, rate: Tensor) -> Tensor:
        """The code before it is rounded [N, code, h, w].

        Args:
            x: Images [N, C, H, W] in [0, 1].
            rate: The rate of each [N], from 0, the finest.
        """
        self._check(x)
        more = self.grid[1] * self.stride - self.size
        x = F.pad(x, (0, more, 0, more), mode="replicate") - self.center
        y: Tensor = self.analysis(x + self.before(x, rate))
        return _full(y) * (_FAR * self.log_gain[rate]).exp()[:, :, None, None]

    def synthesize(self, code: Tensor, rate: Tensor) -> Tensor:
        """Images [N, C, H, W] around [0, 1], for codes [N, code, h, w] at rates [N]."""
        x = self.synthesis(code * (_FAR * self.log_step[rate]).exp()[:, :, None, None])
        out = _full(x + self.behind(x, rate)) + self.center
        return out[..., : self.size, : self.size]

    def prior_of(self, code: Tensor, rate: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Mean, a whole number, and scale of each number of a code, from the numbers before it.

        Args:
            code: Whole numbers [N, k, h, w], of all channels or of some that follow each other.
            rate: The rate of each row [N].
            first: The first of these channels. A scale that looks farther back than to it misses something.

        Returns:
            Both [N, k, h, w]; the rounding of the means changes no gradient.
        """
        last = first + code.shape[1]
        scale = torch.einsum("ncfhw,ncf->nchw", _features(code), self.scale_weights[rate, first:last])
        weights = self.mean_weights[first:last].T
        mean = _full(sum(place * w[:, None, None] for place, w in zip(_around(code), weights, strict=True)))
        return mean + (mean.round() - mean).detach(), scale.clamp_min(LEAST)

    @property
    def scale_weights(self) -> Tensor:
        """Weights of the features in a scale [rates, code, features], never negative."""
        return F.softplus(_FARTHER * self.scale)

    @property
    def mean_weights(self) -> Tensor:
        """Weights of the places to the west, north, northwest and northeast in a mean [code, 4]."""
        return _FAR * self.mean

    @staticmethod
    def start(log_gain: Tensor, scale: Tensor, mean: Tensor) -> dict[str, Tensor]:
        """Parameters by name, from what they mean.

        Args:
            log_gain: Logarithm of what each channel is multiplied by before it is rounded [rates, code]; it is
                divided by the same afterwards.
            scale: Weights of the features in a scale [rates, code, features], positive.
            mean: Weights of the places in a mean [code, 4].
        """
        inverse = torch.log(torch.expm1(scale)) / _FARTHER
        return {"log_gain": log_gain / _FAR, "log_step": -log_gain / _FAR, "scale": inverse, "mean": mean / _FAR}

    def rate_distortion(
        self, x: Tensor, rate: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """What images cost, and what is lost.

        Args:
            x: Images [N, C, H, W] in [0, 1].
            rate: The rate of each [N].
            generator: Where noise in place of rounding is drawn from, on the CPU; the gradient of the nats needs it.
                None: the nats are those of the rounded code.

        Returns:
            Nats of each code [N], and the squared error of each image, summed over it [N]. The image is that of the
            rounded code, whose gradient is taken as if nothing were rounded.

        References:
            Balle, Laparra and Simoncelli 2017, equation 10; Minnen and Singh 2020, section 3.3 (noise for the rate,
            rounding for the distortion).
        """
        y = self.analyze(x, rate)
        code = y + (y.round() - y).detach()
        mean, scale = self.prior_of(code.detach(), rate)
        if generator is not None:
            noisy = y + torch.rand(y.shape, generator=generator).to(y) - 0.5
        nats = _nats((code if generator is None else noisy) - mean, scale)
        error = self.synthesize(code, rate) - x
        return nats.flatten(1).sum(1), error.square().flatten(1).sum(1)

    def quantize(self, x: Tensor, rate: int) -> Tensor:
        """The code [N, code, h, w] of images [N, C, H, W] in [0, 1], whole numbers, at one rate."""
        return self.analyze(x, self._rate(len(x), rate)).round()

    def reconstruct(self, code: Tensor, rate: int) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes [N, code, h, w], rounded or not, at one rate."""
        return self.synthesize(code, self._rate(len(code), rate)).clamp(0, 1)

    def nats(self, code: Tensor, rate: int) -> Tensor:
        """What whole numbers [N, code, h, w] cost under the prior of a rate: [N], nats."""
        mean, scale = self.prior_of(code, self._rate(len(code), rate))
        return _nats(code - mean, scale).flatten(1).sum(1)

    def encode(self, x: Tensor) -> Tensor:
        """The code of images [N, C, H, W] in [0, 1] at the middle rate, before it is rounded: [N, latent]."""
        return self.analyze(x, self._rate(len(x), self.middle)).flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes [N, latent] of the middle rate."""
        return self.reconstruct(z.unflatten(1, self.grid), self.middle)

    def forward(self, x: Tensor) -> Tensor:
        """The images that codes of the middle rate, rounded, decode to."""
        return self.decode(self.encode(x).round())

    @torch.no_grad()
    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] drawn from the prior of the middle rate, its scales times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        code = self.center.new_zeros(n, *self.grid)
        rate = self._rate(n, self.middle)
        channels, height, width = self.grid
        # One part in a million is cut off at each end: no draw is infinite.
        uniform = torch.rand(code.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(code)
        noise = temperature * torch.logit(uniform)
        for c in range(channels):
            first = max(0, c - max(far for _, far in WINDOWS))
            for i in range(height):
                for j in range(width):
                    mean, scale = self.prior_of(code[:, first : c + 1], rate, first)
                    code[:, c, i, j] = (mean[:, -1, i, j] + scale[:, -1, i, j] * noise[:, c, i, j]).round()
        return code.flatten(1)

    def _rate(self, n: int, rate: int) -> Tensor:
        if not 0 <= rate < self.rates:
            raise UsageError(
                "The codec has no such rate.",
                slug="codec-rate",
                seen=str(rate),
                needed=f"a number from 0, the finest, to {self.rates - 1}",
                hint=f"Pass rate={self.middle}.",
            )
        return torch.full((n,), rate, device=self.center.device)

    def _check(self, x: Tensor) -> None:
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "The images do not fit this codec.",
                slug="codec-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or train a codec for their size.",
            )


def _full(t: Tensor | float) -> Tensor:
    """At least float32: rates and codes are not computed in reduced precision."""
    t = torch.as_tensor(t)
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _nats(distance: Tensor, scale: Tensor) -> Tensor:
    """-log of the logistic mass within one half of each distance from the mean.

    The mass is e^-d (1 - e^-w) / ((1 + e^(-d-w/2)) (1 + e^(-d+w/2))) times e^(w/2), for distance d and width w in
    scales: no difference of nearly equal numbers, however far out.
    """
    d, half = distance.abs() / scale, 0.5 / scale
    inner = torch.logaddexp(torch.zeros_like(d), half - d) + torch.logaddexp(torch.zeros_like(d), -half - d)
    return d - half - torch.log(-torch.expm1(-2 * half)) + inner


def _around(code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each number's neighbors in its channel: west, north, northwest, northeast.

    Where one is missing the next of them stands in: the west for the row above the first, the north for the column
    before the first and behind the last. The first number has zeros.
    """
    padded = F.pad(code, (1, 1, 1, 0))
    west, north = padded[..., 1:, :-2], padded[..., :-1, 1:-1]
    northwest, northeast = padded[..., :-1, :-2], padded[..., :-1, 2:]
    height, width = code.shape[2:]
    row, column = torch.arange(height, device=code.device)[:, None], torch.arange(width, device=code.device)
    north = torch.where(row == 0, west, north)
    west = torch.where(column == 0, north, west)
    northwest = torch.where((row == 0) | (column == 0), torch.where(row == 0, west, north), northwest)
    northeast = torch.where((row == 0) | (column == width - 1), torch.where(row == 0, west, north), northeast)
    return west, north, northwest, northeast


def _features(code: Tensor) -> Tensor:
    """What scales are sums of [N, code, features, h, w], from whole numbers; see `FEATURES`."""
    size = code.abs()
    sums = F.pad(size.cumsum(1), (0, 0, 0, 0, 1, 0))
    channel = torch.arange(size.shape[1], device=size.device)

    def between(near: int, far: int) -> Tensor:
        return sums[:, (channel - near).clamp_min(0)] - sums[:, (channel - far).clamp_min(0)]

    west, north, northwest, northeast = _around(size)
    places = F.pad(between(0, NEAR), (1, 1, 1, 1), mode="replicate")
    first = torch.zeros_like(size)
    first[..., 0, 0] = 1
    spots = (2 * (west + north) + northwest + northeast, *(between(*w) for w in WINDOWS))
    return torch.stack([torch.ones_like(size), first, *spots, 9 * F.avg_pool2d(places, 3, 1)], 2)
