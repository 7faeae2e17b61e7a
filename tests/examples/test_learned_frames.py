"""The example of a picker runs as a script would, and finds the frames that show the digit."""

import importlib.util
from pathlib import Path

import torch


def test_the_three_frames_are_found(capsys):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "learned_frames.py"
    spec = importlib.util.spec_from_file_location("learned_frames", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.main(steps=150)

    assert model.picker.hard().tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 1]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "step   0: 111000000"
    assert said[5] == "step 150: 100100001"
    assert "with three of nine frames" in said[6]
