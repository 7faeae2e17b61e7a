"""Recipes of recurrent densities: Row LSTM, Diagonal BiLSTM, and an LSTM in reading order."""

from typing import Any

from amiss.data.images import Images
from amiss.training.kind import Kind
from amiss.training.losses import DensityLoss
from amiss.training.measures.likelihood import density_figures
from amiss.training.preset import Preset, fast, preset_of
from amiss.training.presets.densities import Given, density_data, depending, gray_arguments

__all__ = [
    "DIAGONAL_BILSTM",
    "RASTER_LSTM",
    "ROW_LSTM",
    "diagonal_bilstm_for",
    "mnist_diagonal_bilstm",
    "mnist_raster_lstm",
    "mnist_row_lstm",
    "raster_lstm_for",
    "row_lstm_for",
]


def row_lstm_for(
    images: Images,
    *,
    state: int = 32,
    layers: int = 1,
    levels: int | None = None,
    given: Given = "nothing",
    low: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A PixelRNN of Row LSTMs.

    Args:
        images: The training images, square.
        state: Units of each LSTM, and channels of the maps between them.
        layers: LSTMs, one after the other.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution.
        low: Side of the image of low resolution, a divisor of that of the images; by default about a quarter of it.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or have no labels where they are to depend on them.
        UsageError: Other levels.
    """
    return _recurrent("row-lstm", "RowLSTM", images, state, layers, levels, given, low, seed, epochs)


def diagonal_bilstm_for(
    images: Images,
    *,
    state: int = 32,
    layers: int = 1,
    levels: int | None = None,
    given: Given = "nothing",
    low: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A PixelRNN of Diagonal BiLSTMs: on binarized digits the best density of amiss for its minutes.

    Args:
        images: The training images, square.
        state: Units of each LSTM, and channels of the maps between them.
        layers: Pairs of LSTMs, one after the other.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution.
        low: Side of the image of low resolution, a divisor of that of the images; by default about a quarter of it.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or have no labels where they are to depend on them.
        UsageError: Other levels.
    """
    return _recurrent("diagonal-bilstm", "DiagonalBiLSTM", images, state, layers, levels, given, low, seed, epochs)


def raster_lstm_for(
    images: Images,
    *,
    state: int = 64,
    layers: int = 1,
    levels: int | None = None,
    given: Given = "nothing",
    low: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """An LSTM over pixels in reading order, which looks at a patch of earlier pixels.

    Args:
        images: The training images, square.
        state: Units of each LSTM, and twice the features of a patch.
        layers: LSTMs, one on top of the other.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution.
        low: Side of the image of low resolution, a divisor of that of the images; by default about a quarter of it.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or have no labels where they are to depend on them.
        UsageError: Other levels.
    """
    return _recurrent("raster-lstm", "RasterLSTM", images, state, layers, levels, given, low, seed, epochs)


def mnist_row_lstm(seed: int = 0) -> Preset:
    """A Row LSTM on dynamically binarized MNIST: at most 90 nats an image after four minutes with one thread."""
    return _mnist("row-lstm", "RowLSTM", {"width": 32, "state": 32}, steps=3000, seed=seed)


def mnist_diagonal_bilstm(seed: int = 0, steps: int = 3000) -> Preset:
    """A Diagonal BiLSTM on dynamically binarized MNIST: at most 86 nats an image after five minutes with one thread.

    Args:
        seed: Of weights, order and noise.
        steps: Of 32 images; ten times as many take an hour.
    """
    return _mnist("diagonal-bilstm", "DiagonalBiLSTM", {"width": 32, "state": 32}, steps=steps, seed=seed)


def mnist_raster_lstm(seed: int = 0) -> Preset:
    """An LSTM in reading order on dynamically binarized MNIST, trained for four minutes with one thread."""
    return _mnist("raster-lstm", "RasterLSTM", {"width": 32, "state": 64}, steps=3000, seed=seed)


def _recurrent(
    kind: str,
    name: str,
    images: Images,
    state: int,
    layers: int,
    levels: int | None,
    given: Given,
    low: int | None,
    seed: int,
    epochs: float | None,
) -> Preset:
    """A preset of a recurrent density for any images."""
    arguments = gray_arguments(images, levels) | depending(images, given, low) | {"state": state, "layers": layers}
    arguments["width"] = state // 2 if name == "RasterLSTM" else state
    loss = DensityLoss(binarize=arguments["levels"] == 2, given=given)
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        length = {"steps": min(4000, 100 * max(1, len(images) // 32))}
    return preset_of(kind, name, arguments, loss, **length, **_HOW, seed=seed, **fast(arguments["size"]))


def _mnist(kind: str, name: str, sizes: dict[str, int], steps: int, seed: int) -> Preset:
    """A preset of a recurrent density for binarized MNIST."""
    loss = DensityLoss(binarize=True)
    return preset_of(kind, name, {"channels": 1, "size": 28, **sizes}, loss, steps=steps, **_HOW, seed=seed, **fast())


# A small network bears long steps; the bound on the gradient, some four times its usual norm, is for rare steep ones.
_HOW: dict[str, Any] = {"batch": 32, "rate": 1e-2, "warm": 0.05, "clip": 100.0}

ROW_LSTM = Kind(
    "row-lstm",
    "A PixelRNN of Row LSTMs: each row from a triangle above it.",
    row_lstm_for,
    density_figures,
    bound="exact",
    data=density_data,
)
DIAGONAL_BILSTM = Kind(
    "diagonal-bilstm",
    "A PixelRNN of Diagonal BiLSTMs: each pixel from all that come before.",
    diagonal_bilstm_for,
    density_figures,
    bound="exact",
    data=density_data,
)
RASTER_LSTM = Kind(
    "raster-lstm",
    "An LSTM over pixels in reading order, with a patch of earlier ones at each.",
    raster_lstm_for,
    density_figures,
    bound="exact",
    data=density_data,
)
