"""Densities of binarized digits: how many nats an image each model needs, all of them scored alike."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.density_masked import fvbn, made, pixelcnn
from amiss.bench.density_recurrent import best, diagonal, raster, row
from amiss.bench.density_vae import vae

__all__ = ["BENCH"]

BENCH = Bench(
    "density",
    {
        "fvbn": fvbn,
        "made": made,
        "vae": vae,
        "pixelcnn": pixelcnn,
        "row": row,
        "diagonal": diagonal,
        "raster": raster,
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
        "gated_field_seen": Bar("==", 1),
        "pixelcnn_field_seen": Bar("<", 1),
    },
)
"""MNIST, dynamically binarized, all test images."""
