"""The page of a camera and the sheet to print: numbers where they belong, true sizes, and no way out for names."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.analysis.viewing import ViewMap, view_map
from amiss.errors import UsageError
from amiss.report.camera import Example, Shot, Sight, heat_map, write_camera
from amiss.report.sheet import png, printable_sheet
from amiss.transforms import View

PICTURE = torch.arange(3 * 4 * 4).reshape(3, 4, 4) / 47
MAP = ViewMap((0.5, 1.0), (-45.0, 0.0, 45.0), ((0, 2, 4), (1, 3, 4)), 4)
HOSTILE = '</style><script>alert(1)</script>"&'


def test_a_map_judges_each_place_and_leaves_the_rest_of_the_view():
    def judge(view):
        assert view.rotation == (-30, 30) and view.scale[0] == view.scale[1]
        return torch.arange(4) < view.scale[0] * 2 + (view.tilt[0] > 0)

    seen = view_map(judge, (0.5, 1.0), (-45, 45), View(rotation=(-30, 30)))
    assert seen == ViewMap((0.5, 1.0), (-45, 45), ((1, 2), (2, 3)), 4)
    assert seen.share(1, 1) == 0.75 and seen.mean == 0.5


def test_a_heat_map_tells_every_share_at_its_place():
    drawing = ET.fromstring(str(heat_map(MAP)))
    texts = {(float(t.get("x")), float(t.get("y"))): t.text for t in drawing.iter("{http://www.w3.org/2000/svg}text")}
    cells = [(x, y) for (x, y), words in texts.items() if re.fullmatch(r"\d\.\d\d", words)]
    rows, columns = sorted({y for _, y in cells}), sorted({x for x, _ in cells})
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            assert texts[x, y] == f"{MAP.share(i, j):.2f}"
    assert len(cells) == 6 and {"0.5", "1", "-45°", "0°", "45°"} <= set(texts.values())
    fills = [r.get("fill") for r in drawing.iter("{http://www.w3.org/2000/svg}rect")]
    assert fills[0] != fills[1] and fills[2] == fills[5]


def test_a_page_shows_what_it_is_given_and_runs_nothing(tmp_path):
    shots = [Shot(PICTURE, HOSTILE, True), Shot(PICTURE, "yield", False)]
    example = Example(PICTURE, PICTURE, "stop", HOSTILE, shots)
    path = write_camera(tmp_path / "page.html", HOSTILE, HOSTILE, [Sight(HOSTILE, HOSTILE, MAP, [example])])
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html and "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert html.count('class="met"') == 1 and html.count('class="lost"') == 1
    assert "default-src 'none'" in html.replace("&#39;", "'")
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    assert len(pictures) == 4
    assert len(set(pictures)) == 1


def test_a_png_holds_the_bytes():
    held = np.asarray(Image.open(io.BytesIO(png(PICTURE))))
    assert np.array_equal(held, (PICTURE * 255).round().byte().permute(1, 2, 0).numpy())
    gray = np.asarray(Image.open(io.BytesIO(png(PICTURE[:1], times=3))))
    assert gray.shape == (12, 12, 3) and np.array_equal(gray[::3, ::3, 0], held[..., 0])
    half = torch.zeros(4, 4, dtype=torch.bool)
    half[:, 2:] = True
    cut = np.asarray(Image.open(io.BytesIO(png(PICTURE, half))))
    assert np.array_equal(cut[..., 3] > 0, half.numpy())


def test_a_sheet_has_true_sizes(tmp_path):
    names = ["one", "<b>&two", "three"]
    path = printable_sheet(tmp_path / "sheet.svg", PICTURE.expand(3, -1, -1, -1), names, 60.0)
    sheet = ET.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert (sheet.get("width"), sheet.get("height"), sheet.get("viewBox")) == ("210mm", "297mm", "0 0 210 297")
    places = []
    for image in sheet.iter(f"{space}image"):
        x, y, w, h = (float(image.get(k)) for k in ("x", "y", "width", "height"))
        assert (w, h) == (60, 60) and x >= 10 and x + w <= 200 and y + h <= 287
        places.append((x, y))
        held = Image.open(io.BytesIO(base64.b64decode(image.get("href").partition(",")[2])))
        assert held.size[0] % 4 == 0 and held.size[0] >= 90  # coarse pixels, kept as squares
    assert len(set(places)) == 3
    assert {t.text for t in sheet.iter(f"{space}text")} >= set(names)
    assert "h100" in next(sheet.iter(f"{space}path")).get("d")


@pytest.mark.parametrize(("n", "names", "wide"), [(2, 1, 60), (0, 0, 60), (1, 1, 200), (1, 1, 0), (13, 13, 60)])
def test_what_does_not_fit_is_refused(n, names, wide, tmp_path, refuses):
    with refuses(UsageError, "sheet-fit"):
        printable_sheet(tmp_path / "sheet.svg", torch.zeros(n, 3, 4, 4), ["a"] * names, wide)
    assert not list(tmp_path.iterdir())
