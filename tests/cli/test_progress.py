"""Progress: the first line at once, then one every five seconds; a bar on a terminal; nothing when quiet."""

import io
import sys

import pytest

from amiss.cli import progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_lines_come_at_once_and_then_every_five_seconds(clock, capsys):
    with progress.showing(False) as tell:
        for done in range(0, 40, 2):
            tell(f"Repairing ({done} so far)", done, 100)
            clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Repairing (0 so far): 0 of 100",
        "Repairing (10 so far): 10 of 100, about 45 s to go",
        "Repairing (20 so far): 20 of 100, about 40 s to go",
        "Repairing (30 so far): 30 of 100, about 35 s to go",
    ]


def test_what_was_done_before_took_none_of_the_time(clock, capsys):
    with progress.showing(False) as tell:
        tell("Fooling (cppn)", 90, 100)
        clock.now += 5
        tell("Fooling (gradient)", 91, 100)
    assert capsys.readouterr().err.splitlines()[1] == "Fooling (gradient): 91 of 100, about 45 s to go"


def test_a_new_stage_speaks_at_once_and_begins_its_own_count(clock, capsys):
    with progress.showing(False) as tell:
        tell("One", 0, 10)
        clock.now += 2
        tell("Two", 0, 10)
        clock.now += 5
        tell("Two", 5, 10)
    assert capsys.readouterr().err.splitlines() == ["One: 0 of 10", "Two: 0 of 10", "Two: 5 of 10, about 5 s to go"]


def test_quiet_is_quiet(capsys):
    with progress.showing(True) as tell:
        tell("One", 0, 10)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.showing(False) as tell:
        tell("Repairing (0 so far)", 0, 3)
        tell("Repairing (3 so far)", 3, 3)
        tell("Fooling", 0, 2)
    assert "Fooling" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
