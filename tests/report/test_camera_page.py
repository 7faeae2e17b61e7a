"""The section before a camera: each share at its place, each photograph with what was said, no way out for names."""

import copy
from pathlib import Path

import pytest
from PIL import Image

from amiss.report import build
from tests.report.conftest import HOSTILE

MAP = [[0.0, 0.25, 1.0], [0.5, 0.999, 0.001]]
PLACES = ["from the front, at 1", "nearer, at 1.5"]


def drawn(folder: Path) -> dict:
    """A record with a camera, and its pictures."""
    (folder / "images").mkdir(parents=True)
    for i, name in enumerate("abc"):
        Image.new("RGB", (8, 8), (60 * i, 100, 50)).save(folder / f"images/{name}.png")

    def row(kind, image):
        shots = [{"image": f"images/{name}.png", "says": "stop", "met": name == "c"} for name in "bc"]
        return {
            "kind": kind,
            "title": f"title of {kind}",
            "image": image,
            "says": "yield",
            "met": True,
            "shots": shots,
        }

    kinds = ("clean", "single", "eot")
    part = {"what": "named wrongly", "share": 0.5, "low": 0.4, "high": 0.6, "of_right": 0.25, "images": 4}
    part |= {"photographs": 40, "scales": [0.5, 1.0], "tilts": [-45.0, 0.0, 45.0], "map": MAP, "of": 8}
    return {
        "title": "m before a camera",
        "sentence": "Of 4 images before a camera, half are named rightly.",
        "figures": {},
        "camera": {
            "sentence": "Of 4 images before a camera, half are named rightly.",
            "text": ["How it was done."],
            "parts": [{**part, "name": kind, "title": f"Title of {kind}"} for kind in kinds],
            "places": PLACES,
            "examples": [{"name": "a.png", "true": "stop", "rows": [row(kind, "images/a.png") for kind in kinds]}],
            "sheet": {"file": "sheet.svg", "millimeters": 80.0, "pictures": ["a.png"], "cut": True},
            "limits": ["Nothing was photographed."],
        },
    }


def test_each_share_stands_at_its_size_and_angle(tmp_path, visit):
    page = visit(build(drawn(tmp_path), tmp_path), "camera")
    maps = page.locator("#camera .small-charts svg")
    assert maps.count() == 3
    said = maps.first.locator("text.on, text.strong").all_text_contents()
    assert said == ["0", "25", "100", "50", "99", "1"]
    opaque = [float(cell.get_attribute("fill-opacity")) for cell in maps.first.locator("rect.heat").all()]
    assert opaque == [share for row in MAP for share in row]
    # In words a share is all or none only where it is all or none.
    assert "size 1: 50%, over 99%, under 1%" in maps.first.get_attribute("aria-label")
    table = page.locator("#camera table").first.inner_text()
    assert "40% to 60%" in table and "25%" in table


def test_a_photograph_that_is_no_success_is_framed_otherwise(tmp_path, visit):
    page = visit(build(drawn(tmp_path), tmp_path), "camera")
    rows = page.locator("#camera .shots")
    assert rows.count() == 3
    assert [rows.nth(i).locator("figure.below").count() for i in range(3)] == [0, 1, 1]
    assert rows.nth(1).locator("img").nth(1).get_attribute("alt") == f"{PLACES[0]}, called 'stop'"
    assert page.locator("#camera img").count() == 9
    assert "a sticker to cut out" in page.locator("#camera").inner_text()


def test_a_page_without_a_sheet_says_why(tmp_path, visit):
    record = drawn(tmp_path)
    record["camera"]["sheet"] = None
    assert "there is no sheet to print" in visit(build(record, tmp_path), "camera").locator("#camera").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window(tmp_path, visit, width, scheme):
    page = visit(build(drawn(tmp_path), tmp_path), "camera", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ends = page.locator("#camera svg").evaluate_all("all => all.map((svg) => svg.getBoundingClientRect().right)")
    assert max(ends) <= width


def test_names_command_nothing(tmp_path, visit):
    record = copy.deepcopy(drawn(tmp_path))
    film = record["camera"]
    record |= {"title": HOSTILE, "sentence": HOSTILE}
    film |= {"sentence": HOSTILE, "text": [HOSTILE], "limits": [HOSTILE], "places": [HOSTILE, HOSTILE]}
    film["sheet"] |= {"file": HOSTILE, "pictures": [HOSTILE]}
    for part in film["parts"]:
        part |= {"title": HOSTILE, "what": HOSTILE}
    for example in film["examples"]:
        example |= {"name": HOSTILE, "true": HOSTILE}
        for row in example["rows"]:
            row |= {"title": HOSTILE, "says": HOSTILE}
            for shot in row["shots"]:
                shot["says"] = HOSTILE
    page = visit(build(record, tmp_path), "camera")
    assert page.title() != "owned" and page.locator("#camera img[src=x]").count() == 0
    assert page.locator("#camera img").count() == 9
