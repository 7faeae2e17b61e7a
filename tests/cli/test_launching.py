"""Several processes of one command: one answer, one way to stop."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from amiss.cli import launching
from amiss.training.processes import MEETING


@pytest.fixture
def scripts(monkeypatch):
    """Small programs in the place of `amiss WORDS`: the words are Python for each rank."""

    def begin(words, environment, log):
        assert environment[MEETING]
        assert environment["WORLD_SIZE"] == str(len(words))
        command = [sys.executable, "-S", "-c", words[int(environment["RANK"])]]
        if log is None:
            return subprocess.Popen(command, env=environment, start_new_session=True)
        with log.open("wb") as file:
            return subprocess.Popen(command, env=environment, start_new_session=True, stdout=file, stderr=file)

    monkeypatch.setattr(launching, "_begin", begin)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["pass", "print('silent')"], 0),
        (["raise SystemExit(2)", "pass", "pass"], 2),
        (["pass", "print('what went wrong'); raise SystemExit(3)"], 3),
        (["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], 1),
    ],
)
def test_the_first_failure_is_the_answer_and_is_told_once(scripts, capsys, words, code):
    assert launching.launch(words, len(words)) == code
    said = capsys.readouterr()
    assert ("what went wrong" in said.err) == (code == 3)
    assert "silent" not in said.out + said.err


def test_where_one_fails_the_others_do_not_wait_for_ever(scripts, monkeypatch):
    monkeypatch.setattr(launching, "_GRACE", 0.2)
    assert launching.launch(["raise SystemExit(1)", "import time; time.sleep(100)"], 2) == 1


def test_a_request_to_stop_goes_to_the_first_alone(scripts):
    before = signal.getsignal(signal.SIGTERM)
    wait = (
        "import signal, time\ndef end(*_): raise SystemExit(130)\nsignal.signal(signal.SIGINT, end)\ntime.sleep(100)"
    )
    other = wait.replace("130", "99").replace("100", "1.5")
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert launching.launch([wait, other], 2) == 130
    assert signal.getsignal(signal.SIGTERM) is before
