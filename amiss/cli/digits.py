"""What `amiss audit digits` trains on the spot: a classifier and a decoder of scikit-learn's handwriting."""

from typing import Any

from amiss.classifier import Classifier
from amiss.cli.progress import showing
from amiss.data import Images, open_data

__all__ = ["digits"]


def digits(
    seed: int, quiet: bool, limit: int | None = None, device: str | None = None
) -> tuple[Classifier, Any, Images, str, tuple[str, str] | None]:
    """Train on the training part.

    Args:
        seed: Of the trainings and of the subset.
        quiet: Say nothing.
        limit: At most so many images of the test part.
        device: Where the classifier is moved.

    Returns:
        Classifier, decoder, images of the test part, what the classifier is called, and, where the clock ended
        the decoder's training, a remark (title, text) that says so.
    """
    from amiss.training import classifier_for, decoder_for, train

    learned, asked = open_data("digits", split="train"), open_data("digits", split="test", limit=limit, seed=seed)
    with showing(quiet) as tell:

        def on_step(what: str) -> Any:
            return lambda step: tell(what, round(100 * step.fraction), 100)

        one = train(classifier_for(learned, seed=seed), learned, asked, on_step=on_step("Training a classifier"))
        two = train(decoder_for(learned, seed=seed, seconds=30), learned, on_step=on_step("Training a decoder"))
    facts = one.facts
    classifier = Classifier(one.model, mean=facts["mean"], std=facts["std"], labels=facts["classes"], device=device)
    name = f"a {one.preset.model['architecture']} trained on the spot"
    remark = None
    if two.history.clocked:
        text = "The clock ended the decoder's training: a faster machine has another decoder, and other repairs."
        remark = "Not repeatable to the bit", text
    return classifier, two.model.eval(), asked, name, remark
