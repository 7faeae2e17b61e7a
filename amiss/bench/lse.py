"""Repairs: how many and how small they are, what an independent judge sees in them, and what two dimensions hold."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.analysis import tell_apart
from amiss.bench.bench import Bar, Bench, Run, Skip
from amiss.bench.lse_decoders import decoders
from amiss.bench.lse_real import real_cifar, real_mnist
from amiss.classifier import Classifier
from amiss.constraints import L2, Quantized
from amiss.data import Images, open_data, sample_faces
from amiss.demo import demo_classifier, demo_decoder, demo_faces
from amiss.figures import measure
from amiss.objectives import Become
from amiss.optimizers import Linearized, Momentum, Then
from amiss.probe import Budget, Probe
from amiss.recipes import lse, pgd
from amiss.result import Result
from amiss.spaces import Pixels
from amiss.spaces.latent import Codec
from amiss.task import Task
from amiss.testing import RingWorld
from amiss.training import Preset, load_model, presets, train

__all__ = ["BENCH"]

Measured = tuple[dict[str, float], dict[str, Any]]

_MARGIN, _FLIP = 0.5, 0.05  # of all repairs: the margin in logits, and Adam's step of the first flip
_PLANE, _FACES = 200, 200  # mistakes at most, with a code of two numbers and of faces
_SIDE = 11  # nodes along a side of the grid


@dataclass(frozen=True)
class _Digits:
    """Who is audited, who judges, and decoders by the dimensions of their codes.

    Attributes:
        weak: Learned 1,000 images, so that there are mistakes.
        strong: The judge: learned all of them, and none of the searches.
        decoders: Trained on the training images.
        images: Test images, with labels.
    """

    weak: Classifier
    strong: Classifier
    decoders: Mapping[int, Codec]
    images: Images

    def mistakes(self, most: int | None = None) -> Task:
        """The weak classifier's mistakes, each wanting its true label."""
        task = self.images.misclassified(self.weak)
        return task.rows(torch.arange(min(len(task), most or len(task))))


def repairs(run: Run) -> Measured:
    """MNIST, a weak LeNet, codes of 16 and 32 numbers: repaired, saved by minimizing, and what the judge says."""
    digits = _digits(run, (16, 32))
    torch.set_num_threads(1)
    task, told = digits.mistakes(), {}
    for d, decoder in digits.decoders.items():
        first, small = _both(digits.weak, decoder, task, run.seed)
        told[str(d)] = {**_compared(first, small), **_judged(digits.strong, {"first": first, "minimal": small})}
    return {
        "repaired": min(one["repaired"] for one in told.values()),
        "judge_minimal": min(one["judge_minimal"] for one in told.values()),
        "eps_saved_mnist": min(one["eps_saved"] for one in told.values()),
    }, {"mistakes": len(task), "by_dimensions": told, "weak": _accuracy(digits.weak, digits.images)}


def speed(run: Run) -> Measured:
    """Wall seconds of the whole recipe on one batch of 64 mistakes, two threads; median of five, the slower code."""
    digits = _digits(run, (16, 32))
    torch.set_num_threads(2)
    task, told = digits.mistakes(64), {}
    for d, decoder in digits.decoders.items():
        probe, times = lse(decoder, margin=_MARGIN, seed=run.seed), []
        for _ in range(6):
            began = time.monotonic()
            probe.run(digits.weak, task)
            times.append(time.monotonic() - began)
        told[str(d)] = times[1:]  # the first warms up
    return {"seconds_per_64": max(statistics.median(times) for times in told.values())}, {"threads": 2, "times": told}


def plane(run: Run) -> Measured:
    """A code of two numbers: what grid and refinement repair, what is out of reach, and what the gradient missed."""
    torch.set_num_threads(1)
    if run.quick:  # a ring with a trap, whose truth is known, in place of digits
        ring = RingWorld(decoy=0.2, dtype=torch.float32)
        return _plane(ring.classifier(), ring.codec, ring.task, run.seed, margin=0.05, steps=100)
    digits = _digits(run, (2,))
    return _plane(digits.weak, digits.decoders[2], digits.mistakes(_PLANE), run.seed, judge=digits.strong)


def _plane(
    classifier: Classifier,
    decoder: Codec,
    task: Task,
    seed: int,
    *,
    judge: Classifier | None = None,
    margin: float = _MARGIN,
    steps: int = 200,
) -> Measured:
    common: dict[str, Any] = {"margin": margin, "lr": _FLIP, "seed": seed, "steps": steps}
    alone = lse(decoder, **common).run(classifier, task)
    refined = lse(decoder, grid=_SIDE, **common).run(classifier, task)
    reach = tell_apart(alone, classifier, decoder, _SIDE, margin=margin)
    lost, solved = _status(refined, "unreachable"), _status(alone, "exhausted") & refined.met
    figures = {
        "repaired_2d": float(refined.met.double().mean()),
        "unreachable_2d": float(lost.double().mean()),
        "stuck_2d": float(solved.double().mean()),
    }
    if bool(lost.any()):
        figures["unreachable_plain_holds"] = float(reach.plain[lost].double().mean())
    told: dict[str, Any] = {"mistakes": len(task), "alone": alone.counts, "grid": refined.counts}
    told["a_node_holds"] = int(_status(reach.result, "stuck").sum())
    told["eps_solved_by_grid"] = float(refined.size[solved].mean())
    if judge is not None:
        helped = refined.pick(solved.nonzero().flatten().tolist())
        told |= _judged(judge, {"alone": alone, "grid": refined, "solved_by_grid": helped})
    return figures, told


def faces(run: Run) -> Measured:
    """Faces without a shortcut: what minimizing saves, and what the judge says beside repairs in pixels."""
    world = _quick_faces() if run.quick else _trained_faces(run)
    torch.set_num_threads(1)
    task = world.images.misclassified(world.classifier)
    task = task.rows(torch.arange(min(len(task), 24 if run.quick else _FACES)))
    first, small = _both(world.classifier, world.decoder, task, run.seed)
    told: dict[str, Any] = {"mistakes": len(task), **_compared(first, small)}
    figures = {"eps_saved_faces": told["eps_saved"]}
    if world.judge is not None:
        # Like with like: first flips beside first flips, minimal repairs beside minimal ones.
        flips = pgd(None, 200, norm="l2", step=0.1, target="task", margin=_MARGIN, seed=run.seed)
        pixels = {"pixels": flips.run(world.classifier, task), "minimal_pixels": _smallest(world, task, run.seed)}
        told |= _judged(world.judge, {"first": first, "minimal": small, **pixels})
        told |= {"judge_before": _called(world.judge, _images(task), task)}
        told |= {"judge": _accuracy(world.judge, world.images)}
        told |= {name: {"outcomes": found.counts, "l2": float(found.l2.mean())} for name, found in pixels.items()}
        figures["judge_gain_over_pixels"] = told["judge_minimal"] - told["judge_minimal_pixels"]
        figures["judge_gain_of_first_flips"] = told["judge_first"] - told["judge_pixels"]
    told["classifier"] = _accuracy(world.classifier, world.images)
    return figures, told


def figures(run: Run) -> Measured:
    """All figures of the paper by one call, on MNIST, two threads: wall seconds, and what figures 2, 3 and 5 show."""
    if run.quick:
        raise Skip("it trains networks for minutes")
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:  # what lies in a folder already would not be made anew
        shown = measure(run.seed, str(run.data("MNIST")), Path(folder))
    lost = {row["dimensions"]: row["reconstruction"] for row in shown["figure5"] if row["dimensions"] <= 16}
    falls = all(lost[small] > lost[large] for small, large in pairwise(sorted(lost)))
    return {
        "figures_seconds": shown["seconds"],
        "figure5_falls": float(falls),
        "classes_in_figure_2": float(shown["classes_in_2"]),
        "classes_in_figure_3": float(shown["classes_in_3"]),
        "figures_2_and_3_differ": shown["differ_2_3"],
        "local_minima_proved": float(shown["minima"]),
    }, {"threads": 2, "figure5": shown["figure5"], "path": shown["path"]}


def _both(classifier: Classifier, decoder: Codec, task: Task, seed: int) -> tuple[Result, Result]:
    """The first flips by Adam, and the minimal repairs that the recipe makes of them."""
    common: dict[str, Any] = {"margin": _MARGIN, "lr": _FLIP, "seed": seed}
    return lse(decoder, minimize=None, **common).run(classifier, task), lse(decoder, **common).run(classifier, task)


def _smallest(world: "_Faces", task: Task, seed: int) -> Result:
    """Minimal repairs in pixels: the same flip, then the same steps, in another space."""
    last = Linearized()
    search = Then(Momentum(0.1, 0.0, "l2"), last, 200)
    budget = Budget(200 + last.rounds + last.halvings)
    wanted, size = Become(margin=_MARGIN), L2() & Quantized()
    return Probe(Pixels(), wanted, size, search, "budget", budget, seed).run(world.classifier, task)


def _compared(first: Result, small: Result) -> dict[str, Any]:
    """Shares repaired, and what minimizing saves of the mean size where both are."""
    met = first.met & small.met
    before, after = first.size[met].double(), small.size[met].double()
    return {
        "repaired": float(small.met.double().mean()),
        "repaired_first": float(first.met.double().mean()),
        "eps_first": float(before.mean()),
        "eps_minimal": float(after.mean()),
        "eps_saved": 1 - float(after.mean() / before.mean()),
        "eps_saved_each": 1 - float((after / before).mean()),
        "l2_first": float(first.l2[met].mean()),
        "l2_minimal": float(small.l2[met].mean()),
        "outcomes": small.counts,
    }


def _judged(judge: Classifier, results: Mapping[str, Result]) -> dict[str, float]:
    return {f"judge_{name}": _agreement(judge, result) for name, result in results.items()}


def _agreement(judge: Classifier, result: Result) -> float:
    """Share of the repairs that the judge calls by the true label."""
    met = result.met.nonzero().flatten()
    return _called(judge, result.images[met], result.task.rows(met)) if len(met) else float("nan")


def _called(judge: Classifier, images: Tensor, task: Task) -> float:
    assert task.label is not None  # noqa: S101 - mistakes have labels
    said = torch.cat([judge.predict(x) for x in images.split(250)])
    return float((said == task.label).double().mean())


def _images(task: Task) -> Tensor:
    assert task.image is not None  # noqa: S101 - mistakes are images
    return task.image


def _status(result: Result, status: str) -> Tensor:
    return torch.tensor([outcome.status == status for outcome in result.outcomes], dtype=torch.bool)


def _accuracy(classifier: Classifier, images: Images) -> float:
    said = torch.cat([classifier.predict(x) for x in images.images().split(500)])
    return float((said == images.truth).double().mean())


def _digits(run: Run, dimensions: tuple[int, ...]) -> _Digits:
    """MNIST and its networks, trained where their files are not there yet."""
    if run.quick:
        raise Skip("it trains networks for minutes")
    folder = str(run.data("MNIST"))
    learned, images = open_data(folder, split="train"), open_data(folder)
    decoders: dict[int, Codec] = {}
    for d in dimensions:
        # A code of two numbers takes longer to unfold.
        preset = _shortened(presets.mnist_vae(run.seed, d), 10.0 if d == 2 else 6.0)
        decoders[d] = _model(run, f"decoder-{d}", preset, learned)[0]
    weak = _model(run, "weak", presets.weak_classifier(run.seed), learned.pick(slice(0, 1000)))
    strong = _model(run, "strong", presets.mnist_classifier(run.seed), learned)
    return _Digits(_classifier(*weak), _classifier(*strong), decoders, images)


@dataclass(frozen=True)
class _Faces:
    """Who is audited, the decoder of its own training images, who judges, and test images."""

    classifier: Classifier
    decoder: Codec
    judge: Classifier | None
    images: Images


def _quick_faces() -> _Faces:
    return _Faces(demo_classifier(), demo_decoder(), None, demo_faces(120))


def _trained_faces(run: Run) -> _Faces:
    """Networks of faces whose attributes are independent; the judge has learned what the label follows from.

    The judge sees other faces, twice as many, and their causes without the noise that the labels have.
    """
    learned, asked = open_data(f"faces:seed={run.seed}", split="train"), sample_faces(2000, 3 * run.seed + 2).images()
    network = _model(run, "faces-classifier", presets.faces_classifier(run.seed), learned)
    decoder: Any = _model(run, "faces-decoder", _shortened(presets.faces_vae(run.seed), 12.0), learned)[0]
    others = sample_faces(12_000, 1000 + run.seed)
    causes = replace(others, labels=(others["jaw"] + others["brow"] > 1).long()).images()
    judge = _model(run, "faces-judge", _shortened(presets.faces_classifier(1000 + run.seed), 10.0), causes)
    return _Faces(_classifier(*network), decoder, _classifier(*judge), asked)


def _shortened(preset: Preset, epochs: float) -> Preset:
    return replace(preset, training=replace(preset.training, epochs=epochs))


def _model(run: Run, name: str, preset: Preset, images: Images) -> tuple[Any, dict[str, Any]]:
    """A network of this seed and its facts, trained once and read from its file ever after."""
    path = run.place / f"{name}.safetensors"
    if not path.is_file():
        torch.set_num_threads(1)  # the same sums, hence the same weights, on a busy machine too
        train(preset, images).save(path)
    network, facts = load_model(path)
    return network.eval().requires_grad_(False), facts


def _classifier(network: Any, facts: dict[str, Any]) -> Classifier:
    return Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def merged(raw: Mapping[str, Any]) -> dict[str, float]:
    """What minimizing saves at the least, over all seeds, on digits and on faces.

    Args:
        raw: What the parts measured, by seed.
    """
    names = {"repairs": "eps_saved_mnist", "faces": "eps_saved_faces"}
    saved = [parts[part]["figures"][name] for parts in raw.values() for part, name in names.items() if part in parts]
    return {"eps_saved": min(saved)} if saved else {}


BENCH = Bench(
    "lse",
    {
        "repairs": repairs,
        "speed": speed,
        "plane": plane,
        "faces": faces,
        "real_mnist": real_mnist,
        "real_cifar": real_cifar,
        "figures": figures,
        "decoders": decoders,
    },
    {
        "repaired": Bar(">=", 0.99),
        "judge_minimal": Bar(">=", 0.95),
        "eps_saved": Bar(">=", 0.2, 0.1, seeds=3),
        "seconds_per_64": Bar("<=", 1.0),
        "judge_gain_over_pixels": Bar(">=", 0.15),
        "repaired_2d": Bar(">=", 0.8, 0.9),
        "real_plants_found": Bar("==", 1),
        "real_false_findings": Bar("==", 0),
        "real_free_directions_tested": Bar(">=", 3),
        "figures_seconds": Bar("<=", 600),
        "figure5_falls": Bar("==", 1),
        "classes_in_figure_2": Bar("==", 10),
        "classes_in_figure_3": Bar("==", 10),
        "figures_2_and_3_differ": Bar(">=", 0.01),
    },
    merged,
)
"""The repairs and their bars."""
