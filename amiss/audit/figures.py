"""Which figures an audit has: their names, and why one may be missing in the end."""

from amiss.audit.imposters import DELTA
from amiss.audit.plan import Plan

__all__ = ["CHEAP", "IMPOSTERS", "known", "percent", "radius"]

CHEAP = ("msp", "energy", "mahalanobis", "knn", "vim", "feature norm")
"""Names of the rules of rejection that an audit asks: those that one pass shows, each of another kind."""

IMPOSTERS = ("imposter_label", "imposter_neighbors", "imposter_ratio")
"""Share that take their guide's label, share with its three nearest images, and median R1."""


def known(plan: Plan, *, judge: bool = False) -> dict[str, str]:
    """Every figure that an audit of this plan can have, each with the reason why it may come out without it.

    Args:
        plan: How thorough it is; what it leaves out has no figures.
        judge: Whether an independent judge was given; one that the plan has trained is asked too.
    """
    figures = dict.fromkeys(("images", "accuracy", "mistakes"), "nothing was asked of the classifier")
    figures |= dict.fromkeys(("classes_fooled", "classes_tried"), "no class was fooled")
    figures["verified_from_disk"] = "no search claimed a success"
    figures |= dict.fromkeys(("decoder_explained", "decoder_agreement"), "there was no decoder")
    if plan.mistakes:
        none, mute = "there was no mistake to repair", "LSE could not speak here, or there was no mistake"
        figures |= {"mistakes_repaired": none, "pixel_repaired": none, "pixel_l2": "no repair held"}
        figures |= dict.fromkeys(("lse_repaired", "lse_plain_repaired"), mute)
        figures |= dict.fromkeys(("lse_l2", "lse_plain_l2"), f"{mute}, or no repair held")
        if plan.findings:
            figures["findings"] = f"{mute}, or the images are of one class"
        if judge or plan.train_judge:
            agreements = ("lse_judge_agreement", "lse_plain_judge_agreement", "pixel_judge_agreement")
            untrained = ", or no judge could be trained" * plan.train_judge
            figures |= dict.fromkeys(agreements, f"there was no repair to judge{untrained}")
            figures |= dict.fromkeys(("judge_before", "judge_accuracy"), f"{none}{untrained}")
    if plan.imposters:
        at, why = radius(DELTA), "no imposter could be made of these images, or of this network"
        figures |= dict.fromkeys([f"{name}@{at}" for name in IMPOSTERS], why)
        figures[f"imposter_neighbors@{at}"] += ", or there were fewer than five images to find neighbors in"
    if plan.fooled:
        why = "no class was fooled, or there were too few images to fit a rule of this name"
        figures |= {f"rejected.{rule.replace(' ', '_')}.fooling": why for rule in CHEAP}
    if plan.attacked:
        figures |= {f"robust_accuracy@{radius(eps)}": "no attacked image was right before" for eps in plan.epsilons}
    return figures


def radius(eps: float) -> str:
    """A radius in pixel values of [0, 1] as one would type it, whichever is shorter: "8/255" or "0.1"."""
    return min(f"{eps:.12g}", f"{eps * 255:.12g}/255", key=len)


def percent(share: float) -> str:
    """A share in words that says all or none only where it is all or none.

    Args:
        share: In [0, 1].
    """
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"
