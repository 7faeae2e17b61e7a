"""Autoencoders: the notebook's, a denoiser beside filters, the sizes of a U-Net, a codec, and glasses on faces."""

from amiss.bench.autoencoders_codec import compress
from amiss.bench.autoencoders_denoising import denoise
from amiss.bench.autoencoders_faces import faces
from amiss.bench.autoencoders_notebook import notebook, sizes
from amiss.bench.bench import Bar, Bench

__all__ = ["BENCH"]

BENCH = Bench(
    "autoencoders",
    {"notebook": notebook, "denoising": denoise, "unet": sizes, "codec": compress, "faces": faces},
    {
        "notebook_ae_bce": Bar("<=", 0.100),
        "dae_gain_over_best_filter_db": Bar(">=", 1.0),
        "unet_sizes": Bar("==", 1.0, quick=1.0),
        "codec_roundtrip": Bar("==", 1.0, quick=1.0),
        "codec_size_error": Bar("<=", 0.02),
        "codec_rates_beating_jpeg": Bar(">=", 3.0),
        "codec_rates_beating_pca": Bar(">=", 3.0),
        "glasses_flip": Bar(">=", 0.8),
        "others_unchanged": Bar(">=", 0.9),
    },
)
"""Autoencoders of MNIST, CIFAR-10 and drawn faces."""
