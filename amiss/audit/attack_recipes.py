"""What the experiment with label attacks asks: a radius, recipes, and how much each may spend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amiss.classifier import Classifier
from amiss.errors import ContractError, UsageError
from amiss.probe import Probe
from amiss.recipes import cw, ddn, deepfool, fgsm, hop_skip_jump, label_opt, nes, pgd, spsa, square, worst_case
from amiss.task import reaches

__all__ = ["BLIND", "NAMES", "Attacks"]

_GRAY, _COLOR = 0.1, 8 / 255  # radii where none is given

BLIND = ("square", "nes", "spsa", "hop_skip_jump")
"""The recipes that ask for no gradient."""


@dataclass(frozen=True)
class Attacks:
    """What the experiment asks.

    Attributes:
        eps: L_inf radius, in pixel values of [0, 1]; 0.1 for images of one channel and 8/255 for others where None.
        recipes: Names of recipes; all that the model's access allows where empty.
        images: At most so many are attacked, drawn by the seed among those that the model names rightly.
        steps: Of PGD.
        queries: A sample, of each search without gradients.
        batch: Rows a pass.
        seed: Of everything drawn.
    """

    eps: float | None = None
    recipes: tuple[str, ...] = ()
    images: int = 100
    steps: int = 40
    queries: int = 1000
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        strange = [name for name in self.recipes if name not in _MAKERS]
        if strange or len({*self.recipes}) < len(self.recipes):
            raise UsageError(
                "The experiment needs recipes of label attacks, each named once.",
                slug="attacks-recipes",
                seen=f"recipes={self.recipes}",
                needed=f"some of {', '.join(_MAKERS)}",
                why=f"{strange[0]!r} is none of them" if strange else "",
                hint='Attacks(recipes=("pgd", "ddn")); on the command line --recipes pgd,ddn.',
            )
        least = ("images", "steps", "queries", "batch")
        if low := [name for name in least if getattr(self, name) < 1]:
            raise UsageError(
                "A count of the experiment is too low.",
                slug="attacks-counts",
                seen=f"{low[0]}={getattr(self, low[0])}",
                needed="1 or more",
                hint="Attacks(images=100, steps=40, queries=1000)",
            )
        if self.eps == 0:
            raise UsageError(
                "The radius of attacks must be above 0.",
                slug="attacks-radius",
                seen=f"eps={self.eps}",
                needed="a radius above 0, in pixel values of [0, 1]",
                hint="Attacks(eps=8 / 255); on the command line --eps 8/255.",
            )
        self.probe("pgd", self.eps or _COLOR)  # refuses a radius in other units

    def radius(self, channels: int) -> float:
        """The radius for images of so many channels."""
        return self.eps if self.eps is not None else _GRAY if channels == 1 else _COLOR

    def probe(self, recipe: str, eps: float) -> Probe:
        """What searches by a recipe within a radius; searches for the smallest change heed no radius."""
        return _MAKERS[recipe](self, eps)

    def probes(self, eps: float, classifier: Classifier) -> dict[str, Probe]:
        """The recipes that are asked for and that the classifier's access allows, in the order of `NAMES`."""
        made = {name: self.probe(name, eps) for name in _MAKERS if not self.recipes or name in self.recipes}
        return {name: probe for name, probe in made.items() if reaches(classifier.gives, probe.optimizer.wants)}

    def refuse_beyond(self, classifier: Classifier) -> None:
        """Refuse recipes that were named and want more than the classifier gives.

        Raises:
            ContractError: There is one.
        """
        there = self.probes(_COLOR, classifier)
        lost = [name for name in self.recipes if name not in there]
        if lost:
            raise ContractError(
                f"The recipe {lost[0]} wants more than the classifier gives.",
                slug="contract-ladder",
                seen=f"gives={classifier.gives!r}, recipes={','.join(lost)}",
                needed=f"gives={self.probe(lost[0], _COLOR).optimizer.wants!r} or more",
                why="an ONNX file, a model behind a service, or one that tells its label alone",
                hint="Name others, or none: then every recipe is run that the model allows.",
            )


_MAKERS: Mapping[str, Callable[[Attacks, float], Probe]] = MappingProxyType(
    {
        "fgsm": lambda a, eps: fgsm(eps, seed=a.seed),
        "pgd": lambda a, eps: pgd(eps, a.steps, seed=a.seed, batch=a.batch),
        "deepfool": lambda a, _: deepfool(seed=a.seed, batch=a.batch),
        "ddn": lambda a, _: ddn(seed=a.seed, batch=a.batch),
        "label_opt": lambda a, _: label_opt(seed=a.seed, batch=a.batch),
        "cw": lambda a, _: cw(seed=a.seed, batch=a.batch),
        "square": lambda a, eps: square(eps, a.queries, seed=a.seed, batch=a.batch),
        "nes": lambda a, eps: nes(eps, a.queries, seed=a.seed, batch=a.batch),
        "spsa": lambda a, eps: spsa(eps, a.queries, seed=a.seed, batch=a.batch),
        "hop_skip_jump": lambda a, _: hop_skip_jump(a.queries, seed=a.seed, batch=a.batch),
        "worst_case": lambda a, eps: worst_case(eps, seed=a.seed, batch=a.batch),
    }
)

NAMES = tuple(_MAKERS)
"""The recipes that the experiment knows: by gradients, by queries, and the worst case."""
