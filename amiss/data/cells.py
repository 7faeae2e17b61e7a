"""Tables for spreadsheets: a name that begins like a formula is written as text."""

import csv
import io
from collections.abc import Iterable, Sequence

__all__ = ["cell", "csv_text"]

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> object:
    """A value as a cell: numbers stay numbers, and text that a spreadsheet would run gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "replace").decode()  # bytes of a file's name that are no text
    return f"'{text}" if text.startswith(_FORMULAS) else text


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
