"""The bench of rejection counts a detector as bypassed by evolution alone, and tells what holds at what cost."""

import json

import pytest
import torch

from amiss.analysis.rejection import DETECTORS, Bypass, Rejection
from amiss.bench.bench import Run
from amiss.bench.fooling_rejection import rejection, tell_bypasses

torch.set_num_threads(1)


def test_what_holds_against_evolution_is_named_with_its_cost():
    def found(name, search, *met):
        return Bypass(name, search, torch.zeros(2, 1, 2, 2), met, (1, None), 700)

    told = Rejection(
        (),
        (
            *(found("past", "cppn", True, True), found("past", "gradient", True, False)),
            *(found("holds", "cppn", True, False), found("holds", "gradient", True, True)),
        ),
        {"past": 0.0, "holds": 0.0},
    )
    said = tell_bypasses(told)
    assert said["held"] == {"holds": {"classes": 1, "evaluations": 700}}
    assert said["bypassed_by_gradient"] == ["holds"]
    assert said["classes_bypassed"]["past"]["gradient"] == {"classes": 1, "evaluations": 700}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return rejection(Run(10, True, tmp_path_factory.mktemp("rejection")))


def test_evolution_and_gradients_are_counted_apart(made):
    figures, told = made
    json.dumps(told, allow_nan=False)
    evolved = {one["detector"]: one for one in told["bypasses"] if one["search"] == "cppn"}
    assert tuple(evolved) == DETECTORS and figures["detectors_bypassed"] == len(told["bypassed"])
    assert {*told["bypassed"]} == {name for name, one in evolved.items() if all(one["met"])}
    assert {*told["held"]} == {*DETECTORS} - {*told["bypassed"]}
    steep = {one["detector"] for one in told["bypasses"] if one["search"] == "gradient" and all(one["met"])}
    assert figures["detectors_bypassed_gradient"] == len(steep) and {*told["bypassed_by_gradient"]} == steep


def test_every_detector_is_shown_as_many_images_at_the_most(made):
    _, told = made
    for name, one in told["classes_bypassed"].items():
        allowed = told["images_allowed"] * (5 if name == "odin" else 1)  # which looks once more along a gradient
        spent = one["cppn"]["evaluations"]
        assert spent == allowed if name in told["held"] else spent <= allowed
