"""The recipe of a learned codec: it begins as the best linear one, and learns what is not linear."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.models import ImageCodec
from amiss.models.compression import FEATURES
from amiss.repro import digest, generator
from amiss.training.batches import as_pixels
from amiss.training.kind import Kind
from amiss.training.losses.rate import RateLoss
from amiss.training.measures.rate_distortion import measure_rates
from amiss.training.preset import Preset, fast, square
from amiss.training.recipe import TrainingRecipe

__all__ = ["CODEC", "STEPS", "codec_for"]

STEPS = (26.0, 35.0, 48.0, 66.0, 90.0)
"""Steps of quantization in gray levels of 255, one a rate."""

_SEEN = 4000  # images that the linear transform is fitted to


def codec_for(
    images: Images, *, width: int = 96, code: int | None = None, seed: int = 0, epochs: float | None = None
) -> Preset:
    """A codec of any square images, for five rates at once.

    Its linear transform starts as the principal components of blocks, the nets around it as nothing: before the
    first step it is a transform coder, and no worse one than principal components are.

    Args:
        images: The training images, square.
        width: Channels of the net behind the code.
        code: Channels of the code; by default 96, or all that a block has where that is less.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 3, more where there are few images.

    Raises:
        DataError: The images are not square.
        UsageError: A count is out of range.
    """
    channels, size = square(images)
    stride = 8
    code = min(96, channels * stride**2) if code is None else code
    arguments = {
        "channels": channels,
        "size": size,
        "stride": stride,
        "code": code,
        "width": width,
        "rates": len(STEPS),
    }
    start = linear_start(ImageCodec(**arguments), images, STEPS, seed)
    loss = RateLoss(STEPS, digest(*(part for name in sorted(start) for part in (name, start[name]))))
    training = TrainingRecipe(
        epochs=3.0 * max(1, min(10, 5000 // len(images))) if epochs is None else epochs,
        batch=16, rate=1e-3, warm=0.05, clip=2e4, seed=seed, **fast(size),
    )  # fmt: skip
    return Preset("codec", {"architecture": "ImageCodec", "arguments": arguments}, loss, training, start)


def linear_start(model: ImageCodec, images: Images, steps: tuple[float, ...], seed: int) -> dict[str, Tensor]:
    """Weights by name that make a codec a linear one: principal components of blocks, rounded to the steps.

    The prior starts with the deviations of the components, and a little of what lies around.
    """
    chosen = torch.randperm(len(images), generator=generator(seed))[:_SEEN]
    x = as_pixels(images.pixels[chosen])
    code, side, _ = model.grid
    more = side * model.stride - model.size
    x = F.pad(x, (0, more, 0, more), mode="replicate")
    center = x.mean((0, 2, 3))[:, None, None]
    blocks = F.unfold(x - center, model.stride, stride=model.stride).transpose(1, 2).flatten(0, 1).double()
    variances, axes = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    spread = variances.flip(0)[:code].clamp_min(0).sqrt().float()
    kernel = torch.zeros_like(model.analysis.weight)
    inner = slice(model.stride // 2, model.stride // 2 + model.stride)
    kernel[:, :, inner, inner] = axes.flip(1)[:, :code].T.float().unflatten(1, (model.channels, model.stride, -1))
    step = torch.tensor(steps)[:, None] / 255
    # A logistic distribution of deviation 1 has scale 0.55; what lies around says some of it.
    scale = torch.full((len(steps), code, FEATURES), 0.002)
    scale[:, :, 0] = (0.4 * spread / step).clamp_min(0.01)
    scale[:, 0, 1] = 0.55 * spread[0] / step[:, 0]
    scale[:, :, 2] = 0.02
    mean = torch.zeros(code, 4)
    mean[0, :2] = 0.5  # the first component is the mean of a block
    return {
        "center": center,
        "analysis.weight": kernel,
        "synthesis.weight": kernel.clone(),
        **model.start(-step.log().expand(-1, code), scale, mean),
    }


def _figures(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """Bits a pixel and peak signal-to-noise ratio, of the middle rate and of each."""
    assert isinstance(model, ImageCodec)  # noqa: S101
    points = measure_rates(model, test.pixels)
    middle = points[model.middle]
    figures = {"bits_per_pixel": middle.bits_per_pixel, "psnr": middle.psnr}
    for rate, point in enumerate(points):
        figures |= {f"bits_per_pixel:{rate}": point.bits_per_pixel, f"psnr:{rate}": point.psnr}
    return figures


CODEC = Kind("codec", "Learned compression, at five rates.", codec_for, _figures, bound="none")
