"""State machines that move parameters: asked for a query, told its answer, and never near the network."""

from amiss.optimizers.apgd import APGD
from amiss.optimizers.ascent import Ascent
from amiss.optimizers.candidates import Grid, Segments
from amiss.optimizers.chain import Then
from amiss.optimizers.ddn import DDN
from amiss.optimizers.deepfool import DeepFool
from amiss.optimizers.estimated import Estimated
from amiss.optimizers.evolution import MapElites, ancestry
from amiss.optimizers.gradient import Adam, Momentum, Sign
from amiss.optimizers.hop_skip_jump import HopSkipJump
from amiss.optimizers.lbfgsb import LBFGSB
from amiss.optimizers.linearized import Linearized
from amiss.optimizers.optimizer import Optimizer
from amiss.optimizers.phases import TwoPhase
from amiss.optimizers.queries import Square
from amiss.optimizers.square_l2 import SquareL2
from amiss.optimizers.weighing import Weigh

__all__ = [
    "APGD",
    "DDN",
    "LBFGSB",
    "Adam",
    "Ascent",
    "DeepFool",
    "Estimated",
    "Grid",
    "HopSkipJump",
    "Linearized",
    "MapElites",
    "Momentum",
    "Optimizer",
    "Segments",
    "Sign",
    "Square",
    "SquareL2",
    "Then",
    "TwoPhase",
    "Weigh",
    "ancestry",
]
