"""The mistakes of a classifier of movies are repaired in the frames that show something, and in few others."""

import importlib.util
from pathlib import Path

import torch

from amiss.data import read_image


def test_a_movie_is_made_right_in_the_frames_that_tell(capsys, tmp_path):
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "examples" / "movie_mistakes.py"
    assert len(path.read_text().splitlines()) < 60
    spec = importlib.util.spec_from_file_location("movie_mistakes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    repairs, shares = module.main(tmp_path / "strips.png")

    assert len(repairs) > 50
    assert repairs.met.double().mean() > 0.9
    assert float(shares.sum()) > 0.999
    clear = shares[list(module.CLEAR)]
    others = torch.tensor([share for t, share in enumerate(shares.tolist()) if t not in module.CLEAR])
    assert float(clear.sum()) > 0.5 and float(clear.min()) > float(others.max())
    assert read_image(tmp_path / "strips.png").shape[-2:] == (9 * 10 * 6, 9 * 10 * 6)

    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith(f"repaired {int(repairs.met.sum())} of {len(repairs)} mistakes")
