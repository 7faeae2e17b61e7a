"""Loss curves: means that add up, and a drawing that any reader of SVG can parse."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from amiss.training import curve_svg, turned
from amiss.training.curves import thinned


@pytest.mark.parametrize("count", [1, 7, 200, 1001])
def test_thinning_keeps_the_mean_and_the_order(count):
    values = [math.sin(i) for i in range(count)]
    points = thinned(values, 50)
    assert len(points) == min(50, count)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    if count % len(points) == 0:
        assert sum(y for _, y in points) / len(points) == pytest.approx(sum(values) / count)


@pytest.mark.parametrize("losses", [{}, {"a": [3.0]}, {"a": [3.0, 2.0, 1.0], "<b&>": [-1.0, 0.0, 2.0]}])
def test_a_curve_is_well_formed_and_stays_inside_its_frame(losses):
    root = ElementTree.fromstring(curve_svg(losses))
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert len(lines) == len(losses)
    for line in lines:
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 60 <= x <= 620
            assert 20 <= y <= 200


def test_a_falling_loss_is_drawn_falling():
    root = ElementTree.fromstring(curve_svg({"a": [math.exp(-i) for i in range(10)]}))
    (line,) = (e for e in root.iter() if e.tag.endswith("polyline"))
    down = [float(p.split(",")[1]) for p in line.attrib["points"].split()]
    steps = [b - a for a, b in pairwise(down)]  # y grows downward in SVG
    assert all(s == pytest.approx(steps[0], abs=0.2) for s in steps)  # exponential: straight on a log axis
    assert steps[0] > 0


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([9, 5, 3, 2], None),  # still falling
        ([9, 5, 3, 3.02], None),  # flat
        ([9, 5, 3, 4], (30, 3, 4)),  # by heart
        ([-1, -5, -4], (20, -5, -4)),  # a density's loss may be below 0
        ([], None),
    ],
)
def test_a_run_that_learns_by_heart_is_told_from_one_that_learns(losses, told):
    held = [(10.0 * i, loss) for i, loss in enumerate(losses, 1)]
    assert turned({"density": held}) == told
    assert turned({"generator": held, "discriminator": held}) is None  # losses of a game tell nothing
