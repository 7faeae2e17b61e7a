"""amiss: see where an image classifier goes amiss, why, and what would put it right.

The public names, each imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amiss._version import __version__

if TYPE_CHECKING:
    from amiss import data as data
    from amiss import errors as errors
    from amiss import recipes as recipes
    from amiss import transforms as transforms
    from amiss.audit import Plan as Plan
    from amiss.audit import run_audit as run_audit
    from amiss.classifier import Classifier as Classifier
    from amiss.constraints import L1 as L1
    from amiss.constraints import L2 as L2
    from amiss.constraints import Box as Box
    from amiss.constraints import Constraint as Constraint
    from amiss.constraints import LatentNorm as LatentNorm
    from amiss.constraints import Linf as Linf
    from amiss.constraints import Mask as Mask
    from amiss.constraints import Quantized as Quantized
    from amiss.constraints import Unconstrained as Unconstrained
    from amiss.data import open_data as open_data
    from amiss.loading import Describer as Describer
    from amiss.loading import load_weights as load_weights
    from amiss.loading import open_captioner as open_captioner
    from amiss.loading import open_classifier as open_classifier
    from amiss.objectives import EOT as EOT
    from amiss.objectives import Accepted as Accepted
    from amiss.objectives import Activate as Activate
    from amiss.objectives import Avoid as Avoid
    from amiss.objectives import Become as Become
    from amiss.objectives import Confidence as Confidence
    from amiss.objectives import Hides as Hides
    from amiss.objectives import Invert as Invert
    from amiss.objectives import Mimic as Mimic
    from amiss.objectives import MimicLinear as MimicLinear
    from amiss.objectives import Objective as Objective
    from amiss.objectives import Says as Says
    from amiss.optimizers import APGD as APGD
    from amiss.optimizers import DDN as DDN
    from amiss.optimizers import LBFGSB as LBFGSB
    from amiss.optimizers import Adam as Adam
    from amiss.optimizers import Ascent as Ascent
    from amiss.optimizers import DeepFool as DeepFool
    from amiss.optimizers import Estimated as Estimated
    from amiss.optimizers import Grid as Grid
    from amiss.optimizers import HopSkipJump as HopSkipJump
    from amiss.optimizers import Linearized as Linearized
    from amiss.optimizers import MapElites as MapElites
    from amiss.optimizers import Momentum as Momentum
    from amiss.optimizers import Optimizer as Optimizer
    from amiss.optimizers import Segments as Segments
    from amiss.optimizers import Sign as Sign
    from amiss.optimizers import Square as Square
    from amiss.optimizers import SquareL2 as SquareL2
    from amiss.optimizers import Then as Then
    from amiss.optimizers import TwoPhase as TwoPhase
    from amiss.optimizers import Weigh as Weigh
    from amiss.probe import Budget as Budget
    from amiss.probe import Probe as Probe
    from amiss.recipes import classes as classes
    from amiss.report import write_report as write_report
    from amiss.result import Outcome as Outcome
    from amiss.result import Result as Result
    from amiss.spaces import CPPN as CPPN
    from amiss.spaces import Genome as Genome
    from amiss.spaces import Latent as Latent
    from amiss.spaces import Pixels as Pixels
    from amiss.spaces import Space as Space
    from amiss.study import Inputs as Inputs
    from amiss.study import Saving as Saving
    from amiss.study import Study as Study
    from amiss.task import ALL as ALL
    from amiss.task import Answer as Answer
    from amiss.task import Query as Query
    from amiss.task import Task as Task
    from amiss.training import load_model as load_model

_HOMES = {
    "classifier": ("Classifier",),
    "constraints": (
        "Box",
        "Constraint",
        "L1",
        "L2",
        "LatentNorm",
        "Linf",
        "Mask",
        "Quantized",
        "Unconstrained",
    ),
    "data": ("open_data",),
    "loading": ("Describer", "load_weights", "open_captioner", "open_classifier"),
    "objectives": (
        "EOT",
        "Accepted",
        "Activate",
        "Avoid",
        "Become",
        "Confidence",
        "Hides",
        "Invert",
        "Mimic",
        "MimicLinear",
        "Objective",
        "Says",
    ),
    "optimizers": (
        "APGD",
        "Adam",
        "Ascent",
        "DDN",
        "DeepFool",
        "Estimated",
        "Grid",
        "HopSkipJump",
        "LBFGSB",
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
    ),
    "probe": ("Budget", "Probe"),
    "recipes": ("classes",),
    "report": ("write_report",),
    "result": ("Outcome", "Result"),
    "spaces": ("CPPN", "Genome", "Latent", "Pixels", "Space"),
    "study": ("Inputs", "Saving", "Study"),
    "task": ("ALL", "Answer", "Query", "Task"),
    "audit": ("Plan", "run_audit"),
    "training": ("load_model",),
}
_MODULES = ("data", "errors", "recipes", "transforms")
_PLACES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted((*_PLACES, *_MODULES))]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"amiss.{_PLACES[name]}"), name)
    if name in _MODULES:
        return import_module(f"amiss.{name}")
    raise AttributeError(f"module 'amiss' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
