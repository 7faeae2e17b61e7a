"""Drawing: the same bytes each time, names where their regions are, and clear words without the library."""

import builtins
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import torch

from amiss.errors import UsageError
from amiss.figures import draw
from amiss.figures.sweep import stretched


def checkered(n=8):
    """Four quarters, of the classes 0, 1, 2 and 0."""
    row = torch.arange(n) >= n // 2
    return torch.where(row[:, None] & row, 0, 2 * row[:, None] + row).flatten().tolist()


def drawn(**options):
    figure, axes = draw.canvas(1, 1, 3, 3)
    draw.regions(axes[0, 0], checkered(), (-1, 1, -1, 1), ["cat", "a $ dog", "<b>"], **options)
    return figure


def test_the_same_drawing_has_the_same_bytes_and_no_date():
    once, again = draw.save(drawn), draw.save(drawn)
    assert once == again
    png, svg = once
    assert png.startswith(b"\x89PNG")
    assert b"<dc:date>" not in svg
    assert b"Software" not in png


def test_names_are_text_and_written_as_they_are():
    """A dollar begins no formula, a tag no element."""
    svg = draw.save(drawn)[1].decode()
    said = [part.strip() for part in re.findall(r">([^<>]+)</text>", svg)]
    assert {"cat", "a $ dog", "&lt;b&gt;"} <= set(said)
    assert "cat" not in draw.save(lambda: drawn(named=False))[1].decode()


def test_a_name_of_any_kind_leaves_the_file_whole():
    """Control characters are no XML, and an endless name would leave no room for the picture."""
    strange = f"\x01a\nb<i>&{'c' * 300}"

    def picture():
        figure, axes = draw.canvas(1, 1, 6, 4)
        draw.name(axes[0, 0], 0.5, 0.5, strange)
        return figure

    svg = draw.save(picture)[1].decode()
    text = "".join(ElementTree.fromstring(svg).itertext())
    assert f" a b<i>&{'c' * 15}\u2026" in text
    assert "<i>" not in svg


def test_each_class_has_a_hue_and_a_hatching_of_its_own():
    assert len(set(draw.COLORS)) == len(set(draw.HATCHES)) == 10


def test_a_name_stands_at_the_most_inner_place_of_its_region():
    inside = torch.zeros(9, 9)
    inside[1:8, 2:7] = 1
    row, column = draw._inmost(inside)
    assert (row, column) == (4, 4)
    assert draw._inmost(torch.ones(5, 5)) == (2, 2)


def test_a_change_is_stretched_from_its_lowest_to_its_highest():
    values = torch.tensor(stretched([[[-3, 0], [1, 5]]]))
    assert values.flatten().tolist() == pytest.approx([-1, -0.25, 0, 1])
    assert stretched([[[2, 2]]]) == [[[0, 0]]]


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, refuses):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with refuses(UsageError, "figures-matplotlib") as caught:
        draw.needs_matplotlib()
    assert "amiss[figures]" in caught.value.hint


CHILD = """
import sys
from xml.etree import ElementTree
sys.modules["matplotlib"] = None  # as where it is not installed
from amiss.cli import _run
code = _run(["figures", "lse", sys.argv[1]])
assert code == 2, code
"""


def test_the_command_says_so_before_it_trains_anything(tmp_path):
    out = tmp_path / "figures"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[figures-matplotlib]" in done.stderr
    assert not out.exists()
