"""The two halves that convolutional autoencoders share: a strided encoder, and a decoder that grows images."""

from itertools import pairwise

from torch import Tensor, nn

from amiss.errors import ContractError

__all__ = ["check_images", "down", "he_start", "inner_side", "stages", "up"]


def stages(size: int, width: int) -> list[int]:
    """Channels of each halving of the image: two of them below 48 pixels, and three from there on."""
    return [width * 2**i for i in range(2 if size < 48 else 3)]


def inner_side(size: int, widths: list[int]) -> int:
    """Side of the smallest map."""
    return -(-size // 2 ** len(widths))


def down(channels: int, size: int, widths: list[int], hidden: int) -> nn.Sequential:
    """Images [N, channels, size, size] to [N, hidden]: a strided convolution for each width, and a dense layer."""
    return nn.Sequential(
        *(_conv(a, b, stride=2) for a, b in pairwise([channels, *widths])),
        nn.Flatten(),
        nn.Linear(widths[-1] * inner_side(size, widths) ** 2, hidden),
        nn.SiLU(),
    )


def up(inputs: int, channels: int, size: int, widths: list[int], hidden: int) -> nn.Sequential:
    """Numbers [N, inputs] to images [N, channels, H, W] of either sign, where H and W are `size` or a few more.

    References:
        Shi et al. 2016, equation 4 (the pixel shuffle).
    """
    inner = inner_side(size, widths)
    grow: list[nn.Module] = []
    narrower = [*reversed(widths[:-1]), channels]
    for before, after in zip(reversed(widths), narrower, strict=True):
        shuffle = [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]
        grow += [_conv(before, before), *shuffle]
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.SiLU(),
        nn.Linear(hidden, widths[-1] * inner**2),
        nn.SiLU(),
        nn.Unflatten(1, (widths[-1], inner, inner)),
        *grow[:-1],  # the output may have either sign
    )


def he_start(model: nn.Module) -> None:
    """Initial weights of the variance that rectified layers keep.

    With torch's own, smaller weights the code's signal fades on its way through the decoder, and the first epochs
    are spent on growing it.

    References:
        He et al. 2015, equation 10.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def check_images(x: Tensor, channels: int, size: int) -> None:
    """Refuse images [N, C, H, W] that do not fit an autoencoder.

    Raises:
        ContractError: They are of another size, or have other channels.
    """
    if x.ndim != 4 or tuple(x.shape[1:]) != (channels, size, size):
        raise ContractError(
            "The images do not fit this autoencoder.",
            slug="vae-shape",
            seen=str(tuple(x.shape)),
            needed=f"(N, {channels}, {size}, {size})",
            hint="Resize the images, or train an autoencoder for their size.",
        )


def _conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.SiLU())
