"""The same network with other weights: drawn at random, orthonormal, or with its batch norms folded away."""

import copy
from itertools import pairwise
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fused", "reinitialized"]

_WEIGHTED = (nn.Linear, nn.Conv2d)


def reinitialized(network: nn.Module, how: Literal["random", "orthonormal"], seed: int = 0) -> nn.Module:
    """A copy of a network that has learned nothing.

    Every matrix of a dense layer, and of each group of a convolution (outputs by inputs times pixels), is drawn from
    a normal distribution of variance 2 / inputs, which keeps the scale of what rectified layers pass on.
    "orthonormal" then gives each matrix equal singular values, of the same root mean square: U V' of its
    decomposition U S V', rescaled. Biases become 0, and batch norms do nothing.

    Args:
        network: Of dense layers, convolutions and batch norms; parameters of other modules stay as they are.
        how: "random" or "orthonormal".
        seed: Of the draw; both forms start from the same one.

    Returns:
        The copy in evaluation mode; the network is not changed.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations (networks of random
        and of orthonormal weights); He, Zhang, Ren and Sun (2015), delving deep into rectifiers, eq. 10.
    """
    fresh = copy.deepcopy(network).eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in fresh.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            if isinstance(module, _WEIGHTED):
                module.weight.copy_(_drawn(module, how, draw))
                if module.bias is not None:
                    module.bias.zero_()
    return fresh


def _drawn(module: nn.Linear | nn.Conv2d, how: str, draw: torch.Generator) -> Tensor:
    """Weights of a layer, each group's matrix by itself."""
    shape = module.weight.shape
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    inputs = prod(shape[1:])
    matrices = torch.randn(groups, shape[0] // groups, inputs, generator=draw, dtype=torch.float64)
    matrices *= (2 / inputs) ** 0.5
    if how == "orthonormal":
        u, s, v = torch.linalg.svd(matrices, full_matrices=False)
        matrices = s.square().mean(1).sqrt()[:, None, None] * (u @ v)
    return matrices.reshape(shape)


def fused(network: nn.Module) -> nn.Module:
    """A copy of a network whose batch norms are folded into the convolutions before them, for evaluation alone.

    It answers the same and is faster. A batch norm is folded where it was registered right after a convolution of as
    many channels; in its place stands an identity of the same name, so that layers keep their names.

    Args:
        network: Its convolutions are followed by the batch norms that are registered right after them.

    Returns:
        The copy in evaluation mode; the network is not changed.
    """
    quick = copy.deepcopy(network).eval()
    for parent in list(quick.modules()):
        for (first, conv), (second, norm) in pairwise(list(parent.named_children())):
            if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
                continue
            if conv.out_channels == norm.num_features:
                setattr(parent, first, fuse_conv_bn_eval(conv, norm))
                setattr(parent, second, nn.Identity())
    return quick
