"""The shortest complete example runs as a script would, and its two results are what they say."""

import importlib.util
from pathlib import Path

import torch


def test_mistakes_are_repaired_and_attacks_stay_in_their_ball(capsys):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "own_model.py"
    spec = importlib.util.spec_from_file_location("own_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    repairs, attacks = module.main()

    assert len(repairs) > 0
    assert repairs.met.double().mean() > 0.8
    change = (attacks.images - attacks.task.image).abs().flatten(1).amax(1)
    assert change.max() <= 24 / 255 + 1e-6
    assert 0.1 < attacks.met.double().mean() < 0.9
    assert sum(attacks.counts.values()) == len(attacks) == 100

    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith(f"repaired {int(repairs.met.sum())} of {len(repairs)} mistakes")
    assert said[2].startswith(f"wrong within 24 gray levels: {int(attacks.met.sum())} of 100 images")
