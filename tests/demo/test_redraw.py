"""The demo's faces drawn anew: what would have been seen, had one attribute been another."""

import pytest
import torch

from amiss.demo import demo_faces, demo_redraw


@pytest.fixture(scope="module")
def faces():
    return demo_faces(12)


def test_faces_that_are_there_already_are_drawn_as_they_were(faces):
    # Every face is in one half of hair: of the two redraws exactly one is the face itself, bit for bit.
    drawn, rows = demo_redraw(12), torch.arange(12)
    same = [(drawn("hair", upward, rows) == faces.pixels).flatten(1).all(1) for upward in (False, True)]
    assert (same[0] ^ same[1]).all()
    assert torch.equal(same[1], faces.table["hair"] > 0.5)


def test_positions_are_those_of_the_faces(faces):
    drawn, rows = demo_redraw(12), torch.tensor([7, 2, 7])
    both = torch.stack([drawn("glasses", upward, rows) for upward in (False, True)])
    own = (both == faces.pixels[rows]).flatten(2).all(2)
    assert own.any(0).all()
    assert drawn("hair", True, rows[:0]).shape == (0, 3, 48, 48)


@pytest.mark.parametrize("attribute", ["jaw", "brow", "hat"])
def test_what_the_label_follows_from_is_not_redrawn(attribute):
    assert demo_redraw(3)(attribute, True, torch.arange(3)) is None
