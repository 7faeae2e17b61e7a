"""The page in a real browser: what it asks for, what it shows, and what it does when somebody uses it."""

import re

import pytest
from PIL import Image

from amiss.report import build

ROUTES = (
    "overview",
    "findings",
    "cases",
    "case/0",
    "atlas",
    "robustness",
    "fooled",
    "nonsense",
    "imposters",
    "methods",
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = rgb(getComputedStyle(node).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.getClientRects().length) continue;
    if (node.closest("script, option")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(rgb(node instanceof SVGElement ? style.fill : style.color)), light(ground(node))];
    seen++;
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([walker.currentNode.textContent, ratio]);
  }
  return { seen, poor };
}"""


def turn(page, route):
    page.evaluate("route => { location.hash = '#/' + route }", route)
    page.locator(f"section#{route.split('/')[0]}:not([hidden]) h1").wait_for()


def names(page):
    return page.locator("#gallery .more .name:first-child").all_text_contents()


def test_every_section_opens_and_back_returns(report, visit):
    page = visit(report)
    for route in ROUTES[1:]:
        turn(page, route)
    for route in reversed(ROUTES[:-1]):
        page.go_back()
        page.locator(f"section#{route.split('/')[0]}:not([hidden]) h1").wait_for()
    assert page.locator("main > section:not([hidden])").count() == 1
    assert page.locator("#nav a[aria-current]").all_text_contents() == ["Overview"]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_off_the_side(report, hostile_report, visit, width):
    for path in (report, hostile_report):
        page = visit(path, width=width)
        for route in ROUTES:
            turn(page, route)
            wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= seen, route


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(report, visit, scheme):
    page = visit(report, scheme=scheme, reduced_motion="reduce")
    for route in ROUTES:
        turn(page, route)
        page.wait_for_timeout(60)
        measured = page.evaluate(CONTRAST)
        assert measured["seen"] > 15
        assert measured["poor"] == []


def test_overview_says_what_the_record_says(record, report, visit):
    page = visit(report)
    text = page.locator("#overview").inner_text()
    for words in (
        record["sentence"],
        "5,000 images: 4,588 right, 412 wrong, 0 unreadable",
        "Of 6 successes that the searches claimed, 6 held",
    ):
        assert words in text
    assert page.locator(".tile .value").all_text_contents() == [tile["value"] for tile in record["tiles"]]
    assert page.locator("#overview .card").count() == 6
    assert re.search(r"6\s+goal met\s+2\s+budget spent\s+8 in all", text)
    page.get_by_role("link", name="2 budget spent").click()
    page.locator("#cases:not([hidden])").wait_for()
    assert names(page) == ["photos/img_0003.png", "photos/img_0007.png"]


def without(record, *states):
    """The record without the flags of these states, and without gates."""
    return {**record, "flags": [f for f in record["flags"] if f["state"] not in states], "gates": []}


def test_flags_that_fired_stand_on_page_one_in_full_before_everything_but_the_verdict(record, report, visit):
    page = visit(report)
    fired = [flag for flag in record["flags"] if flag["state"] == "fired"]
    cards = page.locator(".flag")
    assert cards.count() == len(fired) == 2
    for flag, text in zip(fired, cards.all_inner_texts(), strict=True):
        for part in ("slug", "title", "measured", "threshold", "consequence", "remedy", "reference"):
            assert flag[part].replace("`", "") in text
        assert text.startswith(f"Fired, {flag['when']} the search")  # in words, whatever its color
    assert cards.locator("svg[aria-hidden=true]").count() == 2
    assert cards.locator("code").all_inner_texts() == ["square"]
    places = [page.locator(name).first.bounding_box()["y"] for name in (".tiles", ".trust", ".notices")]
    assert places == sorted(places)


def test_one_line_opens_the_table_of_all_checks_by_the_keyboard(record, report, visit):
    page = visit(report)
    summary, table = page.locator(".trust summary"), page.get_by_role("region", name="All checks")
    assert summary.inner_text() == "1 check clear, 1 not measured"
    assert not table.is_visible()
    page.locator("#nav a").last.focus()
    page.keyboard.press("Tab")  # to the switch of the keys, and on into the page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert table.is_visible()
    order = {"fired": "Fired", "clear": "Clear", "not measured": "Not measured"}
    flags = [(flag, word) for state, word in order.items() for flag in record["flags"] if flag["state"] == state]
    wanted = [[flag["slug"], word, flag["measured"], flag["threshold"]] for flag, word in flags]
    rows = table.locator("tbody tr")
    assert [row.locator("td").all_inner_texts() for row in rows.all()] == wanted
    assert rows.locator("svg").count() == len(wanted)
    page.keyboard.press("Enter")
    assert not table.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_opened_table_of_checks_has_contrast_and_fits_a_phone(report, visit, scheme):
    page = visit(report, width=390, scheme=scheme)
    page.locator(".trust summary").click()
    assert page.evaluate(CONTRAST)["poor"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    lines = page.locator(".trust th .name").evaluate_all("nodes => nodes.map((node) => node.getClientRects().length)")
    assert set(lines) == {1}  # no heading is broken within its word


@pytest.mark.parametrize(
    ("left_out", "line"),
    [
        (("fired",), "No check fired: 1 clear, 1 not measured"),
        (("fired", "not measured"), "No check fired: 1 clear"),
        (("fired", "clear"), "No check could be measured"),
        (("clear", "not measured"), "All checks"),
        (("not measured",), "1 check clear"),
    ],
)
def test_where_nothing_fired_there_is_one_calm_line(run, visit, left_out, line):
    record, folder = run
    page = visit(build(without(record, *left_out), folder))
    assert page.locator(".trust summary").inner_text() == line
    assert page.locator(".flag").count() == (0 if "fired" in left_out else 2)
    assert page.get_by_role("heading", name="Can this be believed?").count() == 1
    assert page.get_by_role("heading", name="Gates").count() == 0


@pytest.mark.parametrize("flags", [None, [], {"not": "a list"}])
def test_a_record_without_flags_has_no_such_section(run, visit, flags):
    record, folder = run
    page = visit(build({**record, "flags": flags, "gates": None}, folder))
    assert page.locator(".trust").count() == 0
    assert "believed" not in page.locator("#overview").inner_text()


def test_gates_stand_in_the_same_section(record, run, report, visit):
    page = visit(report)
    rows = page.get_by_role("region", name="Gates").locator("tbody tr")
    assert [row.locator("td").all_inner_texts() for row in rows.all()] == [
        ["mistakes_repaired>=0.9", "Met", "0.98"],
        ["robust_accuracy@8/255>=0.45", "Not met", "0.41, where at least 0.45 is needed"],
    ]
    page = visit(build({**record, "flags": [], "cases": [], "fooled": []}, run[1]))
    assert page.locator(".trust h2").all_inner_texts() == ["Gates"]


def test_filters_and_order(record, report, visit):
    page = visit(report, "cases")
    assert names(page) == [case["name"] for case in record["cases"]]
    page.select_option("#filter-true", "not male")
    page.select_option("#filter-outcome", "exhausted")
    wanted = [c["name"] for c in record["cases"] if c["true"] == "not male" and c["outcome"] == "exhausted"]
    assert names(page) == wanted != []
    assert page.locator("#tally").inner_text() == f"{len(wanted)} of 8 cases"
    page.locator("#gallery a").first.click()
    page.locator("#case:not([hidden])").wait_for()
    page.go_back()
    page.locator("#cases:not([hidden])").wait_for()
    assert names(page) == wanted
    page.select_option("#filter-true", "")
    page.select_option("#filter-outcome", "")
    page.select_option("#filter-sort", "large")
    assert names(page) == [case["name"] for case in reversed(record["cases"])]
    page.select_option("#filter-predicted", "male")
    page.select_option("#filter-true", "male")
    assert names(page) == []
    assert page.locator("#tally").inner_text() == "No case fits these filters."


def test_pictures_are_named_from_data(report, visit):
    page = visit(report, "cases")
    first = page.locator("#gallery .card").first
    assert first.locator("img").first.get_attribute("alt") == ("original, true 'not male', predicted 'male'")
    assert first.locator("img").last.get_attribute("alt") == "LSE, goal met, predicted 'not male'"
    playwright.expect(first.locator("canvas")).to_have_attribute("aria-label", re.compile(r"% of pixels"))


def test_the_scrubber_moves_picture_words_and_change(record, report, visit):
    repair = record["cases"][0]["repairs"][0]
    page = visit(report, "case/0")
    image, line = page.locator("#frame img"), page.locator("#case .film output")
    canvas = page.locator("#stage canvas")
    playwright.expect(canvas).to_have_attribute("aria-label", re.compile("change: (?!0 %)"))
    last = image.get_attribute("src")
    scrubber = page.locator("#scrubber")
    scrubber.focus()
    scrubber.press("Home")
    assert image.get_attribute("src") != last
    assert line.inner_text() == "Step 0: margin \u22121, called 'male'"
    playwright.expect(canvas).to_have_attribute(
        "aria-label", "change: 0 % of pixels moved by more than 0.05 of full range, the largest by 0"
    )
    for _ in repair["frames"][1:]:
        scrubber.press("ArrowRight")
    assert image.get_attribute("src") == last
    assert line.inner_text() == "Step 40: margin 0.52, called 'not male'"
    assert scrubber.get_attribute("aria-valuetext") == line.inner_text()
    assert page.locator(".film .chart .run").count() == 2
    assert page.locator(".film tbody tr").count() == len(repair["frames"])


def test_the_methods_stand_side_by_side(report, visit):
    page = visit(report, "case/3")
    assert page.locator(".beside h3").all_text_contents() == ["LSE", "LSE, plain decoding", "Pixel PGD"]
    assert page.locator("#case .beside dd:first-of-type").all_text_contents() == [
        "budget spent",
        "budget spent",
        "goal met",
    ]
    assert page.locator("#method-2").get_attribute("aria-pressed") == "true"
    page.click("#method-0")
    assert page.locator("#method-0").get_attribute("aria-pressed") == "true"
    assert "margin \u22120.2, called 'male'" in page.locator("#case .film output").inner_text()


def test_swipe_and_blink(report, visit):
    page = visit(report, "case/1")
    page.click("#mode-swipe")
    page.locator("#swipe").focus()
    page.keyboard.press("End")
    assert page.locator("#frame").evaluate("node => node.style.clipPath") == "inset(0px 0px 0px 100%)"
    page.keyboard.press("Escape")
    page.locator("#cases:not([hidden])").wait_for()
    turn(page, "case/1")
    page.click("#mode-blink")
    after = page.locator("#frame img").get_attribute("alt")
    page.keyboard.press("b")
    assert page.locator("#frame img").get_attribute("alt").startswith("original")
    page.keyboard.press("b")
    assert page.locator("#frame img").get_attribute("alt") == after


def test_keys_walk_open_and_leave(report, visit):
    page = visit(report, "cases")
    focused = "document.activeElement.getAttribute('href')"
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == f"#/case/{place}"
    page.keyboard.press("Enter")
    page.locator("#case:not([hidden])").wait_for()
    page.keyboard.press("j")
    playwright.expect(page.locator("#case")).to_contain_text("photos/img_0002.png")
    page.keyboard.press("Escape")
    page.locator("#cases:not([hidden])").wait_for()
    assert page.evaluate(focused) == "#/case/2"
    page.uncheck("#keys")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "keys"


def test_one_scale_for_all_maps_unless_stretched(report, visit):
    # A pixel's color is a function of its change alone, on every map. Stretching breaks that, and says so.
    page = visit(report, "case/0")
    read = """async (stretch) => {
      const colors = {};
      for (const item of DATA.cases.slice(0, 3)) {
        const canvas = document.createElement("canvas");
        const { values } = await change(item.original, item.repairs[0].image);
        await drawChange(canvas, item.original, item.repairs[0].image, stretch);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        values.forEach((value, i) => (colors[value] ||= new Set()).add(data.slice(4 * i, 4 * i + 3).join()));
      }
      return Math.max(...Object.values(colors).map((set) => set.size));
    }"""
    assert page.evaluate(read, False) == 1
    assert page.evaluate(read, True) > 1
    assert "own largest" not in page.locator("#case .legend").inner_text()
    page.check("#case-stretch")
    assert "own largest" in page.locator("#case .legend").inner_text()


def test_robustness_curve_has_a_table_twin(report, visit):
    page = visit(report, "robustness")
    assert page.locator("#robustness .dot").count() == 5
    cells = page.locator("#robustness tbody tr").last.locator("td").all_text_contents()
    assert cells == ["0.05", "12 %", "8 % to 17 %"]


def test_cells_below_the_bar_are_gray_and_say_so(report, visit):
    page = visit(report, "fooled")
    assert "6 of 8 classes" in page.locator("#fooled").inner_text()
    below = page.locator("#fooled li.below")
    assert below.locator("b").all_text_contents() == ["class 0", "class 4"]
    assert all("below the bar" in text for text in below.all_inner_texts())
    assert page.locator("#fooled td").all_text_contents() == ["energy", "92%"]
    assert page.locator("#fooled h2").inner_text() == "What would reject it"


def test_sections_without_data_are_left_out_with_a_line(tmp_path, visit):
    record = {"title": "t", "sentence": "Nothing was found.", "cases": [], "robustness": None, "fooled": []}
    page = visit(build(record, tmp_path))
    assert page.locator("#nav a").all_text_contents() == ["Overview", "Methods"]
    text = page.locator("#overview").inner_text()
    assert "unnamed" not in text
    assert "?" not in text
    for title in ("Cases", "Robustness", "Fooled"):
        assert f"{title}: no" in text
    turn(page, "methods")
    page.evaluate("location.hash = '#/cases'")
    page.locator("#overview:not([hidden])").wait_for()


def test_hostile_labels_execute_nothing(report, hostile_report, attack, visit):
    scripts = visit(report).locator("script").count()  # the page's own, and its data
    page = visit(hostile_report)
    for route in ROUTES:
        turn(page, route)
        assert "owned" not in page.evaluate("document.title").replace(attack, "")
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("script").count() == scripts
    turn(page, "overview")
    assert page.locator(".flag h3 .name").first.evaluate("node => node.textContent") == attack
    assert page.locator(".flag").count() == 2
    assert page.locator(".trust summary").inner_text() == "1 check clear, 2 not measured"
    turn(page, "case/0")
    shown = page.locator("#case h1 .name").first.evaluate("node => node.textContent")
    assert shown == attack


def test_paper_shows_all_sections(report, visit):
    page = visit(report)
    page.emulate_media(media="print")
    assert page.locator("#gallery .card").count() == 8
    assert page.locator(".rail").bounding_box()["height"] < 100
    shown = page.locator("main > section:visible").evaluate_all("nodes => nodes.map((node) => node.id)")
    sections = ["overview", "findings", "cases", "atlas", "robustness", "fooled", "nonsense", "imposters", "methods"]
    assert shown == sections
    assert not page.locator("#nav").is_visible()
    checks = page.get_by_role("region", name="All checks")
    for event, visible in (("beforeprint", True), ("afterprint", False)):
        page.evaluate("event => { dispatchEvent(new Event(event)) }", event)
        assert checks.is_visible() == visible
    assert page.locator(".trust summary").is_visible()
    page.locator(".trust details").evaluate("node => { node.open = true }")
    page.evaluate("['beforeprint', 'afterprint'].forEach((event) => dispatchEvent(new Event(event)))")
    assert checks.is_visible()  # what the reader opened stays open


def test_without_scripts_the_sentence_is_still_there(record, report, visit):
    page = visit(report, java_script_enabled=False)
    assert record["sentence"] in page.locator("main").inner_text()


def test_other_searches_are_not_called_repairs(run, visit):
    record, folder = run
    words = {"cases_title": "What was found", "cases_note": "Each row: one thing.", "cases_word": "Result"}
    page = visit(build({**record, **words}, folder))
    section = page.locator("#overview").inner_text()
    assert "What was found" in section and "Each row: one thing." in section
    assert "made them right" not in section and "repaired image" not in section
    turn(page, "case/0")
    assert page.locator("#caption").inner_text() == "Result"
    page.locator("#mode-swipe").click()
    assert "result on the right" in page.locator("#stage").inner_text()


def test_a_page_that_read_nothing_back_says_so(run, visit):
    record, folder = run
    for case in record["cases"]:
        case["verified"] = None
        for repair in case["repairs"]:
            repair["verified"] = None
    read = visit(build(record, folder)).locator("#overview")
    assert "No success shown here held when read back from disk." in read.inner_text()
    del record["verified"]
    unread = visit(build(record, folder, folder / "unread.html")).locator("#overview")
    assert "Nothing shown here was read back from disk." in unread.inner_text()


def test_thinned_searches_keep_their_whole_chart(tmp_path, run, visit):
    record, folder = run
    page = visit(build(record, folder, limit=360_000), "case/0")
    pictures = page.locator("#scrubber").evaluate("node => Number(node.max) + 1")
    assert pictures < 9
    assert page.locator(".film tbody tr").count() == 9
    assert "Shortened to fit one file" in page.locator("#overview").text_content()
    page.locator(".film .chart svg").click(position={"x": 50, "y": 100})
    assert page.locator("#case .film output").inner_text().startswith("Step 0:")
    playwright.expect(page.locator("#stage canvas")).to_have_attribute("aria-label", re.compile("largest by 0$"))


def test_a_result_that_is_not_the_last_step_is_a_stop_of_its_own(run, visit):
    record, folder = run
    repair = record["cases"][0]["repairs"][0]
    repair["image"] = repair["frames"][-2]
    page = visit(build(record, folder), "case/0")
    image, scrubber = page.locator("#frame img"), page.locator("#scrubber")
    kept = image.get_attribute("src")
    assert page.locator("#case .film output").inner_text() == "Result: margin 0.52, goal met"
    scrubber.press("ArrowLeft")
    assert page.locator("#case .film output").inner_text().startswith("Step 40:")
    assert image.get_attribute("src") != kept
    scrubber.press("ArrowLeft")
    assert page.locator("#case .film output").inner_text().startswith("Step 35:")
    assert image.get_attribute("src") == kept


def test_imposters_stand_beside_source_guide_and_change(record, report, visit):
    page = visit(report, "imposters")
    likes, text = record["imposters"], page.locator("#imposters").inner_text()
    for words in (likes["sentence"], *likes["notes"], "400 in conv2, 400 in fc1", "Label adversaries"):
        assert words in text
    # The last layer at the bound nearest to ten gray levels is shown first; another is one choice away.
    which = page.locator("#imposters-which")
    assert which.input_value() == "3"
    assert which.locator("option").all_inner_texts() == [
        f"{row['layer']} at {row['delta']}" for row in likes["table"]
    ]
    rows = page.locator("#imposters .quads > li")
    assert rows.count() == 3
    pictures = rows.first.locator("img")
    assert [pictures.nth(i).get_attribute("alt") for i in range(3)] == [
        "source, photos/source_0.png, true 'male'",
        "guide, photos/guide_0.png, true 'not male'",
        "imposter, called 'not male'",
    ]
    # Every change is drawn, scrolled to or not: paper shows them all.
    for canvas in page.locator("#imposters .quads canvas").element_handles():
        page.wait_for_function("node => node.getAttribute('aria-label').includes('of pixels')", arg=canvas)
    assert "no pixel moved by more than 10 gray levels of 255" in rows.first.inner_text()
    assert "26 times where that is the whole bound" in text
    assert "called not male" in rows.first.inner_text() and "0 of 3 neighbors the guide's" in rows.first.inner_text()
    which.select_option("0")
    assert "called male" in rows.first.inner_text() and "R1 0.75" in rows.first.inner_text()


def test_numbers_on_imposters_are_those_of_the_record(record, report, visit):
    page = visit(report, "imposters")
    likes = record["imposters"]
    table = page.get_by_role("region", name="Imposters by layer and bound").locator("tbody tr")
    assert table.count() == len(likes["table"])
    assert table.first.locator("td").all_inner_texts()[:4] == ["conv2", "5/255", "24", "0.75"]
    others = page.get_by_role("region", name="What other models say").locator("tbody tr")
    assert [row.locator("td").first.inner_text() for row in others.all()] == [
        "resnet18 (itself)",
        "other.py:net, at 64 pixels",
    ]
    text = page.locator("#imposters").inner_text()
    assert "The imposters of fc1 at 10/255. Beside each share" in text
    assert "The imposters are those of fc1 at 10/255." in text and "R1 is 0.25 here" in text
    assert page.locator("#imposters .swatches").first.locator("li").all_inner_texts() == ["conv2", "fc1"]
    lines = page.locator("#imposters .curve[stroke-dasharray]").all()
    assert len({line.get_attribute("class") for line in lines}) == 2
    cells = others.first.locator("td").all_inner_texts()
    assert cells[1:4] == ["22 of 24", "30% (20\u201340%)", "4%"] and cells[-1] == "\u2013"
    units = page.get_by_role("region", name="Active units").locator("tbody tr")
    assert units.nth(1).locator("td").all_inner_texts() == ["label adversaries", "60", "1.5", "0.9", "0.6"]
    strips = page.locator("#imposters canvas.units")
    assert strips.count() == 3
    assert "nearer to those of the guide" in strips.first.get_attribute("aria-label")
    chart = page.locator("#imposters .small-charts svg").first
    assert "imposters 0.5, label adversaries 1" in chart.get_attribute("aria-label")
    assert page.locator("#imposters .inverted img").count() == 2 * 2 * 3
    assert page.locator("#imposters .inverted img").first.get_attribute("alt") == "found from conv2 of the source"


def test_imposters_of_an_audit_are_one_layer_and_one_bound(record, tmp_path, visit):
    likes = record["imposters"]
    few = {**likes, "table": likes["table"][:1], "notes": [], "transfer": [], "metrics": [], "inversion": []}
    few |= {"rows": [], "strips": [], "sparsity": [], "among": likes["among"][:1]}
    none = {"cases": [], "fooled": [], "findings": None, "atlas": None, "nonsense": None}
    page = visit(
        build({**record, **none, "imposters": few}, tmp_path),
        "imposters",
    )
    assert page.locator("#imposters-which").count() == 0
    text = page.locator("#imposters").inner_text()
    assert "No pair of this layer and bound is pictured." in text and "Among natural images" not in text
    assert page.locator("#imposters .chart").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_strips_of_film_have_their_shape_and_stand_one_above_the_other(run, visit, width):
    record, folder = run
    film = folder / "images" / "film.png"
    Image.new("L", (72, 8), 90).save(film)
    for item in record["cases"]:
        item["original"] = "images/film.png"
    page = visit(build(record, folder), width=width)
    box = page.locator("#overview .triptych .frame").first.bounding_box()
    below = page.locator("#overview .triptych .frame").nth(1).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(9, rel=0.05)
    assert below["x"] == box["x"] and below["y"] > box["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
