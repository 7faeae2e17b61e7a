"""An audit of real handwriting: a net trained in seconds, judged by hand, and its page in a real browser."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.audit import Plan
from amiss.classifier import Classifier
from amiss.data import open_data
from amiss.training import classifier_for, decoder_for, train
from tests.audit.conftest import audited, from_disk

CHROMIUM = Path(os.environ.get("AMISS_CHROMIUM", "/usr/bin/chromium"))
FLAGS = "no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync no-first-run"


@pytest.fixture(scope="module")
def trained():
    learned = open_data("digits", split="train")
    small = train(classifier_for(learned, epochs=2), learned)
    decoder = train(decoder_for(learned, epochs=25), learned)
    return small, decoder.model.eval()


@pytest.fixture(scope="module")
def digits(trained, tmp_path_factory):
    small, decoder = trained
    classifier = Classifier(
        small.model, mean=small.facts["mean"], std=small.facts["std"], labels=small.facts["classes"]
    )
    images = open_data("digits", limit=300)
    plan = Plan(attacked=60, steps=10, epsilons=(4 / 255, 16 / 255, 64 / 255))
    out = tmp_path_factory.mktemp("digits") / "run"
    return audited(classifier, images, out, decoder=decoder, plan=plan)


def by_hand(trained, x):
    """Logits of one image from disk, with the preprocessing spelled out."""
    facts = trained[0].facts
    x = (x - np.reshape(facts["mean"], (-1, 1, 1))) / np.reshape(facts["std"], (-1, 1, 1))
    with torch.no_grad():
        return trained[0].model.eval()(torch.from_numpy(x[None]).float())[0].numpy()


def test_mistakes_are_those_of_the_network(trained, digits):
    x = digits.images.images().numpy().astype(np.float64)
    answers = np.array([by_hand(trained, image).argmax() for image in x])
    wrong = np.flatnonzero(answers != digits.images.labels.numpy())
    assert 3 <= len(wrong) <= 150
    assert digits.found.mistakes.tolist() == wrong.tolist()
    assert digits.account["counts"] == {
        "images": 300,
        "right": 300 - len(wrong),
        "wrong": len(wrong),
        "unreadable": 0,
    }


def test_every_success_holds_by_hand_and_every_failure_does_not(trained, digits):
    assert digits.found.gate.passed
    claimed = held = 0
    for part in digits.found.repairs.values():
        for i, path, ok in zip(digits.found.mistakes.tolist(), part.paths, part.verified.tolist(), strict=True):
            logits, label = by_hand(trained, from_disk(digits.out / path)), int(digits.images.labels[i])
            ahead = logits[label] - np.delete(logits, label).max()
            if abs(ahead - 0.5) > 1e-4:  # another order of sums may round a tie otherwise
                assert ok == (ahead > 0.5)
        claimed, held = claimed + part.claimed, held + int(part.verified.sum())
    fooled = digits.account["fooled"]
    for c, entry in enumerate(fooled):
        logits = by_hand(trained, from_disk(digits.out / entry["image"])).astype(np.float64)
        odds = np.exp(logits - logits.max())
        assert entry["confidence"] == pytest.approx(odds[c] / odds.sum(), abs=1e-5)
        assert entry["verified"] == (entry["confidence"] >= 0.99)
    held += sum(entry["verified"] for entry in fooled)
    assert digits.account["verified"] == {"claimed": claimed + digits.found.fooling.claimed, "held": held}


def test_outcomes_add_up_to_the_mistakes(digits):
    k = digits.account["counts"]["wrong"]
    assert {sum(tally.values()) for tally in digits.account["outcomes"].values()} == {k}
    for name, part in digits.found.repairs.items():
        assert digits.account["outcomes"][name].get("met", 0) == int(part.verified.sum())


def test_the_first_frame_is_the_image_and_the_last_the_result(digits):
    for case in digits.account["cases"]:
        for repair in case["repairs"]:
            frames = [from_disk(digits.out / name) for name in repair["frames"]]
            assert np.array_equal(frames[-1], from_disk(digits.out / repair["image"]))
            if "plain" not in repair["method"]:
                assert np.array_equal(frames[0], from_disk(digits.out / case["original"]))
            assert repair["frame_labels"][-1] == case["true"] or not repair["verified"]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--" + flag for flag in FLAGS.split()])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, digits):
    """The report on a telephone; what it says on the console or asks of the network ends the test."""
    said, asked = [], []
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(5000)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url.split("#")[0]))
    address = (digits.out / "report.html").as_uri()
    page.goto(address)
    yield page
    context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {address}


def turn(page, route):
    page.evaluate("route => { location.hash = '#/' + route }", route)
    page.locator(f"section#{route.split('/')[0]}:not([hidden]) h1").wait_for()


def test_the_page_of_a_real_audit_on_a_telephone(page, digits):
    assert digits.account["sentence"] in page.locator("#overview").inner_text()
    for route in ("overview", "cases", "case/0", "robustness", "fooled", "methods"):
        turn(page, route)
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= seen, route


def test_the_scrubber_of_a_real_search_moves(page, digits):
    turn(page, "case/0")
    repair = digits.account["cases"][0]["repairs"][0]
    scrubber, image, line = page.locator("#scrubber"), page.locator("#frame img"), page.locator(".film output")
    last = image.get_attribute("src")
    scrubber.focus()
    scrubber.press("Home")
    assert image.get_attribute("src") != last
    assert line.inner_text().endswith(f"called '{repair['frame_labels'][0]}'")
    scrubber.press("End")
    assert image.get_attribute("src") == last
    assert line.inner_text().endswith(f"called '{repair['frame_labels'][-1]}'")
    assert page.locator(".film tbody tr").count() == len(repair["frames"])


def test_the_curve_names_its_radii(page, digits):
    turn(page, "robustness")
    cells = page.locator("#robustness tbody td:first-child").all_text_contents()
    assert cells == ["0", "4/255", "16/255", "64/255"]
    svg = page.locator("#robustness svg text").all_text_contents()
    assert {"0", "16/255", "64/255"} <= set(svg)


def test_a_result_without_a_classifier_on_the_page(browser, tmp_path):
    from amiss.recipes import classes, fool_gradient, pgd
    from amiss.report import write_report
    from amiss.testing import LinearWorld

    world = LinearWorld(n=3, dtype=torch.float32)
    result = pgd(None, 40, norm="l2", step=0.1, target="task").run(world.classifier(), world.task, frames=5)
    classifier = world.classifier(labels=["a", "b"])
    wall = fool_gradient(world.shape).run(classifier, classes(classifier))
    context = browser.new_context()
    context.set_default_timeout(5000)
    sheet, said = context.new_page(), []
    sheet.on("console", lambda message: said.append(message.text))
    sheet.on("pageerror", lambda error: said.append(str(error)))
    sheet.goto(write_report(result, tmp_path / "cases.html").as_uri())
    for words in (("overview", "met for 3 of 3"), ("cases", "sample 0, wanted"), ("case/0", "True")):
        turn(sheet, words[0])
        text = sheet.locator("main").inner_text()
        assert words[1] in text
        assert not {"null", "undefined", "NaN"} & set(text.replace(",", " ").split())
    assert ", said" not in sheet.locator("#case h1").inner_text()
    sheet.locator("#scrubber").press("Home")
    assert sheet.locator(".film output").inner_text() == "Step 0"
    sheet.goto(write_report(wall, tmp_path / "wall.html", labels=["a", "b"]).as_uri())
    turn(sheet, "fooled")
    assert "2 of 2 searches reached their goal" in sheet.locator("#fooled").inner_text()
    assert sheet.locator("#fooled li.below").count() == 0
    context.close()
    assert said == []
