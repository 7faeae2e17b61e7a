"""The page of nonsense in a real browser: its wall, how it grew, and one champion with its ancestors."""

import pytest

from amiss.report import build
from tests.report.conftest import draw_nonsense

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PIXEL = """node => {
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  brush.drawImage(node, 6, 6, 1, 1, 0, 0, 1, 1);
  return [...brush.getImageData(0, 0, 1, 1).data];
}"""


def drawn(page, canvas):
    """The level of red of a canvas, once it was drawn."""
    canvas.scroll_into_view_if_needed()
    handle = canvas.element_handle()
    page.wait_for_function(f"node => ({PIXEL})(node)[3] === 255", arg=handle)
    return handle.evaluate(PIXEL)[0]


def wall(page):
    return page.locator("#nonsense-wall > li")


def test_the_wall_is_the_archive_at_a_mark(record, report, visit):
    page = visit(report, "nonsense")
    folly = record["nonsense"]
    text = page.locator("#nonsense").inner_text()
    for words in (
        folly["sentence"],
        *folly["notes"],
        "What would reject it",
        "92%",
        "Of 95 % of the natural images.",
    ):
        assert words in text
    assert "After generation 100 of 100: 2,020 evaluations" in text
    # Surest first: log-odds 4, 3.5, ...; the bar of 0.99 lies at 4.6.
    assert wall(page).first.inner_text().split("\n")[:2] == ["class 0", "98.20 %, below the bar"]
    assert [drawn(page, wall(page).nth(i).locator("canvas")) for i in range(3)] == [160, 170, 180]
    slider = page.locator("#nonsense-mark")
    slider.focus()
    slider.press("ArrowLeft")
    assert "After generation 10 of 100: 220 evaluations" in page.locator("#nonsense-when").inner_text()
    assert drawn(page, wall(page).first.locator("canvas")) == 80
    assert "generation 10 of 100" in slider.get_attribute("aria-valuetext")
    page.locator("#nonsense-order").select_option("unsure")
    assert wall(page).first.inner_text().startswith("class 5\n37.8 %")
    page.locator("#nonsense-which").select_option("1")
    page.locator("#nonsense-order").select_option("class")
    assert wall(page).first.inner_text().split("\n") == ["class 0", "99.91 %"]
    assert wall(page).first.get_attribute("class") is None and "below" in wall(page).nth(5).get_attribute("class")


def test_a_champion_is_opened_by_the_keyboard_with_its_line_and_its_graph(report, visit):
    page = visit(report, "nonsense")
    page.locator("#nonsense-which").select_option("1")
    wall(page).nth(2).locator("button").focus()
    page.keyboard.press("Enter")
    panel = page.locator("#nonsense-champion")
    assert panel.locator("h2").evaluate("node => node === document.activeElement")
    assert panel.locator("h2").inner_text() == "What it calls class 2, cppn"
    assert wall(page).nth(2).locator("button").get_attribute("aria-pressed") == "true"
    text = panel.inner_text()
    assert "log-odds 6: budget spent" in text and "40 in a row" in text and "37 of them are left out" in text
    assert panel.locator(".ancestors li").all_inner_texts() == [
        "class 2\ngeneration 0",
        "not kept\n\nclass 1\ngeneration 7",
        "class 0\ngeneration 100",
    ]
    assert drawn(page, panel.locator(".ancestors canvas").first) == 20
    assert panel.locator(".formulas li").all_inner_texts() == [
        "output 0 = sine(\u22123.5 \u00b7 x + 2 \u00b7 node 0 + 1)",
        "node 0 = gaussian(7.25 \u00b7 distance from the middle)",
    ]
    label = panel.locator("svg").get_attribute("aria-label")
    assert "generation 0 88.1 %, generation 10 98.20 %, generation 100 99.75 %" in label
    # The champion's own file, where it is in the page.
    page.locator("#nonsense-order").select_option("class")
    wall(page).first.locator("button").click()
    assert panel.locator("img").get_attribute("alt") == "champion of class 0, 99.91 %"


def test_confidences_over_evaluations_have_a_table_twin_with_the_papers(report, visit):
    page = visit(report, "nonsense")
    label = page.locator("#nonsense .chart svg").first.get_attribute("aria-label")
    assert "direct: median 98.20 %, worst 88.1 %" in label
    rows = page.get_by_role("region", name="Confidence of the classes' best images").locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == [
        "cppn",
        "this model",
        "2,020",
        "99.91 %",
        "99.75 %",
        "99.33 %",
    ]
    assert rows.nth(2).locator("td").all_inner_texts()[:4] == ["cppn", "the paper's, ImageNet", "2,000,400", "88.1 %"]
    lines = page.locator("#nonsense .chart").first.locator("path.curve")
    assert lines.count() == 6


def test_many_classes_come_a_hundred_at_a_time(record, tmp_path, visit):
    whole = draw_nonsense(tmp_path, {**record, "cases": [], "fooled": [], "findings": None, "atlas": None}, 230)
    page = visit(build({**whole, "imposters": None}, tmp_path), "nonsense")
    assert wall(page).count() == 100
    pages = page.locator("#nonsense-pages")
    assert "Classes 1 to 100 of 230" in pages.inner_text()
    pages.get_by_role("button", name="Next").click()
    pages.get_by_role("button", name="Next").press("Enter")
    assert wall(page).count() == 30 and "Classes 201 to 230 of 230" in pages.inner_text()
    assert page.locator("#told").inner_text().endswith("of 230")
    page.locator("#nonsense-order").select_option("class")
    assert wall(page).first.inner_text().startswith("class 0\n")


def test_a_run_in_which_nothing_was_searched_says_so(record, tmp_path, visit):
    folly = {**record["nonsense"], "parts": [], "tables": [], "sentence": "Nothing was searched."}
    empty = {**record, "cases": [], "fooled": [], "findings": None, "atlas": None, "imposters": None}
    page = visit(build({**empty, "nonsense": folly}, tmp_path), "nonsense")
    assert "Nothing was searched." in page.locator("#nonsense h1").inner_text()
    assert page.locator("#nonsense-wall").count() == 0
