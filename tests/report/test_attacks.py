"""The page of attacks in a real browser: its tables, a recipe's adversaries, and the transfer matrix."""

import copy

import pytest

from amiss.report import build
from tests.report.conftest import HOSTILE, draw_run

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

MODELS = ("one", "two")


def share(value, n=20):
    return {"share": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1), "n": n}


def cell(recipe, source, model, value):
    texts = {"recipe": recipe, "source": source, "model": model, "n": 20, "side": 32 if model == "two" else None}
    return {**texts, "met": share(1.0), "changed": share(value), "noise": share(0.05)}


def attacked(folder):
    """A run of two recipes, with pictures of the drawn faces, shown to two models."""
    record = draw_run(folder)
    pair = {"source": record["cases"][0]["original"], "image": record["cases"][0]["repairs"][0]["image"]}
    row = {"name": "a.png", "true": "cat", "called": "dog", "l2": 0.5, "linf": 8 / 255, **pair}
    table = [
        {
            "recipe": name,
            "asks": "gradients",
            "bound": bound,
            "success": share(value),
            "within": share(0.25),
            "median_l2": size,
            "median_linf": 0.1,
            "queries": 30.0,
            "seconds": 0.01,
        }
        for name, bound, value, size in (("pgd", "8/255", 0.5, 0.75), ("ddn", "none", 1.0, None))
    ]
    cells = [cell(r, a, b, 0.9 if a == b else 0.3) for r in ("pgd", "ddn") for a in MODELS for b in MODELS]
    section = {
        "sentence": "50% of 20 right answers withstand.",
        "eps": "8/255",
        "images": 20,
        "stood": share(0.5),
        "table": table,
        "rows": [{**row, "recipe": "pgd"}, {**row, "recipe": "pgd", "name": "b.png"}],
        "transfer": cells,
        "transfer_sentence": "One breaks two.",
        "notes": ["A note."],
    }
    return {**record, "cases": [], "fooled": [], "attacks": section}


@pytest.fixture
def made(tmp_path):
    return attacked(tmp_path / "run"), tmp_path / "run"


def test_the_page_says_what_the_record_says(made, visit):
    record, folder = made
    page = visit(build(record, folder), "attacks")
    text = page.locator("#attacks").inner_text()
    for words in (
        "50% of 20 right answers withstand.",
        "A note.",
        "One breaks two.",
        "50% (40\u201360%)",
        "Within 8/255",
    ):
        assert words in text, words
    first, second = page.locator("#attacks table").nth(0), page.locator("#attacks table").nth(1)
    assert first.locator("tbody tr").count() == 2
    assert first.locator("tbody tr").nth(1).locator("td").nth(5).inner_text() == "\u2013"  # no size of nothing
    rows = second.locator("tbody tr")
    assert rows.count() == 4 and second.locator("th").all_inner_texts()[2:] == [
        "Shown to one",
        "Shown to two, at 32 pixels",
    ]
    assert [c.split("\n")[0] for c in rows.nth(1).locator("td").all_inner_texts()[:3]] == [
        "pgd",
        "two",
        "30% (20\u201340%)",
    ]
    assert second.locator(".itself").count() == 4


def test_the_adversaries_of_a_recipe_are_shown_on_demand(made, visit):
    record, folder = made
    page = visit(build(record, folder), "attacks")
    assert page.locator("#attacks .quads > li").count() == 2
    assert "8 gray levels of 255" in page.locator("#attacks .quads > li").first.inner_text()
    page.select_option("#attacks-which", "1")
    assert page.locator("#attacks .quads").count() == 0
    assert "No adversary of this recipe is pictured" in page.locator("#attacks-rows").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_no_name_is_markup(made, visit, width):
    record, folder = copy.deepcopy(made[0]), made[1]
    section = record["attacks"]
    section |= {"sentence": HOSTILE, "notes": [HOSTILE], "transfer_sentence": HOSTILE}
    for row in section["rows"]:
        row |= {"name": HOSTILE, "true": HOSTILE, "called": HOSTILE}
    for row in section["transfer"]:
        row |= {"source": HOSTILE + row["source"], "model": HOSTILE + row["model"]}
    page = visit(build(record, folder), "attacks", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title() != "owned" and HOSTILE[:9] in page.locator("#attacks").inner_text()
    assert page.locator("#attacks .wider").first.is_visible() == (width == 390)


def test_without_other_models_there_is_no_matrix(made, visit):
    record, folder = made
    record = {**record, "attacks": {**record["attacks"], "transfer": None, "transfer_sentence": ""}}
    page = visit(build(record, folder), "attacks")
    assert "Shown to other models" not in page.locator("#attacks").inner_text()
