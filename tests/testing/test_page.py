"""The page on testing lists every law with its meaning, and every hostile world with its flags and its error."""

import re

from amiss.testing import HOSTILE, laws
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
KINDS = ("space", "objective", "constraint", "optimizer", "probe")


def test_every_law_is_on_the_page_in_its_own_words():
    parts = re.split(r"^### The laws of an? (\w+)$", PAGE.split("## Worlds")[0], flags=re.MULTILINE)[1:]
    assert tuple(parts[::2]) == KINDS
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        listed = re.findall(r"- `([a-z0-9-]+)`: (.+?\.)(?=\n- |\n*$)", text.strip(), re.DOTALL)
        assert {law: " ".join(meaning.split()) for law, meaning in listed} == laws(kind)


def test_every_hostile_world_is_on_the_page_with_its_flags():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE)
    listed = [(name, set(re.findall("`([a-z-]+)`", flags)), error.strip(" `")) for name, flags, error in rows]
    assert listed == [(hostile.name, set(hostile.flags), hostile.raises) for hostile in HOSTILE]
