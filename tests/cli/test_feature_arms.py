"""`amiss run` for the arms that imposters are compared with: pairs are drawn, and bad input is refused in words."""

import json
from pathlib import Path

import pytest

NET = """
import amiss as am
from torch import nn
import torch

def build():
    net = nn.Sequential()
    net.add_module("flat", nn.Flatten())
    net.add_module("mix", nn.Linear(64, 2))
    with torch.no_grad():
        net.mix.weight.copy_(torch.cat([torch.full((1, 64), 0.3), torch.full((1, 64), -0.3)]))
        net.mix.bias.copy_(torch.tensor([-9.6, 9.6]))
    return am.Classifier(net, labels=["bright", "dark"])
"""


@pytest.fixture
def arm(amiss):
    """arm("invert", ...): the recipe in a folder of its own."""
    Path("layers.py").write_text(NET, encoding="utf-8")

    def call(recipe, *options):
        return amiss("run", recipe, "layers.py:build", "photos", "--out", "arm", "--quiet", *options)

    return call


@pytest.mark.parametrize("recipe", ["feature_linear", "feature_fgrad"])
def test_sources_and_guides_are_paired(arm, recipe):
    said = arm(recipe, "--layer", "mix", "--delta", "20/255")
    assert said.code == 0, said.err
    about = json.loads(Path("arm/run.json").read_text(encoding="utf-8"))
    assert about["n"] == 3  # six of the eight are rightly classified
    rows = Path("arm/inputs.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert all(" as " in row for row in rows)


def test_images_are_inverted(arm):
    said = arm("invert", "--layer", "flat", "--steps", "60", "--rough", "0")
    assert said.code == 0, said.err
    assert "met for 8 of 8" in said.err + said.out


@pytest.mark.parametrize(
    ("words", "slug", "hint"),
    [
        (("--layer", "mixx"), "layer-unknown", "Close names: mix"),
        (("--layer", "mix", "--delta", "10"), "eps-units", "10 / 255"),
        ((), "recipe-option", "--layer"),
    ],
)
def test_bad_input_is_refused_in_words(arm, words, slug, hint):
    said = arm("feature_fgrad", *words)
    assert said.code in (1, 2)
    assert slug in said.err and hint in said.err
    assert not Path("arm/run.json").exists()
