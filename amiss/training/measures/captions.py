"""How near what a captioner says comes to the right sentences: whole, word by word, and by BLEU."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import zip_longest

from amiss.errors import ModelError

__all__ = ["bleu", "exact", "sentence_figures", "words_right"]


def exact(said: Sequence[str], right: Sequence[str]) -> float:
    """The share of sentences that are the right ones, word for word, in [0, 1]."""
    return sum(a == b for a, b in zip(said, right, strict=True)) / len(right)


def words_right(said: Sequence[str], right: Sequence[str]) -> float:
    """Token accuracy: the share of places with the right word, averaged over sentences, in [0, 1].

    A place that only one of the two sentences has counts as wrong.
    """
    shares = []
    for a, b in zip(said, right, strict=True):
        places = list(zip_longest(a.split(), b.split()))
        shares.append(sum(word == other for word, other in places) / len(places) if places else 1.0)
    return sum(shares) / len(right)


def bleu(said: Sequence[str], right: Sequence[str]) -> float:
    """BLEU of all sentences together, in [0, 1], by sacrebleu: words are what stands between spaces.

    Raises:
        ModelError: sacrebleu is not installed.

    References:
        Papineni, Roukos, Ward and Zhu 2002, BLEU, section 2.3; Post 2018, a call for clarity in reporting BLEU
        scores.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise ModelError(
            "BLEU is computed by the package sacrebleu, which cannot be imported.",
            slug="model-package",
            seen=f"{type(error).__name__}: {error}",
            needed="sacrebleu",
            why="it is an extra that amiss does not install by itself",
            hint="pip install 'amiss[captions]'",
        ) from error
    score = BLEU(tokenize="none").corpus_score(list(said), [list(right)]).score
    return min(score / 100, 1.0)


def sentence_figures(said: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """`exact` and `words` of sentences, and their `bleu` where sacrebleu is installed."""
    figures = {"exact": exact(said, right), "words": words_right(said, right)}
    return figures | ({"bleu": bleu(said, right)} if find_spec("sacrebleu") else {})
