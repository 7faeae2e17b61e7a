"""The smallest language models run as a script would, and know what they say they know."""

import importlib.util
from pathlib import Path

import torch


def test_a_word_is_learned_and_a_verse_is_half_known(capsys, tmp_path):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "character_model.py"
    spec = importlib.util.spec_from_file_location("character_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    word, bits, written = module.main(tmp_path / "expected.svg")

    assert word == "hello"
    assert 1 < bits < 3  # of 4.7 where all 26 letters were equally likely
    assert written.startswith("This is the")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "hello"
    assert (tmp_path / "expected.svg").read_text().startswith("<svg")
    assert str(tmp_path / "expected.svg") in lines[-1]
