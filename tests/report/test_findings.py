"""Findings and the atlas on the page, in a real browser, and how their pictures are thinned."""

import base64
import copy
import csv
import io
import json

import pytest
from PIL import Image

from amiss.errors import DataError
from amiss.report import build
from amiss.report.album import LADDER
from amiss.report.sections import fewer, left_out, pictured

READ = """(selector) => {
  const shown = document.querySelector(selector);
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [shown.width, shown.height];
  const brush = copy.getContext("2d", { willReadFrequently: true });
  brush.drawImage(shown, 0, 0);
  return brush;
}"""


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text.split('<script id="data" type="application/json">')[1].split("</script>")[0])


@pytest.fixture
def card(report, visit):
    page = visit(report, "findings")
    return page, page.locator("article.finding").first


def test_a_claim_says_all_that_was_measured(record, card):
    page, shown = card
    finding = record["findings"]["claims"][0]
    text = shown.inner_text()
    assert page.locator("#findings h1").inner_text() == record["findings"]["sentence"]
    assert "Looked for in 2,500 images, tested on 2,500 others." in page.locator("#findings").inner_text()
    for words in (
        "hair suggested name",
        "Misused. " + finding["says"],
        "34 images are male and called not male; tested on 500 images.",
        "are less often male (Wald z −12.3; a claim needs −5 or lower)",
        "AUC 0.8, and the true label with AUC 0.54",
        "cosine 0.93",
        "what 20 directions between real images break on average",
        "(15 % at the natural one)",
        "the most that one of them breaks (24 %)",
        *record["findings"]["limits"],
    ):
        assert words in text, words


def test_effects_are_drawn_to_scale_with_control_truth_and_a_table(record, card):
    _, shown = card
    finding = record["findings"]["claims"][0]
    bars = shown.locator("rect.amount")
    shares = [s["share"] for e in finding["effects"] for s in (e["breaks"], e["repairs"])]
    shares += [finding[part][name]["share"] for part in ("measured", "truth") for name in ("breaks", "repairs")]
    shares.append(finding["seen"]["share"])
    widths = [float(bar.get_attribute("width")) for bar in bars.all()]
    assert len(widths) == 11
    for width, share in zip(widths, shares, strict=True):
        assert width / widths[-1] == pytest.approx(share / shares[-1], rel=0.01)
    assert shown.locator("path.whisker").count() == 11
    assert shown.locator("path.control").count() == shown.locator("path.most").count() == 3
    label = shown.locator(".chart svg").get_attribute("aria-label")
    assert (
        "The same images in truth: hair redrawn; breaks right answers further along it 43 % (33 % to 53 %, n = 60)"
        in label
    )
    shown.locator("summary", has_text="The same as a table").click()
    rows = [row.locator("td").all_inner_texts() for row in shown.locator("details tbody tr").all()]
    assert rows[0] == ["At length 1.6", "breaks right answers", "18 %", "8 % to 28 %", "80"]
    assert rows[1] == ["At length 1.6", "other directions break", "5 %", "at most 8 %", "20"]
    other = "Until it reads like real images of the other half, 4.1"
    assert rows[-5] == [other, "breaks right answers further along it", "48 %", "38 % to 58 %", "60"]
    truth = "The same images in truth: hair redrawn"
    assert rows[-2] == [truth, "repairs mistakes less far along it", "93 %", "83 % to 100 %", "34"]
    assert rows[-1][2:] == ["50 %", "40 % to 60 %", "60"]


def test_words_of_effects_are_whole_on_a_narrow_screen(report, visit):
    chart = visit(report, "findings", width=390).locator("article.finding .chart svg").first
    words = " ".join(chart.locator("text").all_text_contents())
    assert "\u2026" not in words
    assert "breaks right answers further along it: 43 % (33 % to 53 %, n = 60)" in words
    ends = "node => [...node.querySelectorAll('text')].map((text) => text.getBBox().x + text.getBBox().width)"
    assert max(chart.evaluate(ends)) <= chart.evaluate("node => node.clientWidth")


def test_an_effect_that_was_not_measured_is_left_out(run, visit):
    record, folder = run
    finding = record["findings"]["claims"][0]
    finding |= {"measured": None, "seen": {"share": None, "low": None, "high": None, "n": 0}}
    finding["effects"][0]["control"] = None
    shown = visit(build(record, folder), "findings").locator("article.finding").first
    assert shown.locator("rect.amount").count() == 6
    assert shown.locator("path.control").count() == 2
    assert "other half" not in shown.inner_text()


def test_an_example_is_walked_by_the_keyboard(card):
    _, shown = card
    slider, line = shown.locator("#finding-0-walk"), shown.locator(".walk output")
    after = shown.locator(".stage figure").nth(2).locator("img")
    assert line.inner_text() == "1 natural length forward: called 'male', margin 1.5"
    last = after.get_attribute("src")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    assert line.inner_text() == slider.get_attribute("aria-valuetext") == "As it is: called 'not male', margin −0.5"
    original = shown.locator(".stage figure").first.locator("img").get_attribute("src")
    assert after.get_attribute("src") == original != last
    assert "As it is" in after.get_attribute("alt")
    slider.press("Home")
    assert line.inner_text().startswith("1 natural length back: called 'not male'")
    assert shown.locator(".walk .here").count() == 1
    shown.locator("#finding-0-example").select_option("2")
    assert line.inner_text().startswith("1 natural length forward")
    assert "walk_2" in after.get_attribute("alt")


def test_real_images_stand_at_the_ends_with_names_from_the_data(card):
    _, shown = card
    ends = shown.locator(".ends-of img")
    assert ends.count() == 40
    assert ends.first.get_attribute("alt") == "photos/top_0.png, true 'male', predicted 'not male'"
    table = shown.get_by_role("region", name="Attributes that differ along the direction")
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert rows == [["hair", "−1.9", "−0.9"], ["brow", "0.2", "0.1"]]


def test_the_mean_change_is_drawn_on_the_scale_of_all_maps(report, visit):
    # Kept as 255 in red and as 1 in blue with largest 0.4: changes of +0.4 and -0.4, as any map would draw them.
    page = visit(report, "findings")
    page.locator(".mean canvas").first.scroll_into_view_if_needed()
    page.locator(".mean canvas[aria-label*='0.4']").first.wait_for()
    found = page.evaluate(
        f"""() => {{
          const brush = ({READ})(".mean canvas");
          const at = (x, y) => [...brush.getImageData(x, y, 1, 1).data.slice(0, 3)].join();
          const colors = palette();
          const of = (step) => [...colors.slice(3 * (step + 255), 3 * (step + 255) + 3)].join();
          return [[at(2, 2), of(102)], [at(2, 15), of(0)], [at(2, 25), of(-102)]];
        }}"""
    )
    assert [seen for seen, _ in found] == [wanted for _, wanted in found]
    assert len({seen for seen, _ in found}) == 3


def test_a_name_of_the_readers_own_stays_and_is_exported(report, visit):
    page = visit(report, "findings", accept_downloads=True)
    page.fill("#finding-0-name", '  =long hair; "men" ')
    page.press("#finding-0-name", "Enter")
    name = '=long hair; "men"'
    assert page.locator("#finding-0 .name").text_content() == name
    assert not page.locator("#finding-0 [data-suggested]").is_visible()
    page.reload()
    assert page.locator("#finding-0 .name").text_content() == name
    assert page.locator("#overview [data-finding]").text_content() == name
    with page.expect_download() as caught:
        page.get_by_role("button", name="Export ids as CSV").first.click()
    assert caught.value.suggested_filename == "male-0.csv"
    rows = list(csv.reader(io.StringIO(caught.value.path().read_text(encoding="utf-8"))))
    assert rows[0] == ["id", "name", "true", "predicted", "position", "finding", "finding_name"]
    assert [row[0] for row in rows[1:]] == [f"{k:08x}" for k in range(8)]
    assert rows[2] == ["00000001", "photos/img_0001.png", "male", "not male", "0.25", "male-0", "'" + name]
    page.fill("#finding-0-name", "")
    page.click("#finding-0-rename")
    assert page.locator("#finding-0 .name").text_content() == "hair"
    assert page.locator("#finding-0 [data-suggested]").is_visible()


def test_a_citation_is_shown_and_copied(record, report, visit):
    page = visit(report, "findings", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy citation").first.click()
    text = page.locator("article pre").first
    for words in (
        "hair: Shorter hair",
        "amiss 0.1.0",
        "resnet18",
        "photos",
        "cdcdcdcdcdcd",
        "seed 0",
        "Explaining the mistakes",
    ):
        assert words in text.inner_text()
    page.wait_for_function("document.getElementById('told').textContent !== ''")
    assert page.evaluate("navigator.clipboard.readText()") == text.inner_text()


def test_what_was_tested_and_not_claimed_is_folded(report, visit):
    page = visit(report, "findings")
    other = page.locator("#tested article")
    assert not other.is_visible()
    page.locator("#tested > summary").press("Enter")
    assert "Used, no misuse detected" in other.inner_text()
    assert "not clearly less often male" in other.inner_text()
    assert other.locator("h2").inner_text().startswith("From 'not male' to 'male'")
    rows = page.get_by_role("region", name="Kinds of mistakes that are too few").locator("tbody tr")
    assert [row.locator("td").all_inner_texts() for row in rows.all()] == [["not male", "male", "7"]]
    for event, there in (("beforeprint", True), ("afterprint", True)):  # what the reader opened stays open
        page.evaluate("event => { dispatchEvent(new Event(event)) }", event)
        assert other.is_visible() == there


def test_no_finding_is_said_in_words_with_what_it_does_not_show(run, visit):
    record, folder = run
    found = {**record["findings"], "claims": [], "tested": [], "sentence": "No finding."}
    page = visit(build({**record, "findings": found}, folder), "findings")
    text = page.locator("#findings").inner_text()
    assert "Nothing that was tested passed both gates." in text
    for words in found["limits"]:
        assert words in text
    assert page.locator("#tested").count() == 0
    page.evaluate("location.hash = '#/overview'")
    page.locator("#overview:not([hidden])").wait_for()
    assert "No finding. What that does not show" in page.locator("#overview").inner_text()


def test_the_overview_and_a_case_lead_to_the_finding_and_its_cases(report, visit):
    page = visit(report)
    page.get_by_role("link", name="hair", exact=True).click()
    page.locator("#findings:not([hidden])").wait_for()
    assert page.evaluate("document.activeElement.id") == "finding-0"
    page.get_by_role("link", name="3 of them among the cases of this page").click()
    page.locator("#cases:not([hidden])").wait_for()
    assert page.locator("#filter-finding").input_value() == "male-0"
    assert page.locator("#tally").inner_text() == "3 of 8 cases"
    page.locator("#gallery a").first.click()
    page.get_by_role("link", name="Finding: hair").click()
    page.locator("#findings:not([hidden])").wait_for()
    assert page.evaluate("document.activeElement.id") == "finding-0"


def test_a_link_into_what_is_folded_opens_it(report, visit):
    page = visit(report)
    page.evaluate("location.hash = '#/findings/1'")
    page.locator("#tested[open]").wait_for()
    assert page.evaluate("document.activeElement.id") == "finding-1"


def test_a_case_says_what_its_decoded_versions_are_called(report, visit):
    page = visit(report, "case/0")
    name = "What the classifier calls the image and its decoded versions"
    rows = page.get_by_role("region", name=name).locator("tbody tr")
    called = [row.locator("td").last.inner_text() for row in rows.all()]
    assert called == ["not male", "not male", "male", "male"]
    page.get_by_role("link", name="Its map in the atlas").click()
    page.locator("#atlas:not([hidden])").wait_for()
    assert page.locator("#atlas-case").input_value() == "0"


def test_a_case_of_no_finding_and_without_a_map_is_told_without_them(report, visit):
    page = visit(report, "case/5")
    text = page.locator("#case").inner_text()
    assert "img_0005" in text
    for words in ("null", "undefined", "Finding:", "atlas", "Before and after the decoder"):
        assert words not in text


def test_a_record_without_findings_says_so(tmp_path, visit):
    page = visit(build({"title": "t", "sentence": "Nothing was found."}, tmp_path))
    assert page.locator("#nav a").all_text_contents() == ["Overview", "Methods"]
    text = page.locator("#overview").inner_text()
    assert "Findings: what the mistakes have in common was not looked for in this run." in text
    assert "Atlas: no map of codes was drawn in this run." in text


# The atlas


def test_both_maps_are_walked_by_the_keyboard(report, visit):
    # In the record the decoded map is split at x = -0.5, the moved one at y = -0.5; one node is one unit.
    page = visit(report, "atlas")
    line, canvas = page.locator("#atlas-says"), page.locator("#map-decoded")
    said = "At {}: the decoded image is called '{}', the changed image '{}'."
    assert line.inner_text() == said.format("−3, −3", "not male", "not male")
    canvas.focus()
    for _ in range(3):
        canvas.press("ArrowRight")
    assert line.inner_text() == said.format("0, −3", "male", "not male")
    for _ in range(3):
        page.locator("#map-moved").press("ArrowUp")
    assert line.inner_text() == said.format("0, 0", "male", "male")
    for _ in range(9):
        canvas.press("ArrowUp")
    assert line.inner_text().startswith("At 0, 4:")
    canvas.press("Home")
    assert line.inner_text().startswith("At −3, −3:")
    assert "j" not in page.evaluate("location.hash.slice(2)")


def test_the_pointer_shows_the_decoded_image_of_the_nearest_node(report, visit):
    page = visit(report, "atlas")
    box = page.locator("#map-decoded").bounding_box()
    color = f"[...({READ})('.point canvas').getImageData(5, 5, 1, 1).data].join()"
    for right, up, wanted in ((0.02, 0.02, "0,0,0,255"), (0.5, 0.98, "80,160,0,255"), (0.98, 0.5, "160,80,0,255")):
        page.mouse.move(box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"])
        page.wait_for_function(f"{color} === '{wanted}'")


def test_maps_tell_classes_apart_by_color_and_by_hatching(report, visit):
    # The more frequent class is plain; the other is hatched, so it has more than one color in a hatch's length.
    page = visit(report, "atlas")
    seen = page.evaluate(
        f"""() => {{
          const brush = ({READ})("#map-decoded");
          const colors = (left) => {{
            const at = [left * brush.canvas.width, 0.05 * brush.canvas.height];
            const {{ data }} = brush.getImageData(...at, 20, 20);
            const found = new Set();
            for (let i = 0; i < data.length; i += 4) found.add([...data.slice(i, i + 3)].join());
            return [...found];
          }};
          return [colors(0.02), colors(0.9)];
        }}"""
    )
    assert len(seen[0]) > 1
    assert len(seen[1]) == 1
    assert not set(seen[0]) & set(seen[1])
    assert page.locator("#atlas .swatches .name").all_text_contents() == ["male", "not male"]


def test_an_atlas_has_a_table_twin(report, visit):
    page = visit(report, "atlas/0")
    page.locator("#atlas summary").click()
    shares = page.get_by_role("region", name="Share of the cells by class").locator("tbody tr")
    assert [row.locator("td").all_inner_texts() for row in shares.all()] == [
        ["male", "55.6 %", "55.6 %"],
        ["not male", "44.4 %", "44.4 %"],
    ]
    path = page.get_by_role("region", name="Regions that the path goes through").locator("tbody tr")
    assert [row.locator("td").all_inner_texts() for row in path.all()] == [["0", "2", "not male"], ["3", "5", "male"]]
    text = page.locator("#atlas").inner_text()
    assert "stuck in a local minimum" in text
    assert "The two maps differ in 49.4 % of their cells." in text
    for mark in ("star, the origin", "triangle, the code", "circle, the best attempt", "square, the runner-up"):
        assert mark in text


def test_another_case_has_its_own_map_and_back_returns(report, visit):
    page = visit(report, "atlas/0")
    page.locator("#atlas-case").select_option("1")
    page.wait_for_function("document.getElementById('atlas').textContent.includes('face 1: goal met')")
    text = page.locator("#atlas").inner_text()
    assert "square" not in text
    assert "circle, the solution" in text
    page.get_by_role("link", name="See the case").click()
    page.locator("#case:not([hidden])").wait_for()
    assert "img_0001" in page.locator("#case").inner_text()
    page.go_back()
    page.locator("#atlas:not([hidden])").wait_for()
    assert page.locator("#atlas-case").input_value() == "1"


# Pictures


def test_pictures_of_findings_and_atlas_are_embedded_byte_for_byte(run):
    record, folder = run
    data = data_of(build(record, folder))
    (before,), (after,) = record["findings"]["claims"], data["findings"]["claims"]
    pairs = [(before["mean_change"]["image"], after["mean_change"]["image"])]
    pairs += [
        (a["image"], b["image"]) for end in ("top", "bottom") for a, b in zip(before[end], after[end], strict=True)
    ]
    for a, b in zip(before["strips"], after["strips"], strict=True):
        pairs += [(a["image"], b["image"]), *zip(a["frames"], b["frames"], strict=True)]
    sheets = zip(record["atlas"]["cases"], data["atlas"]["cases"], strict=True)
    pairs += [(a["thumbs"]["image"], b["thumbs"]["image"]) for a, b in sheets]
    for name, place in pairs:
        assert base64.b64decode(data["pictures"][place][2].split(",")[1]) == (folder / name).read_bytes()


@pytest.mark.parametrize("rung", [LADDER[0], LADDER[8], LADDER[-1]])
def test_thinned_findings_keep_both_ends_and_their_lists_together(record, rung):
    thin = fewer(record, rung)
    for finding in (*thin["findings"]["claims"], *thin["findings"]["tested"]):
        assert len(finding["top"]) == len(finding["bottom"]) == min(20, rung.entries)
        for strip in finding["strips"]:
            assert len(strip["frames"]) == len(strip["labels"]) == len(strip["margins"]) <= rung.frames
            assert (strip["positions"][0], strip["positions"][-1]) == (-1.0, 1.0)
    told = left_out(record, rung)
    assert bool(told) == (rung != LADDER[0])
    assert ("At most 2 of 5 positions of each strip are pictured." in told) == (rung.frames == 2)
    assert ("At most 10 of 20 examples of each finding are shown." in told) == (rung.entries == 10)


def test_a_sheet_of_decoded_images_is_reduced_to_cells_of_whole_pixels(run):
    record, folder = run
    name = record["atlas"]["cases"][0]["thumbs"]["image"]
    Image.new("RGB", (3 * 300, 3 * 300)).save(folder / name)
    for rung in LADDER:
        asked = []
        pictured(fewer(record, rung), rung, lambda path, side, asked=asked: asked.append((path, side)))
        (side,) = {side for path, side in asked if path == name}
        assert side % 3 == 0
        assert side <= 900


def test_a_strip_of_uneven_lists_is_refused(run):
    record, folder = run
    record = copy.deepcopy(record)
    record["findings"]["tested"][0]["strips"][1]["labels"].pop()
    with pytest.raises(DataError, match="walk_1") as caught:
        build(record, folder)
    assert caught.value.slug == "report-frames"


def test_a_large_report_with_findings_still_fits(run):
    record, folder = run
    whole = build(record, folder).stat().st_size
    limit = int(0.6 * whole)
    path = build(record, folder, limit=limit)
    assert path.stat().st_size <= limit
    data = data_of(path)
    assert data["notices"][-1]["title"] == "Shortened to fit one file"
    assert len(data["findings"]["claims"]) == len(data["findings"]["tested"]) == 1
