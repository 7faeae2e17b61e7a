"""A language model of characters, from a few lines of its own: python examples/character_model.py."""

from pathlib import Path

import torch

from amiss.data.text import Text, open_text
from amiss.training import KINDS, train
from amiss.training.expected import expected_svg
from amiss.training.measures.texts import bits_per_character

torch.set_num_threads(1)

RHYME = """
This is the hill where the old oak grew.
This is the oak on the hill where it grew.
This is the rook in the top of the oak that stood on the hill where the old oak grew.
This is the stook that was robbed by the rook in the top of the oak on the hill where it grew.
This is the brook that was crossed by the cook who counted the sheaves of the stook
that was robbed by the rook in the top of the oak that stood on the hill where the old oak grew.
"""


def hello() -> str:
    """The smallest example: what follows "l" depends on what stands before it."""
    text = open_text("hello")
    model = train(KINDS["text"].preset(text, hidden=16), text).model
    return model.write("h", length=4, top_k=1)[0]


def rhyme(file: Path) -> tuple[float, str]:
    """Bits a character of the last verse, which nothing was learned from, and what the model writes."""
    text = Text(RHYME, "rhyme")
    cut = RHYME.index("This is the brook")
    known, rest = text.characters[:cut], text.characters[cut:]
    lines = Text(known, "rhyme", alphabet=text.symbols)
    model = train(KINDS["text"].preset(lines, hidden=64, window=40, warm=10, epochs=100), lines).model
    file.write_text(expected_svg(model, rest), encoding="utf-8")
    return bits_per_character(model, rest, rows=1), model.write("This is the", length=60, temperature=0.5)[0]


def main(out: Path = Path("expected.svg")) -> tuple[str, float, str]:
    word, (bits, written) = hello(), rhyme(out)
    print(word)
    print(f"{bits:.2f} bits a character of a verse that it has not seen")
    print(written)
    print(f"{out} shows what it expected there")
    return word, bits, written


if __name__ == "__main__":
    main()
