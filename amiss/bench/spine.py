"""The spine: optimum and feasible set in the linear world, cost of the loop, batches, training, audits."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from amiss.audit import Plan, record, run_audit
from amiss.bench import loops
from amiss.bench.bench import Bar, Bench, Run, Skip
from amiss.classifier import Classifier
from amiss.constraints import LatentNorm, Linf
from amiss.data import Images, open_data
from amiss.objectives import EOT, Avoid, Become
from amiss.optimizers import Adam, Sign
from amiss.probe import Budget, Probe
from amiss.recipes import lse, pgd
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.training import load_model, presets, train
from amiss.transforms import Light, Noise

__all__ = ["BENCH"]

Figures = tuple[dict[str, float], dict[str, Any]]


def linear(run: Run) -> Figures:
    """LSE's size over the closed form, and PGD's successes against the feasible set, on 100 images."""
    world = LinearWorld(seed=run.seed, n=30 if run.quick else 100)
    search = Probe(
        Latent(world.codec),
        Become(margin=0.5),
        LatentNorm(0.03),
        Adam(0.02),
        "budget",
        Budget(400),
        seed=run.seed,
    )
    found = search.run(world.classifier(), world.task)
    ratio = found.size.double() / world.latent_optimum(0.5)
    crowded, eps, margin = replace(world, crowd=0.15), 0.02, 0.05
    probe = Probe(Pixels(), Become(margin=margin), Linf(eps), Sign(eps / 10), budget=Budget(40))
    met, feasible = probe.run(crowded.classifier(), crowded.task).met, crowded.feasible(eps, margin)
    figures = {
        "lse_optimum_ratio": float(ratio.max()) if bool(found.met.all()) else float("inf"),
        "pgd_feasible_agreement": float((met == feasible).double().mean()),
    }
    return figures, {"n": world.n, "lse_met": int(found.met.sum()), "pgd_met": int(met.sum())}


def mnist(run: Run) -> Figures:
    """Train the LeNet and the autoencoder on MNIST by their presets, two threads, wall seconds."""
    if run.quick:
        raise Skip("two minutes of training")
    folder = str(run.data("MNIST"))
    learned, asked = open_data(folder, split="train"), open_data(folder)
    torch.set_num_threads(2)
    strong = train(presets.mnist_classifier(run.seed), learned, asked)
    strong.save(run.place / "strong.safetensors")
    decoder = train(presets.mnist_vae(run.seed, latent=16), learned, asked)
    decoder.save(run.place / "decoder.safetensors")
    weak = train(presets.weak_classifier(run.seed), learned.pick(slice(0, 1000)), asked)
    weak.save(run.place / "weak.safetensors")
    figures = {
        "mnist_accuracy": strong.facts["figures"]["accuracy"],
        "mnist_seconds": strong.history.seconds,
        "vae_neg_elbo": decoder.facts["figures"]["negative_elbo"],
        "vae_seconds": decoder.history.seconds,
    }
    raw = {"threads": 2, "test_images": len(asked), "weak_accuracy": weak.facts["figures"]["accuracy"]}
    return figures, raw


def overhead(run: Run) -> Figures:
    """CPU seconds of the loop over a bare loop of equal passes: LeNet and VAE of MNIST, batch 64, one thread."""
    torch.set_num_threads(1)
    classifier, decoder, images = _networks(run)
    task = images.pick(slice(0, 64)).task()
    task = replace(task, target=task.label)
    repeats, steps = (3, 10) if run.quick else (7, 40)
    network = classifier.network
    attack = pgd(0.1, steps, until="budget", levels=None)
    search = lse(decoder, minimize=None, steps=steps, until="budget", levels=None)
    figures: dict[str, float] = {}
    raw: dict[str, Any] = {"batch": 64, "steps": steps, "repeats": repeats}
    bare: dict[str, Callable[[], Any]] = {
        "pgd_overhead": lambda: loops.pgd(network, task, 0.1, steps),
        "lse_overhead": lambda: loops.lse(network, decoder, task, steps),
    }
    for name, probe in (("pgd_overhead", attack), ("lse_overhead", search)):
        before = classifier.counts.forward
        ratios, ours, theirs = _interleaved(partial(_walked, probe, classifier, task), bare[name], repeats)
        passes = (classifier.counts.forward - before) // (repeats + 1)
        if passes != steps + 1:
            raise AssertionError(f"{name}: {passes} passes, the bare loop makes {steps + 1}")
        figures[name] = statistics.median(ratios)
        raw[name] = {"ours": ours, "bare": theirs, "passes": passes}
    return figures, raw


def _walked(probe: Probe, classifier: Classifier, task: Task) -> None:
    for _ in probe.walk(classifier, task):
        pass


def batches(run: Run) -> Figures:
    """What batch sizes change: nothing in float64 but rounding, no outcome in float32."""
    torch.set_num_threads(1)
    classifier, decoder, images = _networks(run)
    probes = {
        "pgd": pgd(0.1, 20, seed=run.seed, levels=None),
        "lse": lse(decoder, steps=20, seed=run.seed, levels=None),
        "eot": Probe(
            Pixels(),
            EOT(Avoid(), [Light(), Noise(0.05)], n=4),
            Linf(0.1),
            Sign(0.01),
            budget=Budget(10),
            seed=run.seed,
        ),
    }
    few = images.pick(slice(0, 16 if run.quick else 64)).task()
    assert few.label is not None  # noqa: S101
    # Another class than the true one, or most images would be met before the search begins.
    few = replace(few, target=(few.label + 1) % 10)
    network: Any = classifier.network
    network.double()
    decoder.double()
    worst, moved = 0.0, 0
    precise = Classifier(network, mean=(0.1307,), std=(0.3081,), labels=classifier.labels)
    wide = replace(few, image=few.image.double() if few.image is not None else None)
    for probe in probes.values():
        found = [replace(probe, batch=b, until="budget").run(precise, wide) for b in (64, 7, 1)]
        moved += sum(o.status != "already-met" for o in found[0].outcomes)
        worst = max(worst, *(float((found[0].images - other.images).abs().max()) for other in found[1:]))
    network.float()
    decoder.float()
    cases, same = 0, 0
    for (name, probe), n in zip(probes.items(), (40, 40, 20) if run.quick else (1000, 700, 400), strict=True):
        task = images.pick(slice(0, n)).task()
        task = replace(task, target=task.label if name != "lse" else (task.key % 10).abs())
        one, other = (replace(probe, batch=b).run(classifier, task) for b in (64, 7))
        cases += len(task)
        same += sum(a.status == b.status for a, b in zip(one.outcomes, other.outcomes, strict=True))
    return {"batch_invariance": worst, "same_outcomes": same / cases}, {
        "cases": cases,
        "same": same,
        "float64_searched": moved,
    }


def imports(run: Run) -> Figures:
    """CPU seconds of `import amiss` with every public name, once torch is there; median of five processes."""
    code = (
        "import time, torch, numpy\nt = time.process_time()\nimport amiss\nbare = time.process_time() - t\n"
        "[getattr(amiss, name) for name in amiss.__all__]\nprint(bare, time.process_time() - t)"
    )
    runs = []
    for _ in range(2 if run.quick else 5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        runs.append([float(value) for value in done.stdout.split()])
    every = [row[1] for row in runs]
    return {"import_seconds_over_torch": statistics.median(every)}, {
        "bare": [row[0] for row in runs],
        "every_name": every,
    }


def weak_audit(run: Run) -> Figures:
    """Audit a LeNet that learned 1,000 images of MNIST: all its test mistakes, first flip at margin 0.5."""
    if run.quick:
        raise Skip("it needs the networks of the part mnist")
    torch.set_num_threads(2)
    images = open_data(str(run.data("MNIST")))
    weak, decoder, strong = (_saved(run, name) for name in ("weak", "decoder", "strong"))
    classifier, judge = (_classifier(*pair) for pair in (weak, strong))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        codec: Any = decoder[0]
        plan = Plan(mistakes=10_000, seed=run.seed)
        found = run_audit(classifier, images, out, decoder=codec, judge=judge, plan=plan)
        account = record(found, classifier, out, model="weak", data="MNIST", command="")
    seen = account["figures"]
    adds_up = all(sum(counts.values()) == len(found.mistakes) for counts in account["outcomes"].values())
    figures = {
        "mistakes_repaired": seen["lse_repaired"],
        "judge_agreement": seen["lse_judge_agreement"],
        "lse_l2": seen["lse_l2"],
        "pixel_repaired": seen["pixel_repaired"],
        "pixel_judge_agreement": seen["pixel_judge_agreement"],
        "pixel_l2": seen["pixel_l2"],
        "verified_from_disk": seen["verified_from_disk"],
        "outcomes_add_up": float(adds_up),
    }
    return figures, {"figures": seen, "outcomes": account["outcomes"], "verified": account["verified"]}


def imagenet(run: Run) -> Figures:
    """`amiss audit` of MobileNetV1 0.25 on 200 photographs at 128 pixels, wall seconds."""
    if run.quick:
        raise Skip("a few minutes of photographs")
    example = Path("examples/mobilenet_v1.py")
    if not example.is_file():
        raise Skip("run it from the root of the project, where examples/ lies")
    arguments = [f"{example}:mobilenetv1_025", str(run.data("imagenet-200")), "--size", "128"]
    seconds, seen = _command("audit", *arguments, "--seed", str(run.seed))
    return {
        "imagenet_audit_seconds": seconds,
        "imagenet_lse_refused": float(seen["mistakes"] > 0 and "lse_repaired" not in seen),
    }, seen


def demo(run: Run) -> Figures:
    """`amiss demo`, wall seconds."""
    seconds, seen = _command("demo", "--seed", str(run.seed), *(["--images", "60"] if run.quick else []))
    return {"demo_seconds": seconds}, seen


def _command(verb: str, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Run a command of ours into a folder that is gone afterwards; wall seconds and its figures."""
    with tempfile.TemporaryDirectory() as folder:
        whole = [sys.executable, "-m", "amiss", verb, *arguments, "--out", str(Path(folder) / "run"), "--json"]
        began = time.monotonic()
        done = subprocess.run(whole, capture_output=True, text=True)  # noqa: S603
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"amiss {verb} failed: {done.stderr[-2000:]}")
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        seen.pop("report")
        return seconds, seen


def _networks(run: Run) -> tuple[Classifier, Any, Images]:
    """The trained networks of the part mnist; quick: the same ones, barely trained, on drawn digits."""
    if run.quick or not (run.place / "weak.safetensors").is_file():
        if not run.quick:
            raise Skip("the part mnist comes first")
        small = open_data("digits", split="train")
        pixels = torch.nn.functional.interpolate(small.images(), size=28).mul(255).round().to(torch.uint8)
        images = Images.of(pixels, small.labels, small.classes)
        weak = presets.weak_classifier(run.seed)
        trained = train(replace(weak, training=replace(weak.training, epochs=2)), images)
        vae = presets.mnist_vae(run.seed)
        decoder = train(replace(vae, training=replace(vae.training, epochs=1)), images)
        codec: Any = decoder.model.eval()
        return _classifier(trained.model.eval(), trained.facts), codec, images
    images = open_data(str(run.data("MNIST")))
    decoder_model: Any = _saved(run, "decoder")[0]
    return _classifier(*_saved(run, "weak")), decoder_model, images


def _saved(run: Run, name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    path = run.place / f"{name}.safetensors"
    if not path.is_file():
        raise Skip("the part mnist comes first")
    return load_model(path)


def _classifier(model: torch.nn.Module, facts: dict[str, Any]) -> Classifier:
    return Classifier(model, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def _interleaved(
    ours: Callable[[], Any], bare: Callable[[], Any], repeats: int
) -> tuple[list[float], list[float], list[float]]:
    """CPU seconds of both in turns, after one run of each to warm up; the ratios of neighbors."""
    pairs = []
    for _ in range(repeats + 1):
        times = []
        for work in (bare, ours):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        pairs.append(times)
    pairs = pairs[1:]
    return [b / a for a, b in pairs], [b for _, b in pairs], [a for a, _ in pairs]


BENCH = Bench(
    "spine",
    {
        "linear": linear,
        "mnist": mnist,
        "overhead": overhead,
        "batches": batches,
        "imports": imports,
        "weak_audit": weak_audit,
        "imagenet": imagenet,
        "demo": demo,
    },
    {
        "lse_optimum_ratio": Bar("<=", 1.06, 1.06),
        "pgd_feasible_agreement": Bar("==", 1, 1),
        "pgd_overhead": Bar("<=", 1.10, 1.5),
        "lse_overhead": Bar("<=", 1.20, 1.6),
        "batch_invariance": Bar("<=", 1e-9, 1e-9),
        "same_outcomes": Bar(">=", 0.999, 0.98),
        "import_seconds_over_torch": Bar("<=", 0.3, 0.6),
        "mnist_accuracy": Bar(">=", 0.989),
        "mnist_seconds": Bar("<=", 90),
        "vae_neg_elbo": Bar("<=", 92),
        "vae_seconds": Bar("<=", 120),
        "mistakes_repaired": Bar(">=", 0.99),
        "judge_agreement": Bar(">=", 0.95),
        "lse_l2": Bar("<=", 2.0),
        "verified_from_disk": Bar("==", 1),
        "outcomes_add_up": Bar("==", 1),
        "imagenet_audit_seconds": Bar("<=", 300),
        "imagenet_lse_refused": Bar("==", 1),
        "demo_seconds": Bar("<=", 120, 120),
    },
)
