"""A captioner is made to describe another image than the one that is there, as an independent classifier sees it."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.bench.sequences_captions import SIZE, captioner, faces_captioner, stream
from amiss.bench.sequences_panel import draw_panel
from amiss.bench.weights import learned_once
from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.data import Images, to_bytes
from amiss.data.worlds.captions import grammar_of
from amiss.data.worlds.faces import sample_faces
from amiss.data.worlds.scenes import sample_scenes
from amiss.loading import Describer
from amiss.objectives import Mimic, Objective, Says
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.repro import generator
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.training import attributes_for, train
from amiss.training.presets.captioner import plain_sentences

__all__ = ["hijack", "hijacked", "judge", "pairs_of", "read_labels"]

_JUDGE, _PAIRS, _NOISE = 11, 12, 13  # streams of a seed
_LEVELS = (8, 16, 25)  # gray levels of 255 that a search may change; the last is the last whole one below 0.1
_NEAR = 0.15  # a search for a code ends at this share of the way to it
_SEARCHES = {  # levels, what is searched for, steps and their size
    "mimic": [(levels, "mimic", 80, 0.01) for levels in _LEVELS],
    "sentence": [(_LEVELS[-1], "both", 80, 0.01), (_LEVELS[-1], "says", 300, 0.03)],
    "says": [(levels, "says", 80, 0.01) for levels in _LEVELS],
}
_ASKED = 25  # pairs for which a sentence is searched, one sentence at a time
_SHOWN = 4  # pairs of the panel


def hijack(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Sources are changed by at most 25 gray levels until the captioner describes each as its guide.

    First the guide's code alone is what is searched for, inside rising radii. Sources that are still described
    otherwise are searched for the code and the guide's sentence together, and those that are left then for the
    sentence alone. A pair counts where the captioner then says the guide's sentence, word for word, and a classifier
    that was trained apart from it, by other drawings and of another architecture, still reads every label of the
    source. Both are judged after rounding to bytes.

    `caption_hijack` is of drawn faces, `caption_hijack_scenes` of drawn digits. `..._mimic` is the share where
    the code alone sufficed; `..._says` that of the sentence alone, with no guide to look at, on 25 pairs.
    """
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    raw: dict[str, Any] = {}
    for world, n in {"faces": 100, "scenes": 50}.items():
        describer = Describer(faces_captioner(run) if world == "faces" else captioner(run))
        independent, accuracy = judge(run, world)
        source, guide, tried = pairs_of(
            _drawn(run, world, 12 if run.quick else 2 * n, _PAIRS), None if run.quick else independent
        )
        end = "" if world == "faces" else "_scenes"
        some = slice(_ASKED)
        mimicked = hijacked(describer, source, guide, "mimic", quick=run.quick)
        both = hijacked(describer, source, guide, "sentence", mimicked, quick=run.quick)
        named = hijacked(describer, source.pick(some), guide.pick(some), "says", quick=run.quick)
        told = {
            "mimic": _judged(describer, independent, source, mimicked, guide),
            "both": _judged(describer, independent, source, both, guide),
            "says": _judged(describer, independent, source.pick(some), named, guide.pick(some)),
        }
        raw[world] = {"judge_accuracy": accuracy, "tried": tried, "pairs": len(source), **told}
        figures[f"caption_hijack{end}"] = told["both"]["both"] / len(source)
        figures[f"caption_hijack_said{end}"] = told["both"]["said"] / len(source)
        figures[f"caption_hijack_kept{end}"] = told["both"]["kept"] / len(source)
        figures[f"caption_hijack_mimic{end}"] = told["mimic"]["both"] / len(source)
        figures[f"caption_hijack_says{end}"] = told["says"]["both"] / told["says"]["n"]
        rows = [("source", source), ("changed", both), ("guide", guide)]
        shown = [(what, part, describer.answer(part.images()[:_SHOWN])) for what, part in rows]
        raw[world]["panel"] = {what: said for what, _, said in shown}
        draw_panel(run.place / f"hijack-{world}.png", shown, _SHOWN)
    figures["caption_hijack_linf"] = max(raw[w][by]["linf_max"] for w in raw for by in ("mimic", "both", "says"))
    return figures, raw


def _judged(
    describer: Describer, independent: Classifier, source: Images, changed: Images, guide: Images
) -> dict[str, Any]:
    """How many changed images are described as their guides, how many keep their labels, both, and the change.

    Those that are described so are counted once more by the first label of their sources.
    """
    said = torch.tensor(
        [a == b for a, b in zip(describer.answer(changed.images()), plain_sentences(guide), strict=True)]
    )
    truth, grammar = _labels(source), grammar_of(source.captions)
    kept = (read_labels(independent, changed) == truth).all(1)
    change = (changed.images() - source.images()).abs().flatten(1).amax(1)
    groups = {name: truth[:, 0] == i for i, name in enumerate(grammar.values[0])}
    return {
        "n": len(source), "said": int(said.sum()), "kept": int(kept.sum()), "both": int((said & kept).sum()),
        "linf_mean": float(change.mean()), "linf_max": float(change.max()),
        f"said_by_{grammar.columns[0]}": {k: [int(said[rows].sum()), int(rows.sum())] for k, rows in groups.items()},
    }  # fmt: skip


def hijacked(
    describer: Describer, source: Images, guide: Images, by: str, begun: Images | None = None, *, quick: bool = False
) -> Images:
    """Sources that are changed until they are described as their guides, in bytes.

    Each search of `_SEARCHES` takes those sources that the ones before it have left undescribed.

    Args:
        describer: The captioner.
        source: Images [n].
        guide: As many others.
        by: What is searched for, and how.
        begun: What earlier searches made of the sources.
        quick: A few steps.
    """
    wanted, changed = plain_sentences(guide), source.pixels.clone() if begun is None else begun.pixels.clone()
    mimic = Mimic("code", near=_NEAR)
    for levels, what, steps, rate in _SEARCHES[by]:
        said = describer.answer(replace(source, pixels=changed).images())
        left = [i for i, text in enumerate(said) if text != wanted[i]]
        searches: list[tuple[Objective, list[int]]] = [(mimic, left)]
        if what != "mimic":
            goals: dict[str, Objective] = {wanted[i]: Says(wanted[i]) for i in left}
            searches = [
                (mimic + goal if what == "both" else goal, [i for i in left if wanted[i] == text])
                for text, goal in sorted(goals.items())
            ]
        for objective, some in searches:
            if some:
                rows, budget = torch.tensor(some), Budget(3 if quick else steps)
                task = Task(rows, source.images(rows), guide=guide.images(rows))
                probe = Probe(Pixels(), objective, Linf(levels / 255), Adam(rate), budget=budget)
                changed[rows] = to_bytes(probe.run(describer, task).images)
    return replace(source, pixels=changed)


def judge(run: Run, world: str) -> tuple[Classifier, float]:
    """A classifier of all that sentences tell, trained once on drawings of its own; and how often it is wholly right.

    It sees images at half their side and has neither weights, nor norms, nor images in common with the captioner. To
    each image that it learns from some noise is added, of up to the size that a source may be changed by.
    """
    images = _drawn(run, world, 60 if run.quick else 6000, _JUDGE)
    labels, grammar = _labels(images), grammar_of(images.captions)
    table = {
        f"{name}={value}": (column == i).float()
        for name, values, column in zip(grammar.columns, grammar.values, labels.unbind(1), strict=True)
        for i, value in enumerate(values)
    }
    noisy = replace(images, pixels=_noisy(images.pixels, run), table=table, labels=None)
    preset = attributes_for(noisy, list(table), run.seed, network="SmallCNN")
    training = replace(preset.training, epochs=None, steps=2 if run.quick else 1000)
    path = run.place / f"judge-{world}.safetensors"
    model, facts = learned_once(path, replace(preset, training=training), lambda recipe, _: train(recipe, noisy))
    classifier = Classifier(nn.Sequential(nn.AvgPool2d(2), model), mean=facts["mean"], std=facts["std"])
    test = _drawn(run, world, 20 if run.quick else 1000, _JUDGE + _NOISE)
    return classifier, float((read_labels(classifier, test) == _labels(test)).all(1).double().mean())


def pairs_of(images: Images, independent: Classifier | None) -> tuple[Images, Images, int]:
    """Sources from the first half of the images, guides from the second; and how many pairs there were.

    Those pairs are left that are described differently, and whose source the classifier, if any, reads rightly.
    """
    half = len(images) // 2
    source, guide = images.pick(slice(half)), images.pick(slice(half, 2 * half))
    labels = _labels(source)
    fits = (labels != _labels(guide)).any(1)
    if independent is not None:
        fits &= (read_labels(independent, source) == labels).all(1)
    rows = fits.nonzero()[:, 0]
    return source.pick(rows), guide.pick(rows), half


def read_labels(classifier: Classifier, images: Images) -> Tensor:
    """The labels [n, L] that a classifier with one output for each value of each label reads off images."""
    levels = [len(names) for names in grammar_of(images.captions).values]
    with torch.no_grad():
        parts = [classifier.outputs(x)["answer"] for x in images.images().split(250)]
    return torch.stack([part.argmax(1) for part in torch.cat(parts).split(levels, 1)], 1)


def _labels(images: Images) -> Tensor:
    """The labels [n, L] that the sentences of images tell."""
    grammar = grammar_of(images.captions)
    return torch.tensor([grammar.read(caption) for caption in images.captions])


def _drawn(run: Run, world: str, n: int, purpose: int) -> Images:
    """Images of a world, by lots of their own."""
    seed = stream(run, purpose)
    return (sample_faces(n, seed, size=SIZE) if world == "faces" else sample_scenes(n, seed, SIZE)).images()


def _noisy(pixels: Tensor, run: Run) -> Tensor:
    """Bytes at half the side, with even noise whose size is drawn for each image from 0 to the largest radius."""
    lots = generator(run.seed, _NOISE)
    half = F.avg_pool2d(pixels.float(), 2)
    size = _LEVELS[-1] * torch.rand(len(pixels), 1, 1, 1, generator=lots)
    noise = size * (2 * torch.rand(half.shape, generator=lots) - 1)
    return (half + noise).round().clamp(0, 255).to(torch.uint8)
