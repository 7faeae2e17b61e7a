"""Stopping as a user does it: Ctrl-C in a terminal, once and twice, and SIGTERM; two processes at once."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amiss.cli.stopping import stopping
from amiss.study import Store
from amiss.study.sameness import run_digest
from tests.cli.conftest import NETS

SLOW = (
    NETS
    + """

class Slow(Brightness):
    def forward(self, x):
        from pathlib import Path
        from time import sleep

        if Path("stuck").exists():
            sleep(60)
        if Path("slow").exists():
            sleep(0.02)
        return super().forward(x)


def slow():
    return amiss.Classifier(Slow(), labels=["bright", "dark"])
"""
)
PGD = ("run", "pgd", "slow.py:slow", "photos", "--eps", "1/255", "--steps", "30", "--batch", "4")
PATIENCE = 60.0


@pytest.fixture
def slow(amiss):
    """The command line, with a model that takes its time where a file called "slow" is, and an unstopped run."""
    Path("slow.py").write_text(SLOW, encoding="utf-8")
    assert amiss(*PGD, "--out", "whole", "--quiet").code == 0
    Path("slow").touch()
    return amiss


class Terminal:
    """amiss in a process of its own whose terminal we hold."""

    def __init__(self, *arguments):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "amiss", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_owning,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "300"},
        )
        os.close(slave)
        self.seen = ""

    def until(self, words):
        """Read until the words are shown."""
        end = time.monotonic() + PATIENCE
        while words not in self.seen:
            assert time.monotonic() < end, f"{words!r} did not come: {self.seen}"
            if not self.read():
                pytest.fail(f"ended without {words!r}: {self.seen}")

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.2)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def press(self, key):
        os.write(self.master, key)

    def end(self):
        """The exit code, once all is read."""
        end = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < end, self.seen
        code = self.process.wait(PATIENCE)
        os.close(self.master)
        return code


def _owning():
    """Make the terminal the process's own, so that Ctrl-C in it is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def same(folder):
    return run_digest(Store(Path(folder))) == run_digest(Store(Path("whole")))


def test_ctrl_c_finishes_the_turn_saves_and_says_how_to_go_on(slow):
    terminal = Terminal(*PGD, "--out", "run")
    terminal.until("Searching by pgd")
    lines = slow(*PGD, "--out", "run", "--quiet").refused("run-locked", f"process {terminal.process.pid}")
    assert "Wait" in lines["Try"]
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert "Stopping after this turn; once more stops at once." in terminal.seen
    assert "Interrupted [interrupted]" in terminal.seen
    assert "amiss run run slow.py:slow goes on from here" in terminal.seen
    assert "Traceback" not in terminal.seen
    assert list(Path("run/state").iterdir())
    assert not Path("run/report.html").exists()
    Path("slow").unlink()
    assert slow("run", "run", "slow.py:slow", "--quiet").code == 0
    assert same("run")
    assert not list(Path("run/state").iterdir())


def test_ctrl_c_twice_ends_at_once_and_loses_nothing(slow):
    terminal = Terminal(*PGD, "--out", "run")
    terminal.until("Searching by pgd")
    Path("stuck").touch()  # a turn that does not end
    time.sleep(0.2)
    terminal.press(b"\x03")
    terminal.until("once more stops at once")
    began = time.monotonic()
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert time.monotonic() - began < 30  # half of what the turn would take
    assert "Interrupted." in terminal.seen
    assert "Traceback" not in terminal.seen
    Path("stuck").unlink()
    Path("slow").unlink()
    assert slow(*PGD, "--out", "run", "--quiet").code == 0
    assert same("run")


def test_sigterm_asks_as_ctrl_c_does(slow):
    process = subprocess.Popen(
        [sys.executable, "-m", "amiss", *PGD, "--out", "run"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = ""
    for line in process.stderr:
        seen += line
        if line.startswith("Searching by pgd"):
            break
    process.terminate()
    out, rest = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, ""), seen + rest
    assert "Interrupted [interrupted]" in rest
    Path("slow").unlink()
    assert slow(*PGD, "--out", "run", "--quiet").code == 0
    assert same("run")


def test_handlers_are_put_back_whatever_happens():
    def fails():
        with stopping() as asked:
            assert not asked()
            signal.raise_signal(signal.SIGINT)
            assert asked()
            raise ValueError

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ValueError):
        fails()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_second_signal_is_an_interruption_at_once(capsys):
    def twice():
        with stopping():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert capsys.readouterr().err.count("once more stops at once") == 1
