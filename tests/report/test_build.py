import base64
import copy
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from amiss.errors import DataError
from amiss.report import build
from amiss.report.album import keep


class Blocks(HTMLParser):
    """Tags, attributes and the text of style and script blocks."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.blocks, self.policy, self._in = Counter(), [], [], "", None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [name for name, _ in attrs]
        attrs = dict(attrs)
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = attrs["content"]
        if tag in ("script", "style"):
            self._in = (tag, attrs.get("type"))
            self.blocks.append([*self._in, ""])

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in = None

    def handle_data(self, data):
        if self._in:
            self.blocks[-1][2] += data


def read(path):
    blocks = Blocks(path.read_text(encoding="utf-8"))
    (data,) = [text for _, kind, text in blocks.blocks if kind == "application/json"]
    return blocks, json.loads(data)


def test_policy_allows_exactly_the_blocks_of_the_page(run):
    record, folder = run
    blocks, _ = read(build(record, folder))
    rules = {rule.split()[0]: rule.split()[1:] for rule in blocks.policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        texts = [text for name, kind, text in blocks.blocks if name == tag and kind != "application/json"]
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert rules[rule] == [f"'sha256-{digest}'" for digest in digests]
    assert not [name for name in blocks.attributes if name.startswith("on") or name in ("style", "src")]


def test_nothing_points_outside(run):
    record, folder = run
    html = build(record, folder).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' ]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"@import|url\((?!#hatch)|\bimport\(|fetch\(|XMLHttp|innerHTML|insertAdjacent|\beval\(", html
    )
    assert str(folder) not in html


def test_hostile_names_stay_text(run, wild, attack):
    tame, _ = read(build(*run))
    blocks, data = read(build(*wild))
    assert blocks.tags == tame.tags
    assert len(blocks.blocks) == len(tame.blocks)
    assert data["cases"][0]["name"] == data["cases"][0]["repairs"][0]["frame_labels"][0] == attack


def test_a_name_that_is_no_text_can_be_written(run):
    record, folder = run
    record["title"] = record["cases"][0]["name"] = "caf\udce9.png"
    _, data = read(build(record, folder))
    assert data["cases"][0]["name"] == "caf\udce9.png"


def test_small_pictures_are_embedded_byte_for_byte_and_once(run):
    record, folder = run
    _, data = read(build(record, folder))
    for case, shown in zip(record["cases"], data["cases"], strict=True):
        uri = data["pictures"][shown["original"]][2]
        assert base64.b64decode(uri.split(",")[1]) == (folder / case["original"]).read_bytes()
        assert shown["repairs"][0]["image"] == shown["repairs"][0]["frames"][-1]
    assert len({uri for *_, uri in data["pictures"]}) == len(data["pictures"])


def test_not_a_number_becomes_null(run):
    record, folder = run
    record["cases"][0]["repairs"][0]["frame_margins"][1] = float("nan")
    record["robustness"]["low"][0] = float("-inf")
    _, data = read(build(record, folder))
    assert data["cases"][0]["repairs"][0]["frame_margins"][1] is None
    assert data["robustness"]["low"][0] is None


def test_large_runs_are_thinned_until_they_fit_and_say_so(run):
    record, folder = run
    rng = np.random.default_rng(0)
    for name in {case["original"] for case in record["cases"]}:
        noise = rng.integers(0, 256, (700, 500, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    path = build(record, folder, limit=700_000)
    assert path.stat().st_size <= 700_000
    _, data = read(path)
    note = data["notices"][-1]
    assert note["title"] == "Shortened to fit one file"
    assert "Pictures larger than" in note["text"]
    for case in data["cases"]:
        width, height, _ = data["pictures"][case["original"]]
        assert width / height == pytest.approx(5 / 7, rel=0.02)
        for repair in case["repairs"]:
            assert len(repair["frames"]) == len(repair["shown"])
            assert len(repair["frame_steps"]) == len(repair["frame_margins"]) == 9
            assert (repair["shown"][0], repair["shown"][-1]) == (0, 8)
    whole = build(record, folder, limit=10**9)
    assert whole.stat().st_size > 700_000


def test_a_report_that_fits_says_nothing_of_thinning(run):
    record, folder = run
    _, data = read(build(record, folder))
    assert data["notices"] == record["notices"]


@pytest.mark.parametrize("most", [2, 3, 5, 9])
@pytest.mark.parametrize("turn", [1, 17, 39])
def test_thinning_keeps_both_ends_and_the_turn(most, turn):
    labels = ["a"] * turn + ["b"] * (40 - turn)
    chosen = keep(labels, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= most
    assert {0, 39} <= set(chosen)
    assert most == 2 or turn in chosen
    assert keep(labels[:most], most) == list(range(most))


def test_what_cannot_fit_is_refused(run):
    record, folder = run
    with pytest.raises(DataError, match="report-too-large"):
        build(record, folder, limit=1000)


def _missing(record, folder):
    (folder / record["cases"][0]["repairs"][1]["frames"][2]).unlink()


def _outside(record, folder):
    (folder.parent / "secret.png").write_bytes(b"")
    record["cases"][0]["original"] = "../secret.png"


def _broken(record, folder):
    path = folder / record["cases"][0]["original"]
    path.write_bytes(path.read_bytes()[:90])


def _foreign(record, folder):
    (folder / record["fooled"][0]["image"]).write_bytes(b"GIF89a" + bytes(60))


def _uneven(record, folder):
    record["cases"][0]["repairs"][0]["frame_margins"].pop()


def _untitled(record, folder):
    del record["sentence"]


@pytest.mark.parametrize(
    ("spoil", "slug"),
    [
        (_missing, "report-image-missing"),
        (_outside, "report-image-outside"),
        (_broken, "report-image-broken"),
        (_foreign, "report-image-broken"),
        (_uneven, "report-frames"),
        (_untitled, "report-record"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_the_old_report_stays(run, spoil, slug):
    record, folder = run
    before = build(record, folder).read_bytes()
    spoil(record, folder)
    with pytest.raises(DataError) as caught:
        build(record, folder)
    assert caught.value.slug == slug
    assert caught.value.hint
    assert (folder / "report.html").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["images", "report.html"]


def test_an_empty_record_and_another_place(tmp_path):
    (tmp_path / "run").mkdir()
    path = build({"title": "t", "sentence": "Nothing was found."}, tmp_path / "run", tmp_path / "elsewhere.html")
    assert path == tmp_path / "elsewhere.html"
    _, data = read(path)
    assert data["cases"] == data["fooled"] == data["pictures"] == []


def test_the_record_is_left_as_it_was(run):
    record, folder = run
    before = copy.deepcopy(record)
    build(record, folder)
    assert record == before


def test_same_record_same_bytes(run):
    record, folder = run
    assert build(record, folder).read_bytes() == build(record, folder).read_bytes()


def test_importing_the_report_loads_no_template_engine():
    code = "import sys, amiss.report; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
