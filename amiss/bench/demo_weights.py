"""Train the demo's classifier and decoder on faces with a planted shortcut, and measure what ships with amiss."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.errors import DataError
from amiss.repro import digest, versions
from amiss.training import Preset, Progress, load_model, train
from amiss.training.presets import faces_classifier, faces_vae

__all__ = ["measure_classifier", "measure_decoder", "run", "shortcut_classifier", "small_decoder"]

TRAIN, TEST = "faces:rho=0.8,plant=hair", "faces:n=2000"
BATCH = 250  # faces measured at a time


def shortcut_classifier(seed: int = 0) -> Preset:
    """The preset of faces in half as many steps: hair is learned early, jaw and brow late."""
    preset = faces_classifier(seed)
    return replace(preset, training=replace(preset.training, batch=128))


def small_decoder(seed: int = 0) -> Preset:
    """The preset of faces with half the units beside the code, so that both files stay below 2 MB."""
    preset = faces_vae(seed)
    arguments = {**preset.model["arguments"], "hidden": 128}
    training = replace(preset.training, epochs=20, batch=32, rate=6e-3, clip=1e5)
    return replace(preset, model={**preset.model, "arguments": arguments}, training=training)


@torch.no_grad()
def measure_classifier(classifier: Classifier, faces: Images) -> dict[str, Any]:
    """How often a classifier of faces is right, and whom it gets wrong.

    Args:
        classifier: Answers 0 "not male" or 1 "male".
        faces: Drawn faces [n, 3, 48, 48] with labels and table.

    Returns:
        `accuracy` in [0, 1]; `errors[label][hair]` with counts of `images` and `wrong` and their `share`.

    Raises:
        DataError: The faces have no labels, or no table that tells their hair.
    """
    if faces.labels is None or "hair" not in faces.table:
        raise DataError(
            "Errors cannot be told apart by label and hair.",
            slug="data-unlabeled",
            seen=repr(faces),
            needed="labels, and a table with hair",
            hint="Pass drawn faces: amiss.data.draw_faces.",
        )
    labels = faces.labels
    answers = [classifier.predict(x.float() / 255) for x in torch.split(faces.pixels, BATCH)]
    wrong = torch.cat(answers) != labels
    errors: dict[str, Any] = {}
    for label, name in enumerate(faces.classes):
        errors[name] = {}
        for length, has in (("short", faces.table["hair"] < 0.5), ("long", faces.table["hair"] > 0.5)):
            group = wrong[(labels == label) & has]
            share = float(group.double().mean())
            errors[name][length] = {"images": len(group), "wrong": int(group.sum()), "share": share}
    return {"accuracy": 1 - float(wrong.double().mean()), "errors": errors}


@torch.no_grad()
def measure_decoder(decoder: nn.Module, classifier: Classifier, faces: Images) -> dict[str, float]:
    """How much of a face survives its code g(e(x)).

    Args:
        decoder: The autoencoder; called with images it gives their reconstruction.
        classifier: Whose answers should survive.
        faces: Images [n, 3, 48, 48].

    Returns:
        `mse` of a pixel in units of the range [0, 1]; `explained_variance`, which is 1 - mse / variance of a
        pixel around its mean over the faces; `agreement`, the share of faces with c(g(e(x))) = c(x).
    """
    error, kept = 0.0, 0
    for x in torch.split(faces.pixels, BATCH):
        x = x.float() / 255
        rebuilt = decoder(x)
        error += float((rebuilt - x).double().square().sum())
        kept += int((classifier.predict(rebuilt) == classifier.predict(x)).sum())
    mse = error / faces.pixels.numel()
    variance = float((faces.pixels.double() / 255).var(0, correction=0).mean())
    return {"mse": mse, "explained_variance": 1 - mse / variance, "agreement": kept / len(faces)}


def run(out: Path, seed: int = 0) -> dict[str, Any]:
    """Train both models, write them and their figures, measured on the files as written.

    Args:
        out: Folder for classifier.safetensors, decoder.safetensors and figures.json.
        seed: Of initial weights, order and noise of both models.

    Returns:
        What figures.json holds.

    Raises:
        TrainingError: A loss or gradient was not finite.
        CheckpointError: The disk refused.
    """
    biased, test = open_data(TRAIN, split="train"), open_data(TEST, split="test")
    made = {
        name: _make(preset, biased, out / f"{name}.safetensors")
        for name, preset in (("classifier", shortcut_classifier(seed)), ("decoder", small_decoder(seed)))
    }
    network, facts = load_model(out / "classifier.safetensors")
    classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    decoder, _ = load_model(out / "decoder.safetensors")
    figures = {
        "command": f"python -m amiss.bench.demo_weights --seed {seed}",
        "seed": seed,
        "train": {"source": TRAIN, "split": "train", "images": len(biased), "fingerprint": biased.fingerprint},
        "test": {"source": TEST, "split": "test", "images": len(test), "fingerprint": test.fingerprint},
        "classifier": made["classifier"] | measure_classifier(classifier, test),
        "decoder": made["decoder"] | measure_decoder(decoder, classifier, test),
        "versions": versions(),
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _make(preset: Preset, images: Images, path: Path) -> dict[str, Any]:
    """Train and write one model: what it cost, and the name of what was written."""
    before = time.process_time()
    done = train(preset, images, on_step=_told(path.stem))
    cost = time.process_time() - before
    done.save(path, dtype="float16")
    return {
        "recipe": preset.model,
        "training": {**asdict(preset.training), "steps": done.history.steps, "cpu_seconds": round(cost, 1)},
        "bytes": path.stat().st_size,
        "fingerprint": digest(path.read_bytes()),
    }


def _told(name: str, every: int = 100) -> Callable[[Progress], None]:
    def tell(p: Progress) -> None:
        if p.step % every == 0:
            loss = ", ".join(f"{value:.4g}" for value in p.losses.values())
            print(f"{name}: step {p.step} of {p.total}, loss {loss}", file=sys.stderr)

    return tell


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: train, write, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m amiss.bench.demo_weights", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    here = Path(__file__).parents[1] / "demo"
    parser.add_argument("--out", type=Path, default=here, help="folder; by default the package's own")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)  # one thread gives the same sums, hence the same weights, on a busy machine too
    print(json.dumps(run(asked.out, asked.seed), indent=2))


if __name__ == "__main__":
    main()
