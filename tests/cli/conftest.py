"""The command line as one types it: in a folder of its own, with files that are as bad as files get."""

import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.cli import _run

NETS = '''
import torch
from torch import nn

import amiss


class Brightness(nn.Module):
    """Two logits an image: class 0 where the mean of `channels` channels is above a half."""

    def __init__(self, channels=1, classes=2):
        super().__init__()
        self.scale = nn.Conv2d(channels, classes, 1)
        with torch.no_grad():
            self.scale.weight.copy_(torch.linspace(40, 0, classes)[:, None, None, None].expand_as(self.scale.weight))
            self.scale.weight.div_(channels)
            self.scale.bias.copy_(-torch.linspace(20, 0, classes))

    def forward(self, x):
        return self.scale(x).mean((2, 3))


def build():
    return Brightness()


def color():
    return Brightness(3)


def wrapped():
    return amiss.Classifier(Brightness(), labels=["bright", "dark"])


def turned():
    return amiss.Classifier(Brightness(), labels=["dark", "bright"])


def three():
    return Brightness(classes=3)


def nan():
    net = Brightness()
    net.scale.weight.data[0] = float("nan")
    return net


def raises():
    raise FileNotFoundError("weights.pt is not here")


def wants(path):
    return Brightness()


def nothing():
    return None


def tuples():
    return lambda x: (Brightness()(x), 1)


def maps():
    return nn.Conv2d(1, 2, 3)


def exits():
    raise SystemExit(0)


def broken():
    class Bad(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("in the forward pass")

    return Bad()
'''


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def refused(self, slug, *words, code=1):
        """One clear error: what, and then what was seen, needed and likely, and what to do; no traceback."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err + self.out
        heads = re.findall(r"^\w+Error \[([\w-]+)\] \S", self.err, re.M)
        assert heads == [slug], self.err
        lines = dict(re.findall(r"^  (Seen|Needed|Likely|Try): +(\S.*)$", self.err, re.M))
        assert {"Seen", "Needed", "Try"} <= set(lines), self.err
        for word in words:
            assert word in self.err, self.err
        return lines


@pytest.fixture
def amiss(tmp_path, monkeypatch, capsys):
    """amiss("check", ...) in an empty working folder with nets.py and photos/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("nets.py").write_text(NETS, encoding="utf-8")
    draw(Path("photos"))

    def call(*arguments):
        capsys.readouterr()
        code = _run([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def stopped(amiss, monkeypatch):
    """stopped(5, "run", ...): the command, stopped at its 5th turn."""

    def call(turns, *arguments):
        @contextmanager
        def soon():
            turn = count(1)
            yield lambda: next(turn) >= turns

        with monkeypatch.context() as patch:
            patch.setattr("amiss.cli.run.stopping", soon)
            return amiss(*arguments)

    return call


def draw(folder, shape=(8, 8), each=4, classes=("bright", "dark"), seed=0):
    """Noise, a folder each class: "dark" below and "bright" above a half, the first of each the wrong way round."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            low = 140 if (name == "bright") != (i == 0) else 10
            Image.fromarray(rng.integers(low, low + 100, shape, dtype=np.uint8)).save(folder / name / f"{c}{i}.png")
    return folder
