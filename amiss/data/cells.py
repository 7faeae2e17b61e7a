"""Tables for spreadsheets: a name that begins like a formula is written as text."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from amiss.data.guards import readable

__all__ = ["cell", "csv_text"]

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_SPLIT = re.compile("([;\t\r\n])")  # where some spreadsheets begin another cell, whatever the file says
_BLANK = " \xa0\u200b\ufeff"


def cell(value: object) -> object:
    """A value as a cell: numbers stay numbers, and text that a spreadsheet would run gets an apostrophe before it.

    Args:
        value: Text is guarded where it, or what follows a semicolon, a tab or a line break in it, begins with one of
            = + - @ (narrow or wide); anything else is left as it is.
    """
    if not isinstance(value, str):
        return value
    parts = _SPLIT.split(readable(value))
    text = "".join(f"'{part}" if part.lstrip(_BLANK).startswith(_FORMULA) else part for part in parts)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV (RFC 4180), its cells guarded.

    Args:
        head: Names of the columns.
        rows: One value a column.
    """
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer)
    table.writerow([cell(name) for name in head])
    table.writerows([cell(value) for value in row] for row in rows)
    return buffer.getvalue()
