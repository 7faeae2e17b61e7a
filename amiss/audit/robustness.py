"""How little breaks a right answer: accuracy against the radius of an L_inf attack."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.audit.desk import Desk
from amiss.data import Images, to_bytes
from amiss.probe import Probe
from amiss.recipes import pgd
from amiss.result import Outcome
from amiss.study import Held, Inputs
from amiss.trust import wilson

__all__ = ["Robustness", "robustness", "still_right"]


@dataclass(frozen=True)
class Robustness:
    """Accuracy under attack.

    Attributes:
        epsilons: Radii, ascending; the first is 0.
        right: Images still right at each: those that the classifier names correctly, as they are and, rounded to 8
            bits, after each attack so far.
        n: Images in all.
        steps: Gradient steps of the attack.
        probe: The attack at the largest radius, in words that construct it.
        attack: Probe and study at the radius that says most of the attack itself; None where none was made.
        outcomes: How the searches ended, of every radius.
        claimed: Their successes before their files were read.
    """

    epsilons: tuple[float, ...]
    right: tuple[int, ...]
    n: int
    steps: int
    probe: str = ""
    attack: tuple[Probe, Held] | None = None
    outcomes: tuple[Outcome, ...] = ()
    claimed: int = 0

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Share still right at each radius."""
        return tuple(k / self.n for k in self.right)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """95 % intervals of the shares."""
        return tuple(wilson(k, self.n) for k in self.right)


def robustness(desk: Desk, images: Images, chosen: Tensor) -> Robustness:
    """Attack images at every radius; what a smaller radius broke stays broken.

    An image is right only while the classifier names its attacked version, rounded to 8 bits, correctly: the
    probe's own margin decides when a search may stop, and not what counts. One that answers at random names an image
    otherwise where the 95 % interval of the votes against it lies above one half.

    Args:
        desk: Where the searches are done.
        images: Labeled images.
        chosen: Positions of those that are attacked [n].
    """
    plan, labels = desk.plan, images.truth
    probes = [pgd(eps, plan.steps, seed=plan.seed, batch=plan.batch) for eps in plan.epsilons]
    standing = chosen[still_right(desk, images.images(chosen), labels[chosen])]
    right = [len(standing)]
    telling: tuple[Probe, Held] | None = None
    outcomes: list[Outcome] = []
    claimed = 0
    for eps, probe in zip(plan.epsilons, probes, strict=True):
        if len(standing):
            name, inputs = f"attack-{eps * 255:.6g}-255", Inputs.of_images(images, standing)
            held = desk.search(name, "pgd", f"Attacking within {eps * 255:g}/255", probe, inputs)
            outcomes += held.result.outcomes
            claimed += sum(entry.claimed for entry in held.entries)
            # Of the attack itself that radius says most which is the first to break half of what stood.
            if telling is None or float(telling[1].result.met.double().mean()) < 0.5:
                telling = probe, held
            attacked = to_bytes(held.result.images).to(torch.float32) / 255
            standing = standing[still_right(desk, attacked, labels[standing])]
        right.append(len(standing))
    said = repr(probes[-1])
    return Robustness(
        (0.0, *plan.epsilons), tuple(right), len(chosen), plan.steps, said, telling, tuple(outcomes), claimed
    )


def still_right(desk: Desk, images: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is named by its label, or, by votes, not clearly otherwise [n].

    Args:
        desk: Who is asked, and how often.
        images: In [0, 1] [n, C, H, W].
        labels: Theirs [n].
    """
    parts = images.split(desk.plan.batch)
    against = torch.zeros(len(images), dtype=torch.int64)
    for _ in range(desk.votes):
        against += torch.cat([desk.classifier.predict(x).cpu() for x in parts]) != labels
    if desk.votes == 1:
        return against == 0
    return torch.tensor([wilson(k, desk.votes)[0] <= 0.5 for k in against.tolist()])
