"""What was done, with settings and references: the last page of a report."""

from typing import Any

from amiss.audit.audit import Audit
from amiss.audit.causes import settings_for
from amiss.audit.figures import radius
from amiss.audit.imposter_pages import imposter_method

__all__ = ["methods"]


def methods(audit: Audit, judge: str = "") -> list[dict[str, Any]]:
    """One entry a method: name, text, settings, reference.

    Args:
        audit: What was found.
        judge: How the judge is called that was given.
    """
    plan, found = audit.plan, []
    judged = "none given" if audit.judge is None else str(audit.judge)
    if "LSE" in audit.repairs and len(audit.mistakes):
        found.append(
            _method(
                "LSE",
                "The code of a wrong image is changed until the answer is right by the margin; the change of the "
                "decoded image is added to the image, so that what the decoder cannot draw is not lost. Then the "
                "change of the code is made as small as it can be, step by step to the linearized boundary.",
                {"probe": audit.repairs["LSE"].result.probe, "decoder": audit.decoder, "margin": plan.margin},
                "Zoetmulder et al. (2018), latent sympathetic examples; Lee et al. (2015), difference target "
                "propagation, eq. 15; Moosavi-Dezfooli et al. (2016), DeepFool, eq. 5",
            )
        )
        found.append(
            _method(
                "LSE, plain decoding",
                "The same search, but the repaired image is the decoded code itself: what the decoder cannot draw "
                "is lost, and counts as change.",
                {"probe": audit.repairs["LSE, plain decoding"].result.probe},
                "Zoetmulder et al. (2018), latent sympathetic examples",
            )
        )
    if len(audit.mistakes):
        found.append(
            _method(
                "Pixel PGD",
                "The contrast: steps along the gradient in the pixels themselves. Its changes are smaller as a rule, "
                "and they need not mean anything.",
                {"probe": audit.repairs["Pixel PGD"].result.probe},
                "Madry et al. (2018), towards deep learning models resistant to adversarial attacks, eq. 2.2",
            )
        )
    if audit.findings is not None:
        found.append(
            _method(
                "Findings",
                "Of the mistakes of one kind the minimal repairs give a direction of codes, and what the model's "
                "logit leaves unexplained gives another; their bisector is tested on the half of the images that had "
                "no part in it. It is claimed where the truth follows the position along it less than the logit "
                "(Wald's statistic), and where moving images along it breaks more right answers, by the lower end of "
                "a bootstrap interval, than any other difference of two real codes of one class, of the same length. "
                "Of several cues at once each is tested by itself, given the others, where a table tells them apart.",
                {"settings": str(settings_for(plan)), "decoder": audit.decoder},
                "Zoetmulder et al. (2018), latent sympathetic examples: what many repairs reveal",
            )
        )
    if audit.robustness is not None:
        which = "a sample of the images" if audit.robustness.n < len(audit.images) else "all images"
        votes = f", in so many of {audit.votes} votes that their interval lies above one half" * (audit.votes > 1)
        settings = {"radii": [radius(eps) for eps in audit.robustness.epsilons], "images": audit.robustness.n}
        found.append(
            _method(
                "Robustness",
                f"Projected gradient steps in L_inf on {which}, each radius in turn; what a smaller "
                "radius broke stays broken. An image is broken once the classifier names its attacked version, "
                f"rounded to 8 bits, otherwise{votes}. A gradient attack bounds the true robustness from above only. "
                "Intervals are Wilson's, 95 %.",
                {**settings, "probe at the largest radius": audit.robustness.probe},
                "Madry et al. (2018), eq. 2.2; Wilson (1927), probable inference",
            )
        )
    if audit.fooling.classes:
        found.append(
            _method(
                "Fooling by gradient",
                "From an even grey, sign steps up the gradient of a class until the classifier is certain of it.",
                {"probe": audit.fooling.result.probe},
                "Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (gradient ascent)",
            )
        )
    if audit.imposters is not None:
        found.append(imposter_method(audit.imposters))
    what = "repair and every fooling image"
    what = what if audit.imposters is None else "repair, every fooling image and every imposter"
    how = "in a batch and alone"
    if audit.votes > 1:
        how = f"{audit.votes} times, for the classifier answers at random: it holds where the interval of its votes "
        how += "lies above one half"
    found.append(
        _method(
            "Verification",
            f"Every {what} was written as an 8-bit PNG, read back from disk and judged again "
            f"by the same objective, margin included, {how}; one that its file does not hold is not counted. Attacks "
            "are judged after rounding to 8 bits, by the answer alone.",
            {"judge": f"{judge}: {judged}" if judge and audit.judge is not None else judge or judged},
            "Carlini et al. (2019), on evaluating adversarial robustness",
        )
    )
    return found


def _method(name: str, text: str, settings: dict[str, Any], reference: str) -> dict[str, Any]:
    return {"name": name, "text": text, "settings": settings, "reference": reference}
