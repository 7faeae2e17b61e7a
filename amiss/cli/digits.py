"""What `amiss audit digits` trains on the spot: a classifier and a decoder of scikit-learn's handwriting."""

from typing import Any

from amiss.classifier import Classifier
from amiss.cli.progress import showing
from amiss.data import Images, open_data

__all__ = ["digits"]


def digits(seed: int, quiet: bool) -> tuple[Classifier, Any, Images]:
    """Train on the training part; returns classifier, decoder and the test part."""
    from amiss.training import classifier_for, decoder_for, train

    learned, asked = open_data("digits", split="train"), open_data("digits", split="test")
    with showing(quiet) as tell:

        def on_step(what: str) -> Any:
            return lambda step: tell(what, round(100 * step.fraction), 100)

        one = train(classifier_for(learned, seed=seed), learned, asked, on_step=on_step("Training a classifier"))
        two = train(decoder_for(learned, seed=seed, seconds=30), learned, on_step=on_step("Training a decoder"))
    facts = one.facts
    classifier = Classifier(one.model, mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    return classifier, two.model.eval(), asked
