"""The example of memory: a short lag is learned, and drawn."""

import importlib.util
from pathlib import Path

import torch


def test_an_lstm_learns_to_recall_and_the_figure_shows_both(tmp_path, capsys):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "memory.py"
    spec = importlib.util.spec_from_file_location("memory", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    right, numbers = module.main(tmp_path / "memory.svg", lag=20, steps=150)
    assert right["LSTM"] > 0.9
    assert len(numbers.learned) == 2
    vanilla, lstm = (float(norms[20]) for norms in numbers.learned.values())
    assert lstm > 100 * vanilla
    assert f"right on {right['LSTM']:.0%}" in (tmp_path / "memory.svg").read_text()
    assert "chance is 25 %" in capsys.readouterr().out
