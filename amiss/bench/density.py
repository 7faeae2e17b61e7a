"""Densities of binarized digits: how many nats an image each model needs, all of them scored alike."""

from functools import partial

from amiss.bench.bench import Bar, Bench
from amiss.bench.densities import measured
from amiss.bench.density_pixels import best, pixelcnn
from amiss.bench.density_vae import vae

__all__ = ["BENCH"]

BENCH = Bench(
    "density",
    {
        "fvbn": partial(measured, name="fvbn"),
        "made": partial(measured, name="made"),
        "vae": vae,
        "pixelcnn": pixelcnn,
        "row": partial(measured, name="row_lstm"),
        "diagonal": partial(measured, name="diagonal_bilstm"),
        "raster": partial(measured, name="raster_lstm"),
        "best": best,
    },
    {
        "fvbn_nats": Bar("<=", 100),
        "made_nats": Bar("<=", 90),
        "vae_neg_elbo": Bar("<=", 89),
        "pixelcnn_nats": Bar("<=", 88),
        "row_lstm_nats": Bar("<=", 90),
        "diagonal_bilstm_nats": Bar("<=", 90),
        "pixel_nats": Bar("<=", 86),
        "pixel_minutes": Bar("<=", 15),
        "gated_field_seen": Bar("==", 1),
        "pixelcnn_field_seen": Bar("<", 1),
    },
)
"""MNIST, dynamically binarized, all test images."""
