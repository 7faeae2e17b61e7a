"""Decoders compared on the same mistakes: a VAE, a flow on its codes, and a flow on pixels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.recipes import lse
from amiss.spaces.latent import Codec
from amiss.task import Task
from amiss.training import Preset, classifier_for, decoder_for, flow_for, load_model, train
from amiss.trust import decoder_gate

__all__ = ["compare_decoders", "decoders"]


def compare_decoders(
    classifier: Classifier,
    judge: Classifier,
    task: Task,
    decoders: Mapping[str, Codec],
    *,
    steps: int = 200,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Repair the same mistakes along each decoder.

    Args:
        classifier: Who makes the mistakes.
        judge: Who is asked whether a repair shows the true label.
        task: The mistakes, each with its true label as the target.
        decoders: By name.
        steps: Steps of a repair, at most.
        seed: Of the searches.

    Returns:
        For each decoder the share `repaired`; over the repairs the mean `eps` (length of the change of the code),
        `eps_a_dimension` (that over the root of the code's dimensions), `l2` (length of the change in pixels) and
        `judge` (share whose true label the judge sees); and of the mistakes `explained` and `agreement`, what
        decoding them loses.
    """
    assert task.image is not None and task.target is not None  # noqa: S101, PT018
    figures = {}
    for name, decoder in decoders.items():
        gate = decoder_gate(classifier, decoder, task.image)
        found = lse(decoder, steps=steps, seed=seed).run(classifier, task)
        met, changed = found.met, found.images[found.met]
        eps = found.size[met].double()
        assert isinstance(found.p, torch.Tensor)  # noqa: S101
        figures[name] = {
            "repaired": float(met.double().mean()),
            "eps": float(eps.mean()),
            "eps_a_dimension": float(eps.mean()) / found.p.shape[1] ** 0.5,
            "l2": float((changed - task.image[met]).flatten(1).norm(dim=1).double().mean()),
            "judge": float((judge.predict(changed) == task.target[met]).double().mean()),
            "explained": gate.explained,
            "agreement": gate.agreement,
        }
    return figures


def decoders(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Repairs along a VAE, a flow on its codes and a flow on pixels: up to 200 mistakes of a weak LeNet on MNIST.

    Quick: the same on the small digits of scikit-learn. The raw counts hold the judge's word on the mistakes as they
    are, `judge_before`.
    """
    torch.set_num_threads(1)
    if run.quick:
        learned, asked = open_data("digits", split="train"), open_data("digits")
        known = learned
    else:
        folder = str(run.data("MNIST"))
        learned, asked = open_data(folder, split="train"), open_data(folder)
        known = learned.pick(slice(0, 20_000))
    few, epochs = (learned.pick(slice(0, 150)), 40.0) if run.quick else (learned.pick(slice(0, 1000)), 10.0)
    weak, judge = (
        _classifier(run, name, classifier_for(images, run.seed, passes), images)
        for name, images, passes in (("weak", few, epochs), ("judge", known, 20.0 if run.quick else 4.0))
    )
    vae = _saved(run, "vae", decoder_for(known, seed=run.seed, epochs=40.0 if run.quick else 6.0), known)
    made: dict[str, Any] = {"vae": vae[0]}
    for name, codes in (("code_flow", vae), ("pixel_flow", None)):
        made[name], _ = _saved(run, name, flow_for(known, codes=codes, seed=run.seed), known)
    mistakes = asked.misclassified(weak)
    mistakes = mistakes.rows(torch.arange(min(200, len(mistakes))))
    figures = compare_decoders(weak, judge, mistakes, made, seed=run.seed)
    flat = {f"{decoder}_{name}": value for decoder, all_ in figures.items() for name, value in all_.items()}
    assert mistakes.image is not None and mistakes.target is not None  # noqa: S101, PT018
    before = float((judge.predict(mistakes.image) == mistakes.target).double().mean())
    return flat, {"mistakes": len(mistakes), "judge_before": before}


def _classifier(run: Run, name: str, preset: Preset, images: Images) -> Classifier:
    network, facts = _saved(run, name, preset, images)
    return Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def _saved(run: Run, name: str, preset: Preset, images: Images) -> tuple[Any, dict[str, Any]]:
    """A network of this seed, trained where its file is not there yet; without a clock, so as to be repeatable."""
    path = run.place / f"decoders-{name}.safetensors"
    if not path.is_file():
        preset = replace(preset, training=replace(preset.training, seconds=None))
        train(preset, images).save(path)
    return load_model(path)
