"""A denoising U-Net beside the filters of scikit-image, each of these with the settings that suit it best."""

import itertools
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from amiss.bench.bench import Run, Skip
from amiss.bench.real_plants import cifar_sprites
from amiss.data import Images, open_data
from amiss.models import Denoiser
from amiss.repro import generator
from amiss.training import load_model, train
from amiss.training.losses import Noisy
from amiss.training.measures.images import psnr, ssim
from amiss.training.presets.autoencoders import denoiser_for

__all__ = ["SETTINGS", "denoise", "filtered"]

SIGMA = 0.2
"""Deviation of the noise, in units of the image range."""

Picture = npt.NDArray[np.float32]

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "median": [{"side": side} for side in (3, 5)],
    "gaussian": [{"sigma": sigma} for sigma in (0.7, 0.8, 0.9, 1.0, 1.2)],
    "nl-means": [
        {"h": h * SIGMA, "patch_size": patch, "patch_distance": reach}
        for h, patch, reach in itertools.product((0.4, 0.5, 0.6, 0.8), (3, 5), (5, 9))
    ],
    "wavelet": [
        {"wavelet": wavelet, "method": method, "sigma": factor * SIGMA, "shifts": shifts}
        for wavelet, (method, factor), shifts in itertools.product(
            ("db1", "db2"),
            (("BayesShrink", 1.0), ("BayesShrink", 1.2), ("BayesShrink", 1.4), ("VisuShrink", 0.4)),
            (0, 3),
        )
    ],
}
"""The filters by name, and what is tried of each on the validation images."""


def filtered(name: str, noisy: Tensor, settings: dict[str, Any]) -> Tensor:
    """Noisy images [N, C, H, W] through a filter of scikit-image, in [0, 1].

    Args:
        name: A key of `SETTINGS`.
        noisy: The images; they may leave [0, 1].
        settings: Of the filter, as in `SETTINGS`.

    Raises:
        Skip: scikit-image or PyWavelets is not installed.
    """
    one = _filters()[name]
    pictures = noisy.permute(0, 2, 3, 1).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of wavelets with more levels than a small image bears
        done = np.stack([one(picture, **settings) for picture in pictures])
    return torch.from_numpy(done).float().permute(0, 3, 1, 2).clamp(0, 1)


def denoise(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Noise of deviation 0.2 on CIFAR-10: what the denoiser gains over the best of four filters, in decibels.

    The denoiser learns from 9,900 of the 10,000 training images; the filters' settings are those of the highest mean
    ratio on the other 100. All are judged on the 1,000 test images under the same noise. Wavelets may average over
    shifts of an image, and the denoiser averages over its turns and mirror images. Quick: drawn faces.
    """
    torch.set_num_threads(1)
    _filters()
    if run.quick:
        learned = open_data("faces", split="train", limit=200)
        held, asked = open_data("faces", split="val", limit=4), open_data("faces", limit=8)
    else:
        sprites = cifar_sprites(run.data("cifar10-sprites"))
        learned, held = sprites.pick(slice(0, 9900)), sprites.pick(slice(9900, 10_000))
        asked = sprites.pick(slice(10_000, None))
    model, told = _denoiser(run, learned)
    clean, noisy = _under_noise(asked, run.seed, 1)
    with torch.no_grad():
        parts = torch.split(noisy, 250)
        once = torch.cat([model(part) for part in parts]).clamp(0, 1)
        restored = torch.cat([model.averaged(part) for part in parts]).clamp(0, 1)
    told |= {"images": len(asked), "noisy": _ratios(noisy.clamp(0, 1), clean), "denoiser": _ratios(restored, clean)}
    told |= {"denoiser_once": _ratios(once, clean), "filters": {}}
    for name in SETTINGS:
        best = _tuned(name, held, run)
        told["filters"][name] = {"settings": best, **_ratios(filtered(name, noisy, best), clean)}
    best_filter = max(one["psnr"] for one in told["filters"].values())
    return {
        "dae_gain_over_best_filter_db": told["denoiser"]["psnr"] - best_filter,
        "dae_psnr": told["denoiser"]["psnr"],
        "best_filter_psnr": best_filter,
    }, told


def _denoiser(run: Run, learned: Images) -> tuple[Denoiser, dict[str, Any]]:
    """The denoiser of this seed, trained where its file is not there yet."""
    path = run.place / "denoiser.safetensors"
    if not path.is_file():
        preset = denoiser_for(learned, sigma=SIGMA, seed=run.seed, epochs=1 if run.quick else None)
        train(preset, learned, out=run.place / "denoiser").save(path)
    model, facts = load_model(path)
    assert isinstance(model, Denoiser)  # noqa: S101
    return model, {"training": facts["training"]}


def _under_noise(images: Images, seed: int, stream: int) -> tuple[Tensor, Tensor]:
    clean = images.images()
    return clean, Noisy(SIGMA)(clean, generator(seed, stream))


def _ratios(x: Tensor, clean: Tensor) -> dict[str, float]:
    return {"psnr": float(psnr(x, clean).mean()), "ssim": float(ssim(x, clean).mean())}


def _tuned(name: str, held: Images, run: Run) -> dict[str, Any]:
    """The settings of the highest mean ratio on the validation images."""
    clean, noisy = _under_noise(held, run.seed, 2)
    tried = SETTINGS[name][:2] if run.quick else SETTINGS[name]
    return max(tried, key=lambda settings: float(psnr(filtered(name, noisy, settings), clean).mean()))


def _filters() -> dict[str, Callable[..., Picture]]:
    """The filters of one picture [H, W, C], by name."""
    try:
        filters, restoration = import_module("skimage.filters"), import_module("skimage.restoration")
        import_module("pywt")
    except ImportError as error:
        raise Skip(f"the filters need scikit-image and PyWavelets: {error}") from error

    def median(picture: Picture, side: int) -> Picture:
        done: Picture = filters.median(picture, np.ones((side, side, 1)))
        return done

    def wavelet(picture: Picture, shifts: int, **settings: Any) -> Picture:
        known = {**settings, "convert2ycbcr": picture.shape[-1] == 3, "channel_axis": -1, "rescale_sigma": True}
        done: Picture = (
            restoration.cycle_spin(
                picture, restoration.denoise_wavelet, shifts, num_workers=1, func_kw=known, channel_axis=-1
            )
            if shifts
            else restoration.denoise_wavelet(picture, **known)
        )
        return done

    return {
        "median": median,
        "gaussian": lambda picture, sigma: filters.gaussian(picture, sigma, channel_axis=-1),
        "nl-means": lambda picture, **settings: restoration.denoise_nl_means(
            picture, sigma=SIGMA, fast_mode=True, channel_axis=-1, **settings
        ),
        "wavelet": wavelet,
    }
