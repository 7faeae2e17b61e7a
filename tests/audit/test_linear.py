"""An audit of a linear classifier: every figure against its closed form, every success from its file."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from amiss.audit import Plan
from amiss.audit.desk import Desk
from amiss.audit.robustness import Robustness, robustness
from amiss.testing import LinearWorld
from amiss.trust import wilson
from tests.audit.conftest import audited, from_disk, linear_images

METHODS = ("LSE", "LSE, plain decoding", "Pixel PGD")


def margin_by_hand(world, path, label):
    logits = world.weight.double().numpy() @ (from_disk(path).ravel() - 0.5)
    return logits[label] - np.delete(logits, label).max()


def test_counts_add_up_to_the_inputs(linear):
    counts = linear.account["counts"]
    assert counts == {"images": 60, "right": 40, "wrong": 20, "unreadable": 0}
    assert set(linear.account["outcomes"]) == set(METHODS)
    for outcomes in linear.account["outcomes"].values():
        assert sum(outcomes.values()) == counts["wrong"]
    assert len(linear.account["fooled"]) == 2


@pytest.mark.parametrize("method", METHODS)
def test_every_success_is_one_when_its_file_is_judged_by_hand(world, linear, method):
    part, labels = linear.found.repairs[method], linear.images.labels
    assert bool(part.verified.all())
    for i, path in zip(linear.found.mistakes.tolist(), part.paths, strict=True):
        assert margin_by_hand(world, linear.out / path, int(labels[i])) >= 0.5 - 1e-4


def test_the_record_says_of_each_case_what_its_files_hold(world, linear):
    classes = linear.images.classes
    assert len(linear.account["cases"]) == 20
    for case in linear.account["cases"]:
        original, label = from_disk(linear.out / case["original"]), classes.index(case["true"])
        assert margin_by_hand(world, linear.out / case["original"], label) < 0
        assert case["predicted"] == classes[1 - label]
        assert case["verified"] is True
        assert case["repaired_as"] == case["true"] == case["repairs"][0]["judge"]
        for repair in case["repairs"]:
            change = from_disk(linear.out / repair["image"]) - original
            assert repair["l2"] == pytest.approx(np.linalg.norm(change), abs=1e-5)
            assert repair["linf"] == pytest.approx(abs(change).max(), abs=1e-6)
            by_hand = [margin_by_hand(world, linear.out / frame, label) for frame in repair["frames"]]
            assert repair["frame_margins"] == pytest.approx(by_hand, abs=1e-4)
            assert repair["frame_labels"] == [classes[label if m > 0 else 1 - label] for m in by_hand]
            assert repair["margin"] == repair["frame_margins"][-1]
            assert from_disk(linear.out / repair["frames"][-1]).tolist() == (original + change).tolist()
        lse = case["repairs"][0]
        assert from_disk(linear.out / lse["frames"][0]).tolist() == original.tolist()
        assert lse["frame_steps"] == sorted(lse["frame_steps"])


def test_no_repair_is_smaller_than_the_smallest_there_is(world, linear):
    slope = (world.weight[0] - world.weight[1]).double()
    for method in METHODS:
        for i, size in linear.sizes(method).items():
            x, label = linear.images.images([i]).double().flatten(), int(linear.images.labels[i])
            deficit = 0.5 - float((slope if label == 0 else -slope) @ (x - 0.5))
            smallest = deficit / float(slope.norm())
            assert smallest - 1e-4 <= size
            if method == "Pixel PGD":  # steps of 0.1 along the slope, and the rounding of 64 pixels
                assert size <= smallest + 0.1 + 8 * 0.5 / 255


def test_the_figures_are_those_of_the_files(linear):
    figures = linear.account["figures"]
    for slug, method in (("lse", "LSE"), ("lse_plain", "LSE, plain decoding"), ("pixel", "Pixel PGD")):
        assert figures[f"{slug}_repaired"] == 1
        sizes = sorted(linear.sizes(method).values())
        assert figures[f"{slug}_l2"] == pytest.approx(sizes[(len(sizes) - 1) // 2], abs=1e-5)
        assert figures[f"{slug}_judge_agreement"] == 1
    assert figures["judge_before"] == 0
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["verified_from_disk"] == 1
    assert figures["decoder_explained"] == pytest.approx(1, abs=1e-6)
    assert figures["decoder_agreement"] == 1
    sentence = linear.account["sentence"]
    assert "wrong on 20 of 60 images (33.3%); 100% of 20 mistakes are put right by a small change" in sentence
    assert "of 2 classes some nonsense" in sentence
    # The judge is the classifier itself, which is wrong on 20 of 60: its word is told with a warning.
    assert [notice["level"] for notice in linear.account["notices"]] == ["info", "warning"]
    assert figures["judge_accuracy"] == pytest.approx(2 / 3)


def test_robustness_is_the_feasible_set(tmp_path):
    # Whole gray levels: what a linear attack reaches in theory is a file.
    world = LinearWorld(n=80, dtype=torch.float32, crowd=0.1, seed=2)
    images = linear_images(world, wrong=0.25)
    task, epsilons = images.task(), tuple(k / 255 for k in (1, 2, 3, 5, 8, 13))
    desk = Desk(world.classifier(), Plan(epsilons=epsilons), tmp_path, lambda *_: None)
    curve = robustness(desk, images, torch.arange(80))
    x, labels = task.image.double().flatten(1), task.label
    slope = (world.weight[labels] - world.weight[1 - labels]).double()
    ahead = (slope * (x - 0.5)).sum(1)
    standing = ahead > 0
    expected = [int(standing.sum())]
    for eps in epsilons:
        worst = torch.where(slope > 0, (x - eps).clamp(min=0), (x + eps).clamp(max=1))
        left = (slope * (worst - 0.5)).sum(1)
        assert float(left.abs().min()) > 1e-5  # no tie that rounding could decide
        expected.append(int((standing & (left > 0)).sum()))
    assert list(curve.right) == expected
    assert expected[0] == 60 and 0 < expected[3] < expected[1] < 60
    assert list(curve.accuracy) == [k / 80 for k in expected]


def test_robustness_in_the_record_falls_and_has_words(linear):
    curve = linear.account["robustness"]
    assert curve["accuracy"] == sorted(curve["accuracy"], reverse=True)
    assert curve["names"] == ["0", "1/255", "2/255", "4/255", "8/255", "16/255", "32/255", "64/255"]
    assert curve["epsilons"] == [0, *(2**k / 255 for k in range(7))]
    for low, share, high in zip(curve["low"], curve["accuracy"], curve["high"], strict=True):
        assert 0 <= low <= share <= high <= 1
    assert linear.account["figures"]["robust_accuracy@8/255"] == curve["accuracy"][4]


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 7), (81, 263)])
def test_wilson_ends_where_the_score_test_ends(k, n):
    # Both ends solve |k/n - p| = z sqrt(p (1 - p) / n), but where the share itself is an end of [0, 1].
    low, high = wilson(k, n)
    for at, edge in ((low, 0.0), (high, 1.0)):
        if edge == k / n:
            assert at == pytest.approx(edge, abs=1e-12)
        else:
            assert abs(k / n - at) == pytest.approx(1.96 * math.sqrt(at * (1 - at) / n), rel=1e-9)
    assert low <= k / n <= high
    assert wilson(0, 0) == (0, 1)
    assert Robustness((0.0,), (k,), n, 1).intervals == ((low, high),)


def test_nonsense_is_as_certain_as_its_file(world, linear):
    for c, entry in enumerate(linear.account["fooled"]):
        logits = world.weight.double().numpy() @ (from_disk(linear.out / entry["image"]).ravel() - 0.5)
        by_hand = 1 / (1 + math.exp(logits[1 - c] - logits[c]))
        assert entry["class"] == str(c)
        assert entry["confidence"] == pytest.approx(by_hand, abs=1e-5)
        assert by_hand >= 0.99
        assert entry["verified"] is True


def test_classes_are_sampled_evenly_where_there_are_many(tmp_path):
    world = LinearWorld(n=6, classes=1000, dtype=torch.float32)
    images = linear_images(world, wrong=0.5)
    done = audited(world.classifier(), images, tmp_path, plan=Plan(epsilons=(1 / 255,), steps=2, fooled=100))
    tried = done.found.fooling.classes
    assert len(tried) == 100
    assert (tried[0], tried[-1]) == (0, 999)
    assert {b - a for a, b in pairwise(tried)} <= {10, 11}
    assert [entry["class"] for entry in done.account["fooled"]] == list(map(str, tried))
    assert done.account["figures"]["classes_tried"] == 100
    assert "100 of 1000 classes, evenly spaced" in done.account["fooled_note"]
    assert done.account["figures"]["classes_fooled"] > 90


def test_the_same_seed_gives_the_same_record_and_another_draws_others(world, tmp_path):
    def account(seed, name):
        plan = Plan(mistakes=5, attacked=10, steps=5, seed=seed)
        images = linear_images(world, wrong=0.5)
        done = audited(world.classifier(), images, tmp_path / name, decoder=world.codec, plan=plan, report=False)
        return {key: value for key, value in done.account.items() if key != "created"}

    one, again, other = account(0, "a"), account(0, "b"), account(1, "c")
    assert one == again
    assert [case["id"] for case in one["cases"]] != [case["id"] for case in other["cases"]]
    assert len(one["cases"]) == 5
    assert one["counts"] == other["counts"]
    assert "5 of 30 mistakes" in one["notices"][0]["text"]
    assert all(sum(tally.values()) == 5 for tally in one["outcomes"].values())
