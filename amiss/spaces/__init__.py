"""How parameters become images."""

from amiss.spaces.latent import Latent
from amiss.spaces.pixels import Pixels
from amiss.spaces.space import Space

__all__ = ["Latent", "Pixels", "Space"]
