"""What is measured of captions: whole sentences, words, and BLEU, against answers known by hand."""

import math
import sys

import pytest

from amiss.errors import ModelError
from amiss.training.measures.captions import bleu, exact, sentence_figures, words_right

RIGHT = ["a two above a large seven", "an eight on the left"]


def test_whole_sentences_and_words_are_counted():
    said = ["a two above a seven", "an eight on the left"]
    assert exact(RIGHT, RIGHT) == words_right(RIGHT, RIGHT) == 1
    assert exact(said, RIGHT) == 0.5
    # "a two above a" is right; "seven" stands in the place of "large", and the last place is empty.
    assert words_right(said, RIGHT) == pytest.approx((4 / 6 + 1) / 2)
    assert words_right([""], [""]) == 1
    assert exact(["a"], [""]) == words_right(["a"], [""]) == 0


def test_bleu_is_the_geometric_mean_of_precisions_with_a_brevity_penalty():
    pytest.importorskip("sacrebleu")
    assert bleu(RIGHT, RIGHT) == 1
    # One wrong word at the end of six: 5/6 words, 4/5 pairs, 3/4 triples and 2/3 fours are right.
    near = bleu(["a two above a large six"], RIGHT[:1])
    assert near == pytest.approx((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)
    # Five right words of six: all precisions are 1, and the penalty is exp(1 - 6 / 5).
    assert bleu(["a two above a large"], RIGHT[:1]) == pytest.approx(math.exp(1 - 6 / 5))
    assert sentence_figures(RIGHT, RIGHT) == {"exact": 1, "words": 1, "bleu": 1}


def test_without_the_library_there_is_no_bleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(ModelError, match="model-package"):
        bleu(RIGHT, RIGHT)
    monkeypatch.setattr("amiss.training.measures.captions.find_spec", lambda _: None)
    assert sentence_figures(RIGHT, RIGHT) == {"exact": 1, "words": 1}
