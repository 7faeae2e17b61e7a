"""How parameters become images."""

from amiss.spaces.cppn import CPPN
from amiss.spaces.genome import Genome
from amiss.spaces.latent import Latent
from amiss.spaces.pixels import Pixels
from amiss.spaces.space import Space

__all__ = ["CPPN", "Genome", "Latent", "Pixels", "Space"]
