"""Autoencoders: the notebook's, a denoiser beside filters, the sizes of a U-Net, and glasses put on faces."""

from amiss.bench.autoencoders_denoising import denoise
from amiss.bench.autoencoders_faces import faces
from amiss.bench.autoencoders_notebook import notebook, sizes
from amiss.bench.bench import Bar, Bench

__all__ = ["BENCH"]

BENCH = Bench(
    "autoencoders",
    {"notebook": notebook, "denoising": denoise, "unet": sizes, "faces": faces},
    {
        "notebook_ae_bce": Bar("<=", 0.100),
        "dae_gain_over_best_filter_db": Bar(">=", 1.0),
        "unet_sizes": Bar("==", 1.0, quick=1.0),
        "glasses_flip": Bar(">=", 0.8),
        "others_unchanged": Bar(">=", 0.9),
    },
)
"""Autoencoders of MNIST, CIFAR-10 and drawn faces."""
