"""A classifier of movies, its mistakes, and which frames had to change: python examples/movie_mistakes.py."""

from pathlib import Path

import torch

import amiss as am
from amiss.data import film_strips, to_bytes, write_png
from amiss.data.sequence_sources import open_sequences
from amiss.models import FilmDecoder, FilmStrip
from amiss.models.film_strip import unrolled
from amiss.training import decoder_for, train
from amiss.training.presets.sequences import sequence_classifier_for

torch.set_num_threads(1)
CLEAR = (1, 4, 7)  # of nine frames these show a digit behind noise, the others noise alone; no classifier is told


def per_frame(change: torch.Tensor) -> torch.Tensor:
    """The share of each frame [T] in the squared change of strips, averaged over strips."""
    squares = unrolled(change, 9).square().sum((2, 3, 4))
    return (squares / squares.sum(1, keepdim=True)).mean(0)


def picture(before: torch.Tensor, after: torch.Tensor, file: Path | str) -> None:
    """Strips, the same repaired, and what changed, fourfold about gray; one movie below the other."""
    rows = torch.stack([before, after, (0.5 + 4 * (after - before)).clamp(0, 1)], 1).flatten(0, 1)
    frames = torch.nn.functional.pad(unrolled(rows, 9), (1, 1, 1, 1), value=1.0)
    page = frames.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2).repeat_interleave(6, 1).repeat_interleave(6, 2)
    write_png(file, to_bytes(page))


def main(out: Path | str | None = None) -> tuple[am.Result, torch.Tensor]:
    movies, test = (open_sequences("digit-movies", split=split) for split in ("train", "test"))
    done = train(sequence_classifier_for(movies, epochs=16), movies, test)
    print(f"right on {done.facts['figures']['accuracy']:.1%} of {len(test)} test movies")

    strips = film_strips(test)  # nine frames side by side: an image, which every probe takes
    classifier = am.Classifier(FilmStrip(done.model), labels=test.classes)
    mistakes = strips.misclassified(classifier)

    digits = am.open_data("digits", split="train")
    decoder = FilmDecoder(train(decoder_for(digits, epochs=20), digits).model)
    repairs = am.recipes.lse(decoder).run(classifier, mistakes)
    shares = per_frame(repairs.images[repairs.met] - mistakes.image[repairs.met])
    print(f"repaired {int(repairs.met.sum())} of {len(repairs)} mistakes; share of the change in each frame:")
    print("  ".join(f"{t}{'*' if t in CLEAR else ''} {share:.0%}" for t, share in enumerate(shares.tolist())))
    if out is not None:
        picture(mistakes.image[:3], repairs.images[:3], out)
    return repairs, shares


if __name__ == "__main__":
    main("movie_mistakes.png")
