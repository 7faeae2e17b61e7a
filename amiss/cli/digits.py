"""What `amiss audit digits` trains on the spot: a classifier and a decoder of scikit-learn's handwriting."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from amiss.classifier import Classifier
from amiss.cli.progress import showing
from amiss.data import Images, open_data

__all__ = ["digits"]


def digits(
    seed: int, quiet: bool, limit: int | None, device: str | None, place: Path
) -> tuple[Classifier, Any, Images, str, tuple[str, str] | None]:
    """Train on the training part.

    Args:
        seed: Of the trainings and of the subset.
        quiet: Say nothing.
        limit: At most so many images of the test part.
        device: Where the classifier is moved.
        place: Folder of the models; what a session before this one made is taken from there.

    Returns:
        Classifier, decoder, images of the test part, what the classifier is called, and, where the clock ended
        the decoder's training, a remark (title, text) that says so.
    """
    from amiss.training import classifier_for, decoder_for, load_model, train

    learned, asked = open_data("digits", split="train"), open_data("digits", split="test", limit=limit, seed=seed)
    one, two = place / "classifier.safetensors", place / "decoder.safetensors"
    with showing(quiet) as tell:

        def on_step(what: str) -> Any:
            return lambda step: tell(what, round(100 * step.fraction), 100)

        if not one.is_file():
            preset = classifier_for(learned, seed=seed)
            train(preset, learned, asked, on_step=on_step("Training a classifier")).save(one)
        if not two.is_file():
            made = train(decoder_for(learned, seed=seed, seconds=30), learned, on_step=on_step("Training a decoder"))
            replace(made, facts={**made.facts, "clocked": made.history.clocked}).save(two)
    (network, facts), (decoder, about) = load_model(one), load_model(two)
    classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"], device=device)
    remark = None
    if about["clocked"]:
        text = "The clock ended the decoder's training: a faster machine has another decoder, and other repairs."
        remark = "Not repeatable to the bit", text
    return classifier, decoder, asked, f"a {facts['recipe']['architecture']} trained on the spot", remark
