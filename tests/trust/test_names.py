"""Data and classifier that number the same names alike, or are refused."""

from contextlib import nullcontext

import pytest
import torch

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError
from amiss.trust import refuse_other_order


@pytest.mark.parametrize(
    ("own", "other", "refused"),
    [
        (("cat", "dog"), ("dog", "cat"), True),
        (("a", "Cat", "dog"), ("a", "dog", "cat"), True),
        (("cat", "dog"), ("cat", "dog"), False),
        (("cat", "dog"), ("n01", "n02"), False),
        (("cat", "dog", "owl"), ("cat", "dog"), False),
        (("cat", "dog", "owl"), ("cat", "owl"), True),  # owls would be counted as dogs
        (("cat", "dog"), ("cat", "dog", "owl"), False),
        (None, tuple(sorted(map(str, range(12)))), False),  # folders 0, 1, 10, 11, 2, ...: numbers are no names
    ],
)
def test_the_same_names_in_another_order_are_refused(own, other, refused, refuses):
    n = len(own or other)
    classifier = Classifier(lambda x: torch.zeros(len(x), n), labels=own)
    classifier.predict(torch.zeros(1, 1, 2, 2))
    images = Images.of(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), [0], other)
    with refuses(DataError, "data-class-order") if refused else nullcontext():
        refuse_other_order(classifier, images)
