"""The page of a defense in a real browser: its curve, its tables, its champions, on a screen and on a phone."""

import pytest
from PIL import Image

from amiss.report import build

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def defended(folder, record):
    """The record with a defense of two networks, the second of which held out for the whole budget."""
    networks = []
    for k in (0, 1):
        champions = []
        for c, (name, sure) in enumerate(((HOSTILE, 0.995), ("two", 0.4))):
            Image.new("L", (12, 12), 100 * k + c).save(folder / "images" / f"champion-{k}-{c}.png")
            champions.append({"class": name, "confidence": sure, "image": f"images/champion-{k}-{c}.png"})
        networks.append({"round": k, "champions": champions})
    curve = [
        {"round": 0.0, "median": 300.0, "median_held": False, "all": 4000.0, "all_held": True},
        {"round": 1.0, "median": 4000.0, "median_held": True, "all": 4000.0, "all_held": True},
    ]
    defense = {
        "sentence": "After 1 round nonsense costs more.",
        "bar": 0.99,
        "head": ["Round", "Accuracy", "Evaluations, median class"],
        "rows": [[0.0, "92.8 %", "300"], [1.0, "91.5 %", "over 4,000"]],
        "curve": curve,
        "networks": networks,
        "recall": {
            "text": ["Recall asks about yesterday."],
            "head": ["Round", "Recall"],
            "rows": [[1.0, "50.0 % of 8"]],
        },
        "limits": ["All figures are of one seed."],
    }
    return {**record, "defense": defense}


@pytest.fixture
def page(run, visit):
    record, folder = run
    return visit(build(defended(folder, record), folder), "defense")


def test_the_rounds_are_drawn_told_and_bounded(page):
    text = page.locator("#defense").inner_text()
    for words in ("After 1 round nonsense costs more.", "over 4,000", "50.0 % of 8", "All figures are of one seed."):
        assert words in text
    chart = page.locator("#defense .chart svg[role=img]")
    assert "round 0: 300; round 1: more than 4,000" in chart.get_attribute("aria-label")
    assert chart.locator("circle.dot").count() == 1 and chart.locator("circle.here").count() == 3
    heights = [float(node.get_attribute("cy")) for node in chart.locator("circle").all()]
    assert heights[0] > heights[1] == heights[2] == heights[3]  # median of both rounds, then all classes of both


def test_champions_are_shown_by_network_and_those_below_the_bar_are_gray(page):
    assert page.locator("#defense h3").all_inner_texts() == [
        "Against the network as it was given",
        "Against the network of round 1",
    ]
    cells = page.locator("#defense .champions li")
    assert [cell.get_attribute("class") for cell in cells.all()] == [None, "below"] * 2
    assert cells.first.inner_text() == f"{HOSTILE}\n99.5 %"
    assert "below the bar" in cells.nth(1).locator("img").get_attribute("alt")
    assert page.title() != "owned" and page.locator("#defense img[src=x]").count() == 0


def test_nothing_runs_out_of_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#defense .wider").first.is_visible()


def test_a_hardened_network_is_told_before_and_after(run, visit):
    record, folder = run
    defense = {
        "sentence": "Accuracy fell little.",
        "head": ["Network", "PGD, many steps"],
        "rows": [["as given", "0.0 %"], ["hardened", "86.0 %"]],
        "text": ["Believe the lowest figure."],
        "detectors": {"head": ["Detector", "Area"], "rows": [[HOSTILE, "0.950"]]},
        "networks": [],
        "limits": ["One seed."],
    }
    page = visit(build({**record, "defense": defense}, folder), "defense")
    text = page.locator("#defense").inner_text()
    for words in ("Accuracy fell little.", "86.0 %", "Believe the lowest figure.", "0.950", "One seed.", HOSTILE):
        assert words in text
    assert page.locator("#defense .chart").count() == 0 and page.title() != "owned"
