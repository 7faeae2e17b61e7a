"""The Frechet distance of two sets of images in the features of a classifier."""

import torch
from torch import Tensor, nn

from amiss.errors import DataError, ModelError
from amiss.training.batches import as_pixels

__all__ = ["frechet_distance", "gaussian_frechet", "penultimate"]


def gaussian_frechet(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """The squared Frechet distance of two normal distributions.

    |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2): the trace of the last root is the sum of the roots of the
    eigenvalues of a symmetric matrix, so it is real, whatever the rounding, and no root of a matrix without
    symmetry is needed.

    Args:
        mean_a: [d].
        covariance_a: [d, d], symmetric and positive semidefinite.
        mean_b: [d].
        covariance_b: [d, d].

    Returns:
        The distance, in squared units of the features, never negative.

    References:
        Dowson and Landau 1982, equation 4; Heusel et al. 2017, equation 6.
    """
    a, b = covariance_a.double(), covariance_b.double()
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    inner = root @ b @ root
    cross = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    apart = (mean_a.double() - mean_b.double()).square().sum()
    return max(0.0, float(apart + a.trace() + b.trace() - 2 * cross))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Frechet distance of two sets of features, each taken for a sample of a normal distribution.

    It depends on the network that the features are from: figures of two networks are not compared, and none of them
    with distances in the features of Inception ("FID"). Its bias falls with the number of images, so figures from
    different numbers are not compared either.

    Args:
        a: Features [n, d].
        b: Features [m, d].

    Returns:
        The distance, in squared units of the features, never negative.

    Raises:
        DataError: A set has fewer rows than features, so that its covariance is singular by its size alone; the
            sets have features of different networks; or a feature is not finite.

    References:
        Heusel et al. 2017, equation 6 (with the features of another network).
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < max(a.shape[1], 2):
        raise DataError(
            "These features have no Frechet distance.",
            slug="frechet-shape",
            seen=f"{tuple(a.shape)} and {tuple(b.shape)}",
            needed="[n, d] and [m, d] with n and m of at least d",
            why="with fewer images than features a covariance is singular, and the distance is that of the lack",
            hint="Draw more images, or take a layer of fewer units.",
        )
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        raise DataError(
            "Some features are not finite.",
            slug="frechet-not-finite",
            seen=f"{int((~a.isfinite()).sum())} and {int((~b.isfinite()).sum())} numbers",
            needed="finite features",
            hint="Look at the images for NaN first.",
        )
    a, b = a.double(), b.double()
    return gaussian_frechet(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())


@torch.no_grad()
def penultimate(
    network: nn.Module,
    images: Tensor,
    *,
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    batch: int = 500,
) -> tuple[Tensor, Tensor]:
    """The last hidden layer of a classifier, and its logits.

    Args:
        network: A classifier of `amiss.models`, whose children run one after the other and end in a dense layer.
        images: [n, C, H, W], bytes or floats in [0, 1].
        mean: Subtracted from each channel first.
        std: What each channel is divided by.
        batch: Images at a time.

    Returns:
        Features [n, d], what the last dense layer is given, and logits [n, classes].

    Raises:
        ModelError: The network does not end in a dense layer.
    """
    layers = list(network.children()) if isinstance(network, nn.Sequential) else []
    if not layers or not isinstance(layers[-1], nn.Linear):
        raise ModelError(
            "The network has no last hidden layer to read.",
            slug="penultimate",
            seen=f"a {type(network).__name__}",
            needed="layers in sequence, the last of them dense, as LeNet has",
            hint="For another network, read a layer with Classifier.outputs.",
        )
    shift, scale = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    features, logits = [], []
    for part in torch.split(images, batch):
        h = (as_pixels(part) - shift) / scale
        for layer in layers[:-1]:
            h = layer(h)
        features.append(h)
        logits.append(layers[-1](h))
    return torch.cat(features), torch.cat(logits)
