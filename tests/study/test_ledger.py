"""A line of the ledger is believed only if it is exactly what was written."""

import json
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.result import STATUSES, Outcome
from amiss.study.ledger import Entry, lines, read_ledger

numbers = st.floats()
counts = st.integers(0, 10**9)
names = st.text("0123456789abcdef", min_size=64, max_size=64)
turns = st.integers(-1, 10**9)
outcomes = st.builds(
    Outcome, st.sampled_from(STATUSES), numbers, numbers, counts, counts, turns, st.text(max_size=30)
)
written = st.lists(
    st.builds(
        Entry,
        st.integers(0, 20),
        names,
        outcomes,
        st.booleans(),
        counts,
        counts,
        numbers,
        numbers,
        numbers,
        counts,
        counts,
        names,
        names,
    ),
    max_size=6,
)


def entry(sample=0, **changes):
    outcome = Outcome("met", 0.1, 0.0, 3, 3, 2, "First met at turn 2.")
    name = f"{sample:064x}"
    made = Entry(sample, name, outcome, True, 1, 1, 0.2, float("nan"), 0.01, 0, sample, name, name)
    return replace(made, **changes)


def bits(entries):
    """Comparable also where numbers are not."""
    return {sample: repr(entry) for sample, entry in entries.items()}


@given(written)
def test_what_was_written_is_read_and_the_last_line_of_a_sample_counts(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    path.write_bytes(lines(entries))
    reading = read_ledger(path)
    assert bits(reading.entries) == bits({e.sample: e for e in entries})
    assert (reading.damaged, reading.torn, reading.whole) == (0, False, path.stat().st_size)


def test_no_ledger_is_an_empty_one(tmp_path):
    reading = read_ledger(tmp_path / "none")
    assert (reading.entries, reading.whole, reading.damaged, reading.torn) == ({}, 0, 0, False)


def test_a_ledger_cut_at_any_byte_of_its_last_line_keeps_the_others(tmp_path):
    path, first, last = tmp_path / "ledger.jsonl", lines([entry(0), entry(1)]), lines([entry(2)])
    for cut in range(len(last)):
        path.write_bytes(first + last[:cut])
        reading = read_ledger(path)
        assert bits(reading.entries) == bits({0: entry(0), 1: entry(1)})
        assert (reading.whole, reading.damaged, reading.torn) == (len(first), 0, cut > 0)


@pytest.mark.parametrize("mask", [1, 0x20, 0x80])
def test_a_byte_flipped_anywhere_costs_its_line_and_never_changes_one(tmp_path, mask):
    path, whole = tmp_path / "ledger.jsonl", lines([entry(0), entry(1), entry(2)])
    before = bits({i: entry(i) for i in range(3)})
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        reading = read_ledger(path)
        found = bits(reading.entries)
        assert found.items() < before.items()
        assert reading.damaged or reading.torn
        assert len(found) >= 1  # a newline that is none any more costs two


def sealed(row):
    body = json.dumps(row, separators=(",", ":"))
    return f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


@pytest.mark.parametrize("change", [{"status": "splendid"}, {"more": 1}, {"image": None}])
def test_lines_of_another_version_are_no_entries(tmp_path, change):
    row = {**json.loads(lines([entry()])), **change}
    del row["crc"]
    if change == {"image": None}:
        del row["image"]
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(sealed(row) + lines([entry(1)]))
    reading = read_ledger(path)
    assert set(reading.entries) == {1}
    assert reading.damaged == 1


def test_ten_thousand_entries_are_small(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(lines(entry(i) for i in range(10_000)))
    tracemalloc.start()
    entries = read_ledger(path).entries
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(entries) == 10_000
    assert size < 20e6
