"""Findings as values and pictures: what they say, what they show, and what they leave out."""

import json
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from amiss.analysis.findings import Control, Effect, Finding, Findings, Named, Share
from amiss.audit import Plan
from amiss.audit.cases import _findings
from amiss.audit.figures import known
from amiss.audit.findings import called, findings_record, first_tile, in_short
from amiss.audit.walks import POSITIONS, Sheet, mean_change, walk
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.report import build, card
from tests.audit.conftest import audited, linear_images

SIDE, CODE = 6, 3
BASIS = torch.linalg.qr(torch.randn(SIDE * SIDE, CODE, generator=torch.Generator().manual_seed(0))).Q.T
HAIR = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


class Flat:
    """A decoder that is a plane: a step of the code is a change of the same length in pixels."""

    def encode(self, x):
        return (x.flatten(1) - 0.5) @ BASIS.T

    def decode(self, z):
        return (0.5 + z @ BASIS).reshape(-1, 1, SIDE, SIDE)


class Bent(Flat):
    """Its change grows with the square of the step."""

    def decode(self, z):
        return super().decode(z * z.norm(dim=1, keepdim=True))


def share(value, n=10):
    return Share(value, max(0.0, value - 0.1), min(1.0, value + 0.1), n)


@pytest.fixture
def images():
    pixels = torch.randint(100, 156, (40, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(1)).byte()
    labels = torch.arange(40) % 2
    return Images.of(pixels, labels, ("cat", "dog"), table={"hair": torch.rand(40)})


@pytest.fixture
def sheet(images, tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.stack([-50 * BASIS[1], 50 * BASIS[1]]))
        network[1].bias.copy_(-network[1].weight.sum(1) / 2)  # even gray is on the border
    classifier = Classifier(network, labels=["cat", "dog"])
    predicted = classifier.predict(images.images(torch.arange(40)))
    return Sheet(images, predicted, classifier, Flat(), tmp_path, ("cat", "dog"))


@pytest.fixture
def finding(sheet):
    truth = sheet.images.truth
    tested = torch.arange(20, 40)
    right = ((truth == 1) & (sheet.predicted == 1)).nonzero().flatten()
    effects = tuple(Effect(k / 3, share(k / 4), share(k / 5), Control(0.05 * k, 0.1 * k, 8)) for k in (1, 2, 3))
    return Finding(
        true=1,
        predicted=0,
        direction=HAIR,
        mistakes=torch.arange(0),
        tested=tested,
        position=torch.linspace(-1, 1, 20).double(),
        wald=-7.5,
        root=-7.6,
        auc_prediction=0.8,
        auc_truth=0.5,
        effects=effects,
        measured=Effect(0.9, share(0.5), share(0.6)),
        step=1.2,
        pushed=right[right >= 20],
        broken=torch.ones(int((right >= 20).sum())).bool(),
        seen=share(0.55),
        agreement=0.9,
        names=(Named("hair", -1.5, -0.8), Named("brow", 0.3, 0.1)),
        verdict="misuse",
    )


@pytest.fixture
def findings(finding):
    rows = torch.arange(40)
    other = replace(finding, verdict="use", names=(), measured=None, seen=Share(nan, nan, nan, 0), auc_truth=nan)
    return Findings((finding, other), ((0, 1, 4),), 20, rows[:20], rows[20:], {})


@pytest.mark.parametrize("decoder", [Flat(), Bent()])
def test_a_walk_passes_through_the_image_and_is_as_long_as_asked(decoder):
    image = torch.full((1, 1, SIDE, SIDE), 0.5) + (torch.tensor([[0.05, 0.1, 0.0]]) @ BASIS).reshape(1, 1, SIDE, SIDE)
    image = (image * 255).round() / 255
    frames = walk(decoder, image, HAIR, 0.6, POSITIONS).float() / 255
    assert torch.equal(frames[POSITIONS.index(0.0)], image[0])
    rounding = SIDE / 510 + 1e-6  # half a gray level in each pixel
    assert float((frames[-1] - image[0]).norm()) == pytest.approx(0.6, abs=rounding)
    if type(decoder) is Flat:  # a plane is walked at an even pace, forth as back
        lengths = [float((frame - image[0]).norm()) for frame in frames]
        assert lengths == pytest.approx([abs(0.6 * at) for at in POSITIONS], abs=rounding)


def test_the_mean_change_of_a_plane_is_the_direction_itself(sheet):
    change = mean_change(Flat(), sheet.images.images(torch.arange(5)), HAIR, 0.3)
    assert torch.allclose(change.flatten(), 0.3 * BASIS[1], atol=1e-5)


def test_the_mean_change_is_kept_as_a_picture_whose_middle_is_none(sheet):
    kept = sheet.mean([0, 1], HAIR, 0.3, "findings/mean.png")
    assert kept["largest"] == pytest.approx(0.3 * float(BASIS[1].abs().max()), abs=1e-5)
    pixels = np.asarray(Image.open(sheet.out / kept["image"])).astype(float)
    read = (pixels - 128) / 127 * kept["largest"]
    assert read.flatten() == pytest.approx((0.3 * BASIS[1]).numpy(), abs=kept["largest"] / 254 + 1e-6)


def test_the_record_says_what_was_measured_and_the_page_and_the_card_take_it(sheet, findings):
    record = findings_record(findings, sheet, bar=-5.0)
    (claim,), (other,) = record["claims"], record["tested"]
    mistakes = ((sheet.images.truth == 1) & (sheet.predicted == 0)).nonzero().flatten().tolist()
    assert (claim["true"], claim["predicted"], claim["name"]) == ("dog", "cat", "less hair")
    assert claim["mistakes"] == len(claim["cases"]) == len(mistakes) > 0
    assert [case["id"] for case in claim["cases"]] == [sheet.images.ids[i] for i in mistakes]
    assert [case["position"] is None for case in claim["cases"]] == [i < 20 for i in mistakes]
    assert (claim["wald"], claim["wald_bar"], claim["length"]) == (-7.5, -5.0, 1.0)
    assert claim["effects"][2]["control"] == {"mean": pytest.approx(0.15), "most": pytest.approx(0.3), "n": 8}
    assert claim["measured"]["control"] is None
    assert (other["measured"], other["name"], other["auc_truth"], other["seen"]["share"]) == (None, None, None, None)
    assert claim["id"] != other["id"]
    assert record["too_few"] == [{"true": "cat", "predicted": "dog", "mistakes": 4}]
    assert (record["needed"], record["discover"], record["test"]) == (20, 20, 20)
    assert claim["truth"] is None
    assert claim["says"].endswith(
        "though the truth follows it less. Pushed back along it, 50% of the right answers further along it break."
    )
    json.dumps(record, allow_nan=False)
    whole = {"title": "t", "sentence": "s", "findings": record}
    assert build(whole, sheet.out).stat().st_size > 10_000
    assert "### less hair (suggested name): dog called cat" in card(whole)


def test_ends_are_the_outermost_tested_images(sheet, findings):
    claim = findings_record(findings, sheet, bar=-5.0)["claims"][0]
    names = sheet.images.names
    assert [entry["name"] for entry in claim["top"][:3]] == [names[39], names[38], names[37]]
    assert [entry["name"] for entry in claim["bottom"][:3]] == [names[20], names[21], names[22]]
    for entry in claim["top"]:
        i = names.index(entry["name"])
        assert np.array_equal(np.asarray(Image.open(sheet.out / entry["image"])), sheet.images.pixels[i, 0].numpy())


def test_strips_walk_mistakes_and_right_answers_of_the_testing_half(sheet, findings):
    claim = findings_record(findings, sheet, bar=-5.0)["claims"][0]
    assert 2 <= len(claim["strips"]) <= 5
    assert {strip["predicted"] for strip in claim["strips"]} == {"cat", "dog"}
    for strip in claim["strips"]:
        assert strip["true"] == "dog"
        assert sheet.images.names.index(strip["name"]) >= 20
        assert len(strip["frames"]) == len(strip["labels"]) == len(strip["margins"]) == len(POSITIONS)
        # Along this direction the logit of "dog" rises, and the label follows its sign.
        assert strip["margins"] == sorted(strip["margins"])
        assert strip["labels"] == ["dog" if margin > 0 else "cat" for margin in strip["margins"]]
        middle = sheet.out / strip["frames"][POSITIONS.index(0.0)]
        assert middle.read_bytes() == (sheet.out / strip["image"]).read_bytes()


def test_the_truth_is_what_the_model_says_of_the_same_images_redrawn(sheet, findings):
    asked = []

    def redraw(attribute, upward, rows):
        asked.append((attribute, upward, rows.tolist()))
        pull = 40 * BASIS[1].sign().reshape(1, SIDE, SIDE) * (1 if upward else -1)
        # Less hair is what the model takes for a dog: drawn with more of it, every dog is lost.
        return (sheet.images.pixels[rows].float() - pull).clamp(0, 255).byte()

    claim = findings_record(findings, sheet, bar=-5.0, redraw=redraw)["claims"][0]
    finding = findings.tested[0]
    (_, more, pushed), (_, less, repaired) = asked
    assert [name for name, *_ in asked] == ["hair", "hair"]
    assert (more, less) == (True, False)
    assert pushed == finding.pushed.tolist()
    assert claim["truth"]["breaks"] | {"low": 0, "high": 0} == {"share": 1.0, "low": 0, "high": 0, "n": len(pushed)}
    assert claim["truth"]["repairs"]["n"] == len(repaired)
    # As `measured` does, it puts right mistakes of the lower half alone.
    true = finding.tested[sheet.images.truth[finding.tested] == 1]
    assert set(repaired) == {int(i) for i in true[: (len(true) + 1) // 2] if sheet.predicted[i] == 0}
    assert claim["truth"]["repairs"]["share"] == 1.0
    assert findings_record(findings, sheet, bar=-5.0, redraw=lambda *_: None)["claims"][0]["truth"] is None
    unmeasured = replace(findings, tested=(replace(finding, measured=None),))
    assert findings_record(unmeasured, sheet, bar=-5.0, redraw=redraw)["claims"][0]["truth"] is None


def test_a_direction_of_no_length_has_no_pictures_and_is_told_all_the_same(sheet, findings):
    """Where both parts of a direction cancel, nothing about it is a number."""
    nothing = tuple(replace(effect, length=nan) for effect in findings.tested[0].effects)
    none = replace(
        findings.tested[0],
        direction=torch.full((CODE,), nan).double(),
        position=torch.full((20,), nan).double(),
        effects=nothing,
        measured=None,
        verdict="none",
    )
    record = findings_record(replace(findings, tested=(none,)), sheet, bar=-5.0)
    (row,) = record["tested"]
    assert (row["strips"], row["mean_change"], row["length"]) == ([], None, None)
    assert {case["position"] for case in row["cases"]} == {None}
    json.dumps(record, allow_nan=False)
    whole = {"title": "t", "sentence": "s", "findings": record}
    assert "at length not measured: breaks" in card(whole)
    assert build(whole, sheet.out).is_file()


def test_words_never_say_more_than_was_tested(findings):
    names = ("cat", "dog")
    none = replace(findings, tested=findings.tested[1:])
    few = replace(findings, tested=())
    assert called(findings.tested[0]) == "less hair"
    assert called(findings.tested[1]) == "a change without a name"
    assert in_short(findings, names) == "the cue best shown to be misused is less hair, which it takes for dog"
    assert in_short(none, names) == in_short(few, names) == ""
    assert first_tile(findings, names) == {
        "label": "Misused cue",
        "value": "less hair",
        "note": "taken for dog; 2 directions tested",
    }
    assert "no proof" in first_tile(none, names)["note"]
    assert "too few" in first_tile(few, names)["note"]


@pytest.mark.parametrize(
    ("tested", "words"),
    [(0, "misused is less hair: it puts 'dog' called 'cat' right"), (1, "No finding"), (2, "Too few")],
)
def test_the_sentence_of_the_page(sheet, findings, tested, words):
    record = findings_record(replace(findings, tested=findings.tested[tested:]), sheet, bar=-inf)
    assert words in record["sentence"]
    assert any("people" in text for text in record["limits"])
    assert len(record["claims"]) == (tested == 0)


def test_an_audit_asks_for_findings_maps_some_cases_and_says_what_each_version_is_called(linear):
    account, found = linear.account, linear.found
    assert account["figures"]["findings"] == len(account["findings"]["claims"]) == len(found.findings.claims)
    assert account["findings"]["discover"] + account["findings"]["test"] == len(found.images)
    kinds = found.findings.too_few + tuple((one.true, one.predicted) for one in found.findings.tested)
    assert kinds
    ids = [case["id"] for case in account["cases"]]
    assert [case["case"] for case in account["atlas"]["cases"]] == ids[: found.plan.maps]
    for case in account["cases"]:
        assert case["answers"]["x"] == case["predicted"]
        if case["verified"]:
            assert case["answers"]["moved"] == case["true"]
    assert account["tiles"][0]["label"] == "Misused cue"


def test_a_plan_may_leave_findings_and_maps_out(world, tmp_path):
    plan = Plan(findings=0, maps=0, mistakes=3, attacked=0, fooled=0)
    account = audited(world.classifier(), linear_images(world), tmp_path, decoder=world.codec, plan=plan).account
    assert not {"findings", "atlas"} & set(account)
    assert "findings" not in account["figures"]
    assert "findings" not in known(plan)
    assert not (tmp_path / "atlas").exists()
    assert account["cases"][0]["findings"] == []


def test_only_claims_about_its_own_kind_stand_beside_a_case(linear, findings):
    found = replace(linear.found, findings=findings)
    kinds = {
        (int(found.images.truth[i]), int(found.predicted[i])): _findings(found, i) for i in found.mistakes.tolist()
    }
    assert kinds
    for kind, ids in kinds.items():
        assert ids == (["1-0-0"] if kind == (1, 0) else [])


def test_a_cue_that_two_kinds_of_mistake_show_is_said_to_be_one(sheet, findings):
    first = findings.claims[0]
    turned = replace(first, true=0, predicted=1, direction=-HAIR)
    across = replace(turned, direction=torch.tensor([1.0, 0.0, 0.0], dtype=HAIR.dtype))
    metric = {(1, 0): torch.eye(3, dtype=HAIR.dtype), (0, 1): torch.eye(3, dtype=HAIR.dtype)}
    both = replace(findings, tested=(first, turned, across), covariance=metric)
    says = [claim["says"] for claim in findings_record(both, sheet, bar=-5.0)["claims"]]
    again = " It looks like the cue that 'dog' called 'cat' shows, too."
    assert [text.endswith(again) for text in says] == [False, True, False]
