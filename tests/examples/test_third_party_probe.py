"""A search of twenty lines passes every law of the batteries, and what it claims is true."""

import importlib.util
from pathlib import Path

import torch

from amiss.testing import LinearWorld, laws


def test_a_stranger_of_twenty_lines_passes_every_law(capsys):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "third_party_probe.py"
    assert len(path.read_text().splitlines()) < 60
    spec = importlib.util.spec_from_file_location("third_party_probe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result, verdicts = module.main()

    assert [v.id for v in verdicts] == [*laws("optimizer"), *laws("probe")]
    assert all(v.passed for v in verdicts)

    world = LinearWorld(crowd=0.15)
    assert result.met.sum() > 50
    assert not (result.met & ~world.feasible(0.3, 0.05)).any()
    assert (world.logits(result.images).argmax(1)[result.met] == world.task.target[result.met]).all()

    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(verdicts) + 1
    assert said[-1].startswith(f"{int(result.met.sum())} of 100 images became their target")
