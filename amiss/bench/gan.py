"""Generators against discriminators: hills that are found, digits, faces, and what learning by heart would show."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.gan_digits import dcgan, dense
from amiss.bench.gan_faces import faces
from amiss.bench.gan_ring import ring
from amiss.bench.gan_stackgan import stackgan

__all__ = ["BENCH"]

BENCH = Bench(
    "gan",
    {"ring": ring, "dense": dense, "dcgan": dcgan, "faces": faces, "stackgan": stackgan},
    {
        "ring_modes": Bar("==", 8),
        "ring_good": Bar(">=", 0.8),
        "gan_classes": Bar("==", 10),
        "dcgan_minutes": Bar("<=", 10),
        "dcgan_classes": Bar("==", 10),
        "dcgan_class_kl": Bar("<=", 0.1),
        "dcgan_frechet": Bar("<=", 60),
        "dcgan_memorised": Bar("<=", 0.02),
        "gan_arithmetic": Bar(">=", 0.7),
        "stackgan_agreement": Bar(">=", 0.9),
        "stackgan_rejects_wrong": Bar(">=", 0.9),
        "stage2_over_bicubic": Bar("<", 1),
    },
)
"""What each generator must do."""
