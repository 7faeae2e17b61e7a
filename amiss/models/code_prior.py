"""A prior over codes that is learned beside the autoencoder: affine couplings between codes and normal numbers."""

import torch
from torch import Tensor, nn

__all__ = ["CodePrior"]

_STEEPEST = 2.0  # bound of each log scale: maps that are steeper would multiply rounding errors


class CodePrior(nn.Module):
    """Codes z = f(u) of standard normal numbers u, where f is a chain of affine couplings.

    In each coupling one half of the numbers stays, and says by a small network how each of the others is moved and
    scaled. The chain begins as the identity, so that the prior begins as the standard normal.

    Args:
        latent: Dimensions of the codes, 2 or more.
        couplings: Length of the chain.
        hidden: Units of each of the two layers in a coupling's network.

    References:
        Dinh, Sohl-Dickstein and Bengio 2017, equations 4 to 8 (affine couplings); Chen et al. 2017, section 3.2
        (an autoencoder's prior learned beside it).
    """

    def __init__(self, latent: int, couplings: int, hidden: int = 64) -> None:
        super().__init__()
        self.latent = latent
        first = latent // 2
        self.networks = nn.ModuleList(
            _small(a, hidden, 2 * (latent - a))
            for a in (first if i % 2 == 0 else latent - first for i in range(couplings))
        )

    def to_normal(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers u [N, latent] of codes z, and the log determinant of du / dz [N]."""
        log_scale = z.new_zeros(len(z))
        for i, network in enumerate(self.networks):
            stays, moves = self._halves(z, i)
            move, scale = self._map(network, stays)
            moves = (moves - move) * (-scale).exp()
            log_scale = log_scale - scale.sum(1)
            z = self._whole(stays, moves, i)
        return z, log_scale

    def to_codes(self, u: Tensor) -> Tensor:
        """The codes z [N, latent] of numbers u, the inverse of `to_normal`."""
        for i, network in reversed(list(enumerate(self.networks))):
            stays, moves = self._halves(u, i)
            move, scale = self._map(network, stays)
            u = self._whole(stays, moves * scale.exp() + move, i)
        return u

    def _halves(self, z: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """What stays and what moves: every other coupling the other way round."""
        first = self.latent // 2
        return (z[:, :first], z[:, first:]) if i % 2 == 0 else (z[:, first:], z[:, :first])

    def _whole(self, stays: Tensor, moves: Tensor, i: int) -> Tensor:
        return torch.cat([stays, moves] if i % 2 == 0 else [moves, stays], 1)

    def _map(self, network: nn.Module, stays: Tensor) -> tuple[Tensor, Tensor]:
        said = network(stays)
        move, scale = said.to(torch.promote_types(said.dtype, torch.float32)).chunk(2, dim=1)
        return move, _STEEPEST * (scale / _STEEPEST).tanh()


def _small(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two hidden layers, and an output that begins at 0."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)
