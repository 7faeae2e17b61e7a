"""What each trust flag says, in plain words: the table that measurements fill in, and docs/trust.md explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["KINDS", "Kind", "When"]

When = Literal["before", "after"]


@dataclass(frozen=True)
class Kind:
    """What is said of a flag, whatever was measured.

    Attributes:
        slug: Its short name.
        title: What is wrong where it fired, in one line.
        when: "before" or "after" a study.
        limit: The number of its threshold.
        threshold: When it fires, in words around {limit}.
        consequence: What it does to the figures.
        remedy: The one thing to do.
        reference: Where the check is from.
    """

    slug: str
    title: str
    when: When
    limit: float
    threshold: str
    consequence: str
    remedy: str
    reference: str


_CARLINI = "Carlini et al. (2019), on evaluating adversarial robustness"
_ATHALYE = "Athalye, Carlini and Wagner (2018), obfuscated gradients give a false sense of security"
_CROCE = "Croce and Hein (2020), reliable evaluation of adversarial robustness"
_PINTOR = "Pintor et al. (2022), indicators of attack failure"
_LSE = "Zoetmulder et al. (2018), latent sympathetic examples"

_BEFORE = (
    Kind(
        "parity",
        "The classifier scores otherwise here than its owner says",
        "before",
        0.02,
        "more than {limit:.0%} between the two accuracies",
        "Another model, another preprocessing or another order of classes is being measured: no figure holds.",
        "Give mean, std and image size as in training, and the classes in the classifier's order.",
        f"{_CARLINI}: report clean accuracy, and compare it",
    ),
    Kind(
        "probabilities",
        "The classifier gives probabilities where logits are expected",
        "before",
        1e-3,
        "every row lies in [0, 1] and sums to 1 within {limit:g} (more in half precision), or a lone output never "
        "leaves [0, 1]",
        "Margins are counted in logits: in probabilities they mean something else, and where the softmax saturates "
        "the gradient vanishes and attacks fail.",
        "Return what goes into the last softmax or sigmoid.",
        f"{_CROCE}, and the checks of its code; Carlini and Wagner (2017), towards evaluating the robustness of "
        "neural networks, on defensive distillation",
    ),
    Kind(
        "randomness",
        "The classifier answers the same image differently each time",
        "before",
        1e-5,
        "asked three times, a batch gets answers that differ by more than {limit:g} of the logits' spread (more in "
        "half precision)",
        "A single success may be luck, and a gradient points along one draw alone.",
        "Count a success by k of n votes (`verify(..., votes=20)`), search under `EOT`, or turn the randomness off.",
        f"{_ATHALYE}, section 4.2, on randomized classifiers",
    ),
    Kind(
        "train-mode",
        "The network was left in training mode",
        "before",
        0,
        "more than {limit} modules that drop something or keep statistics, such as dropout and batch norm, in "
        "training mode",
        "It is asked in evaluation mode here: figures that were measured in training mode will not agree.",
        "Call `net.eval()` where the model is made.",
        f"{_CARLINI}: attack the model as it is deployed",
    ),
    Kind(
        "batch-dependence",
        "What the classifier says of an image depends on its neighbors in the batch",
        "before",
        1e-3,
        "a row differs by more than {limit:g} of the logits' spread between batches (more in half precision)",
        "A success in one batch need not be one in another, and a row's gradient is mixed with its neighbors'.",
        "Take statistics over the batch out of forward, or give batch norm its running statistics.",
        f"{_PINTOR}: unstable predictions; Foolbox, issue 325, on batch against single image",
    ),
    Kind(
        "input-range",
        "The network is shown almost no contrast",
        "before",
        0.25,
        "the widest channel of what the network is shown spans less than {limit:g}, or black and white are farther "
        "from 0 than from each other",
        "The network sees nearly the same gray image whatever it is given: its answers mean nothing.",
        "Give mean and std for images in [0, 1]; divide by 255 once, not twice.",
        f"{_CARLINI}: verify the preprocessing",
    ),
    Kind(
        "gradient-missing",
        "No gradient reaches the image",
        "before",
        0,
        "autograd finds no way from the answer back to the image",
        "Attacks and repairs by gradient cannot run.",
        "Remove torch.no_grad, detach or argmax from forward, or use a probe without gradients, such as `square`.",
        f"{_PINTOR}: unavailable gradients",
    ),
    Kind(
        "gradient-zero",
        "The gradient is zero where the answer still depends on the image",
        "before",
        0.1,
        "on more than {limit:.0%} of the images the gradient of the margin promises less than 1 % of the logits' "
        "spread, however far the pixels move",
        "A search by gradient stands still and reports robustness that is not there.",
        "Look for rounding, thresholds or a saturated softmax in forward; `square` needs no gradient.",
        f"{_ATHALYE}, section 3; {_CROCE}, on vanishing gradients",
    ),
    Kind(
        "gradient-not-finite",
        "Answers or gradients are not numbers",
        "before",
        0,
        "more than {limit} images with a margin or a gradient that is not finite",
        "These images end as not-finite; they count neither as broken nor as robust.",
        "Look for a division by 0, the root or logarithm of 0, or weights that are NaN.",
        f"{_PINTOR}: unavailable gradients",
    ),
    Kind(
        "gradient-masked",
        "The gradient does not say where the answer goes",
        "before",
        0.5,
        "on more than {limit:.0%} of the images a step along the gradient changes the margin by less than half, or "
        "more than twice, of what the gradient predicts, at every length tried",
        "Attacks by gradient walk the wrong way: the accuracy under attack is an illusion.",
        "Remove what bends the gradient (shattering, custom backward passes), or attack with `square` as well.",
        f"{_ATHALYE}, section 3.1",
    ),
    Kind(
        "class-count",
        "The labels name classes that the classifier does not have",
        "before",
        0,
        "more than {limit} labels outside the classifier's classes",
        "Right and wrong cannot be told for these images.",
        "Number the classes from 0 in the order of the classifier's outputs.",
        f"{_CROCE}, and the checks of its code",
    ),
    Kind(
        "decoder-reconstruction",
        "The decoder loses what the images show",
        "before",
        0.7,
        "reconstruction keeps less than {limit:.0%} of the pixels' variance",
        "LSE speaks of other images than these.",
        "Train a decoder on such images, longer or with a longer code.",
        _LSE,
    ),
    Kind(
        "decoder-agreement",
        "The classifier names the decoder's reconstructions otherwise than the images",
        "before",
        0.7,
        "less than {limit:.0%} of the reconstructions are named as their images are",
        "LSE speaks of answers that the classifier does not give.",
        "Train a decoder that keeps what the classifier looks at, or repair in pixels.",
        _LSE,
    ),
)

_AFTER = (
    Kind(
        "eight-bit",
        "Successes are lost when they are saved",
        "after",
        1.0,
        "less than {limit:.0%} of the claimed successes hold in their files",
        "What is claimed exists as a tensor only; only what the files hold is counted.",
        "Search on the lattice of a file (`Quantized(256)`, as every recipe does), with a margin of 0.05 or more.",
        "Carlini and Wagner (2017), towards evaluating the robustness of neural networks, on discretization; "
        "Foolbox, issues 162 and 423",
    ),
    Kind(
        "not-finite",
        "Some searches ended in numbers that are not finite",
        "after",
        0,
        "more than {limit} images end as not-finite",
        "These images count neither as broken nor as robust.",
        "Find where NaN begins: torch.autograd.set_detect_anomaly(True) around one pass.",
        f"{_PINTOR}: unavailable gradients",
    ),
    Kind(
        "random-direction",
        "A random change does as well as the one found",
        "after",
        0.2,
        "more than {limit:.0%} of random changes of the same size meet the objective too",
        "The images lie on the boundary anyway: the direction that was found says nothing about the classifier.",
        "Keep the smallest change (`until='budget'`), or ask for a larger margin.",
        f"{_ATHALYE}, section 3.1, on random sampling; {_CARLINI}: compare with random noise",
    ),
    Kind(
        "black-box-better",
        "An attack without gradients breaks what the gradient attack left standing",
        "after",
        0.05,
        "more than {limit:.0%} of the attacked images, at least 2, were left standing and fall to the Square attack",
        "There are ways that the gradient attack does not find: the accuracy under attack is too high.",
        "Report the worse of both for each image, give the gradient attack restarts, and look for what bends the "
        "gradient.",
        f"{_ATHALYE}, section 3.1; {_CROCE}; Andriushchenko et al. (2020), square attack",
    ),
    Kind(
        "not-converged",
        "The attack was stopped too early",
        "after",
        0.05,
        "twice the steps break more than {limit:.0%} of the attacked images, at least 2, that were left standing",
        "The accuracy under attack depends on the budget, and is too high.",
        "Give the attack more steps until the figure stands still.",
        f"{_CARLINI}: verify that attacks have converged; {_PINTOR}: incomplete optimization",
    ),
    Kind(
        "eps-huge",
        "The attack fails even where everything is allowed",
        "after",
        1.0,
        "the attack with eps = 1 meets its objective on less than {limit:.0%} of the images, with steps of three "
        "lengths",
        "With every image within reach a failure is the attack's own: its accuracies at smaller radii are too high.",
        "Look at the gradient flags; use an attack that suits the model.",
        f"{_ATHALYE}, section 3.1, on unbounded attacks; {_PINTOR}: unconstrained attack failure",
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.slug: kind for kind in (*_BEFORE, *_AFTER)})
"""Every flag by its slug, in the order in which they are measured."""
