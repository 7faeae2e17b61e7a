"""What an audit says of itself: flags of every search, chance that is no attack, and nothing that was not done."""

import pytest
import torch

from amiss.audit import Plan
from amiss.study import Store
from amiss.testing import HOSTILE
from tests.audit.conftest import audited, linear_images

BELOW = tuple((k + 1) / 255 / 20 for k in range(9))  # radii at which no byte of a file can change


def flag(done, slug):
    (found,) = [flag for flag in done.account["flags"] if flag["slug"] == slug]
    return found


@pytest.mark.parametrize("study", ["lse", "lse-plain-decoding", "pixel-pgd", "fooling", "attack-16-255"])
def test_a_success_that_any_search_lost_on_disk_is_told(study, world, tmp_path, monkeypatch):
    honest = Store.write_image

    def forgetful(store, path, image):
        honest(store, path, torch.full_like(image, 128) if store.folder.name == study else image)

    monkeypatch.setattr(Store, "write_image", forgetful)
    plan = Plan(steps=10, attacked=16, epsilons=(16 / 255,))
    images = linear_images(world, wrong=0.1)
    done = audited(world.classifier(), images, tmp_path, plan=plan, decoder=world.codec, report=False)
    lost = flag(done, "eight-bit")
    names = {"lse": "LSE:", "lse-plain-decoding": "LSE, plain", "pixel-pgd": "Pixel PGD:", "fooling": "Fooling:"}
    assert lost["state"] == "fired"
    assert lost["measured"].startswith(names.get(study, "Robustness:")) and ";" not in lost["measured"]


def test_every_search_counts_its_files_and_its_numbers(linear):
    assert flag(linear, "eight-bit")["state"] == flag(linear, "not-finite")["state"] == "clear"
    for name in ("LSE:", "LSE, plain decoding:", "Pixel PGD:", "Fooling:", "Robustness:"):
        assert name in flag(linear, "eight-bit")["measured"]
        assert name in flag(linear, "not-finite")["measured"]
    slugs = [flag["slug"] for flag in linear.account["flags"]]
    assert len(set(slugs)) == len(slugs) == 19


def test_chance_breaks_nothing_that_no_attack_can_change(tmp_path):
    dice = next(hostile for hostile in HOSTILE if hostile.name == "dice").make(0)
    done = audited(dice.classifier, dice.images, tmp_path, plan=Plan(epsilons=BELOW, steps=2), report=False)
    assert done.found.votes == 20
    assert len(set(done.found.robustness.right)) == 1
    assert flag(done, "eight-bit")["state"] == "not measured"
    words = " ".join(method["text"] for method in done.account["methods"])
    assert "20 votes" in words and "20 times" in words


def test_methods_name_what_was_done_and_nothing_else(world, tmp_path):
    images = linear_images(world, wrong=0)
    plan = Plan(steps=5, attacked=0, fooled=0, imposters=0)
    nothing = audited(world.classifier(), images, tmp_path / "none", plan=plan, decoder=world.codec)
    assert [method["name"] for method in nothing.account["methods"]] == ["Verification"]
    assert "in a batch and alone" in nothing.account["methods"][0]["text"]
    some = Plan(steps=5, attacked=30, fooled=0)
    part = audited(world.classifier(), linear_images(world, wrong=0.1), tmp_path / "some", plan=some)
    names = [method["name"] for method in part.account["methods"]]
    assert names == ["Pixel PGD", "Robustness", "Imposters", "Verification"]
    assert "a sample of the images" in part.account["methods"][1]["text"]
