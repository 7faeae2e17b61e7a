"""All flags at once: hostile worlds raise their own and no other, healthy networks none."""

import importlib.util

import pytest

from amiss.data import open_data
from amiss.demo import demo_classifier, demo_decoder, demo_faces
from amiss.recipes import pgd
from amiss.testing.hostile import HOSTILE
from amiss.trust import KINDS, before, survey
from tests.docs.pages import ROOT
from tests.realdata import amiss_data


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_world_raises_its_own_flags_and_no_others(hostile):
    world = hostile.make(1)
    seen = survey(world.classifier, world.images, pgd(8 / 255, 40), decoder=world.decoder)
    assert (seen.fired, seen.raised) == (hostile.flags, hostile.raises)
    ran = not hostile.raises
    assert [flag.slug for flag in seen.flags] == [
        slug for slug, kind in KINDS.items() if ran or kind.when == "before"
    ]
    assert (seen.result is not None) == (seen.verified is not None) == ran


def test_a_random_worlds_successes_are_counted_by_vote():
    world = next(hostile for hostile in HOSTILE if hostile.name == "dice").make(0)
    seen = survey(world.classifier, world.images, pgd(8 / 255, 10), seed=1)
    assert seen.verified.n_votes == 20
    again = next(hostile for hostile in HOSTILE if hostile.name == "dice").make(0)
    assert survey(again.classifier, again.images, pgd(8 / 255, 10), seed=1).flags == seen.flags


def test_a_survey_leaves_no_trace(traces, busy):
    world = HOSTILE[0].make(0)
    with traces(busy), traces(world.classifier.network):
        survey(world.classifier, world.images, pgd(8 / 255, 3))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demo_raises_none(seed):
    found = before(demo_classifier(), demo_faces(60), decoder=demo_decoder(), seed=seed)
    assert [flag.slug for flag in found if flag.fired] == []
    assert [flag.slug for flag in found if flag.state == "not measured"] == ["parity"]


@pytest.mark.parametrize(("name", "size"), [("mobilenetv1_025", 128), ("mobilenetv1_050", 160)])
def test_networks_for_photographs_raise_none(name, size, monkeypatch):
    folder = amiss_data("imagenet-200")
    amiss_data("weights")
    monkeypatch.setenv("AMISS_DATA", str(folder.parent))
    spec = importlib.util.spec_from_file_location("mobilenet_v1", ROOT / "examples" / "mobilenet_v1.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    photos = open_data(str(folder), size=size, channels=3)
    found = before(getattr(example, name)(), photos)
    assert [flag.slug for flag in found if flag.fired] == []
    gradients = [flag for flag in found if flag.slug.startswith("gradient")]
    assert [flag.state for flag in gradients] == ["clear"] * 4
