"""The trust flags that need no study: what a classifier, its images and its decoder show by themselves."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.reading import Pace
from amiss.repro import uniform
from amiss.spaces.latent import Codec
from amiss.trust.decoder import DecoderGate, decoder_gate
from amiss.trust.flags import Flag, found, unmeasured
from amiss.trust.gradients import SLUGS as GRADIENTS
from amiss.trust.gradients import gradients
from amiss.trust.kinds import KINDS
from amiss.trust.measuring import SAMPLE, Progress, asked, attempt, grain, sample, seeded
from amiss.trust.steadiness import SLUGS as STEADY
from amiss.trust.steadiness import steadiness

__all__ = ["before"]

_DRAWN = 128  # images that a decoder is measured on
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
_RATES = ("dropout", "drop_prob")  # what modules call the share that they drop; "p" is the name of other things too


def before(
    classifier: Classifier,
    images: Images,
    *,
    accuracy: float | None = None,
    decoder: Codec | DecoderGate | None = None,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Flag, ...]:
    """Measure what could make every later figure untrue. No bad model makes this raise; its flags say so.

    It costs at most 14 passes of up to 32 images, 8 of one image and one backward pass; with a decoder 8 passes of
    32 images more, and with an accuracy one look at every image.

    Args:
        classifier: Who is asked; left as it was.
        images: Images, labeled where labels are known; at most 32 are looked at, drawn over the classes.
        accuracy: The accuracy that its owner knows, in [0, 1].
        decoder: What LSE would search along, or what `decoder_gate` has measured of it.
        batch: Images a pass; halved where they do not fit into memory.
        seed: Of the draw of images, and of torch's global randomness while this runs.
        progress: Told how far it is.

    Returns:
        One flag a kind, in the order of `KINDS`.

    References:
        Carlini et al. (2019), on evaluating adversarial robustness; Athalye, Carlini and Wagner (2018), obfuscated
        gradients give a false sense of security, section 3.1.
    """
    tell = progress or (lambda *_: None)
    pace = Pace(batch)
    x = images.images(sample(images.labels, len(images), seed))
    flags: list[Flag] = []

    def measured(slugs: Sequence[str], measure: Callable[[], Sequence[Flag]]) -> None:
        tell("Measuring trust", len(flags), sum(kind.when == "before" for kind in KINDS.values()))
        flags.extend(attempt(slugs, measure))

    with seeded(classifier.device, seed):
        measured(STEADY, lambda: steadiness(classifier, x, pace))
        unsteady = [flag.slug for flag in flags if flag.fired]
        measured(["probabilities"], lambda: [_probabilities(classifier, x, pace, seed)])
        measured(GRADIENTS, lambda: gradients(classifier, x, pace, unsteady))
        measured(["train-mode"], lambda: [_training(classifier)])
        measured(["input-range"], lambda: [_range(classifier, x)])
        measured(["class-count"], lambda: [_classes(classifier, images)])
        measured(["parity"], lambda: [_parity(classifier, images, accuracy, pace)])
        measured(
            ["decoder-reconstruction", "decoder-agreement"], lambda: _decoder(classifier, images, decoder, pace, seed)
        )
    return tuple(sorted(flags, key=lambda flag: list(KINDS).index(flag.slug)))


def _probabilities(classifier: Classifier, x: Tensor, pace: Pace, seed: int) -> Flag:
    logits = asked(classifier, x, pace)
    lone = logits.shape[1] == 2 and not bool(logits[:, 0].any())  # one output, read as log-odds
    if lone:  # those of a few images may lie in [0, 1] by chance; those of all images do not
        noise = uniform(torch.tensor([seed]), (SAMPLE // 2, *x.shape[1:]))[0].round().to(x.dtype)
        logits = torch.cat([logits, asked(classifier, torch.cat([1 - x[: SAMPLE // 2], noise]), pace)])
    logits = logits[~logits.isnan().any(1)]  # another flag speaks of the rest
    if not len(logits):
        return unmeasured("probabilities", "No answer is a row of numbers.")
    # Half precision rounds a probability near 1 by as much as it can tell from 1.
    slack = max(KINDS["probabilities"].limit, 2 * grain(classifier, x))
    inside = ((logits >= -slack) & (logits <= 1 + slack)).all(1)
    sums = inside if lone else inside & ((logits.double().sum(1) - 1).abs() <= slack)
    share = float(sums.double().mean())
    words = f"{int(sums.sum())} of {len(logits)} answers look like probabilities"
    return found("probabilities", bool(sums.all()), share, words)


def _training(classifier: Classifier) -> Flag:
    if not isinstance(classifier.network, nn.Module):
        return unmeasured("train-mode", "The classifier is a function: it has no modes.")
    there = [m for m in classifier.network.modules() if _moody(m)]
    left = [m for m in there if m.training]
    words = f"{len(left)} of {len(there)} modules that drop something or keep statistics are in training mode"
    return found("train-mode", bool(left), len(left), words)


def _moody(module: nn.Module) -> bool:
    """Whether a module answers otherwise in training mode, as far as its type and its settings tell."""
    if isinstance(module, _NORMS):
        return bool(module.track_running_stats)
    drops = any(word in type(module).__name__.lower() for word in ("drop", "depth"))
    rates = [getattr(module, name, 0) for name in (*_RATES, *["p"] * drops)]
    return isinstance(module, nn.RReLU) or any(isinstance(rate, int | float) and rate > 0 for rate in rates)


def _range(classifier: Classifier, x: Tensor) -> Flag:
    shown = classifier.shown(x.to(classifier.device)).float().transpose(0, 1).flatten(1)
    span = float((shown.amax(1) - shown.amin(1)).max())
    words = (
        f"what the network is shown of {len(x)} images spans {span:.3g}, from {shown.min():.3g} to {shown.max():.3g}"
    )
    blank = torch.stack([torch.zeros_like(x[0]), torch.ones_like(x[0])])
    black, white = classifier.shown(blank.to(classifier.device)).float().flatten(1)
    # On one side of 0, and farther from it than from each other: a mean in other units than the images.
    far = bool(((black * white > 0) & (torch.minimum(black.abs(), white.abs()) > (white - black).abs())).any())
    return found("input-range", span < KINDS["input-range"].limit or far, span, words)


def _classes(classifier: Classifier, images: Images) -> Flag:
    known = len(classifier.labels or ())
    if images.labels is None or not known:
        why = "The images have no labels." if images.labels is None else "The classifier answered nothing so far."
        return unmeasured("class-count", why)
    outside = int((images.labels >= known).sum())
    words = f"{outside} of {len(images)} labels outside its {known} classes; the data name {len(images.classes)}"
    return found("class-count", outside > 0, outside, words)


def _parity(classifier: Classifier, images: Images, accuracy: float | None, pace: Pace) -> Flag:
    if accuracy is None:
        return unmeasured("parity", "Its owner's accuracy was not given.")
    if images.labels is None:
        return unmeasured("parity", "The images have no labels.")
    rows = torch.arange(len(images)).split(pace.rows)
    answers = torch.cat([asked(classifier, images.images(part), pace).argmax(1) for part in rows])
    score = float((answers == images.labels).double().mean())
    words = f"{score:.1%} on {len(images):,} images; its owner says {accuracy:.1%}"
    return found("parity", abs(score - accuracy) > KINDS["parity"].limit, score - accuracy, words)


def _decoder(
    classifier: Classifier, images: Images, decoder: Codec | DecoderGate | None, pace: Pace, seed: int
) -> list[Flag]:
    slugs = ("decoder-reconstruction", "decoder-agreement")
    if decoder is None:
        return [unmeasured(slug, "There is no decoder.") for slug in slugs]
    if isinstance(decoder, DecoderGate):
        gate, on = decoder, "the images it was measured on"
    else:
        some = sample(images.labels, len(images), seed, _DRAWN)
        gate, on = (
            decoder_gate(classifier, decoder, images.images(some), batch=min(pace.rows, SAMPLE)),
            f"{len(some)} images",
        )
    kept, named = gate.explained, gate.agreement
    return [
        found(slugs[0], kept < KINDS[slugs[0]].limit, kept, f"{kept:.0%} of the pixels' variance is kept, on {on}"),
        found(slugs[1], named < KINDS[slugs[1]].limit, named, f"{named:.0%} are named as before, of {on}"),
    ]
