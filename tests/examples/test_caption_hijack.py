"""The example of a captioner that is made to describe other images runs as a script would."""

import importlib.util
from pathlib import Path


def test_the_captioner_describes_what_is_not_there(capsys):
    path = Path(__file__).parents[2] / "examples" / "caption_hijack.py"
    spec = importlib.util.spec_from_file_location("caption_hijack", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    chance, hijacked, result = module.main()

    assert chance < 0.3
    assert hijacked > 0.8
    assert result.met.double().mean() > 0.8
    change = (result.images - result.task.image).abs().flatten(1).amax(1)
    assert change.max() <= 25 / 255 + 1e-6
    assert capsys.readouterr().out.splitlines()[2].startswith(f"made to say it: {int(result.met.sum())} of 24")
