"""What a language model expects, drawn: every character of the text, and the likeliest ones under it."""

import xml.etree.ElementTree as ET

import pytest
import torch

from amiss.errors import ContractError, ModelError
from amiss.models import TextModel
from amiss.training.expected import expected_svg

SVG = "{http://www.w3.org/2000/svg}"


def model():
    """One that says: b, by a probability of 0.9; c else, and a hardly ever."""
    net = TextModel("\n ab<", hidden=2)
    net.readout.weight.data.zero_()
    net.readout.bias.data.copy_(torch.tensor([1e-9, 1e-9, 0.0999, 0.9, 1e-4]).log())
    return net.eval()


def lines(svg):
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_likeliest_stand_below_each_character_and_what_came_is_marked():
    svg = expected_svg(model(), "ab a\nb<", k=3)
    assert lines(svg) == ["ab_a¶b<", "bbbbbbb", "aaaaaaa", "<<<<<<<"]
    paths = list(ET.fromstring(svg).iter(f"{SVG}path"))
    assert {path.get("fill-opacity") for path in paths[:-1]} == {"0.67", "0.07"}  # three quarters of 0.9, of 0.0999
    assert len(paths) == 2 * 7 + 1  # the third is too unlikely to be seen
    assert paths[-1].get("d").count("M") == 5  # all but the space and the end of line, of which it thinks nothing


def test_long_texts_are_drawn_in_lines_of_72():
    svg = expected_svg(model(), "ab" * 40, k=9)
    assert [len(line) for line in lines(svg)] == [72] * 6 + [8] * 6
    assert ET.fromstring(svg).get("viewBox") == "0 0 803 210"
    whole, rest = expected_svg(model(), "ab" * 36 + "a"), expected_svg(model(), "ab" * 36)
    assert whole.count('fill-opacity="0.67"') == rest.count('fill-opacity="0.67"') + 1 == 73


def test_what_cannot_be_drawn_is_refused_or_a_dot():
    with pytest.raises(ModelError, match="text-symbol"):
        expected_svg(model(), "q")
    with pytest.raises(ContractError, match="tokens"):
        expected_svg(model(), "")
    assert lines(expected_svg(TextModel("a\x1b", hidden=2), "a\x1b", k=1))[0] == "a·"
