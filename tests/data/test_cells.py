"""Cells that a spreadsheet would run become text, and nothing else changes."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.data.cells import cell, csv_text

STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.mark.parametrize("text", [f"{start}cmd()" for start in STARTS] + ["\tx", "\rx", "\nx", "-1", "+1"])
def test_formulas_become_text(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        (" =x", "' =x"),
        ("\ufeff=x", "'\ufeff=x"),
        ("a;=x", "a;'=x"),
        ("a\t=x", "a\t'=x"),
        ("a\n @x", "a\n' @x"),
        ("\t=x", "'\t'=x"),
    ],
)
def test_formulas_behind_blanks_and_where_others_split_cells_become_text(text, guarded):
    assert cell(text) == guarded


@pytest.mark.parametrize("value", [-1, -1.5, 0, True, None, "", "a-b", "a=b", "x@y.z", "1-2", "a, -1", "caf\u00e9"])
def test_all_else_stays_as_it_is(value):
    assert cell(value) is value or cell(value) == value


def test_numbers_stay_numbers_in_the_file():
    assert csv_text(["a", "b"], [[-1, -0.5], ["-1", None]]) == "a,b\r\n-1,-0.5\r\n'-1,\r\n"


def test_bytes_that_are_no_text_can_be_written():
    assert csv_text(["name"], [["\udcff.png"]]).encode("utf-8") == b"name\r\n\\udcff.png\r\n"


@given(st.lists(st.lists(st.text(st.characters()), min_size=2, max_size=2), max_size=4))
def test_no_cell_is_live_whatever_it_is_split_at(rows):
    text = csv_text(["a", "b"], rows)
    back = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(back) == len(rows)
    for row, said in zip(back, rows, strict=True):
        for mine, given_ in zip(row, said, strict=True):
            assert not mine.startswith((*STARTS, "\t", "\r", "\n"))
            for part in mine.replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";"):
                assert not part.lstrip(" ").startswith(STARTS)
            assert mine.replace("'", "") == given_.encode("utf-8", "backslashreplace").decode().replace("'", "")


def test_a_long_hostile_name_takes_no_time():
    assert len(cell("\t" * 1_000_000 + "=")) > 1_000_000
