"""The page of a trade-off: points where their numbers are, confidences not rounded up, names that stay text."""

import math
import re
import xml.etree.ElementTree as ET

import torch

from amiss.analysis.trade import TradeOff
from amiss.report.trade import Curve, trade_chart, write_trade_off

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</style><script>alert(1)</script>"&'
SOURCE = torch.arange(3 * 3 * 4 * 4, dtype=torch.uint8).view(3, 3, 4, 4)
TRADE = TradeOff(
    settings=(0.5, 0.999),
    confidence=torch.tensor([[0.5, 0.5, 0.9], [0.99999, 1.0, 0.999]], dtype=torch.float64),
    l2=torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 3.5]], dtype=torch.float64),
    linf=torch.tensor([[1.0, 2.0, 3.0], [5.0, 10.0, 7.0]], dtype=torch.float64) / 255,
    met=torch.ones(2, 3, dtype=torch.bool),
    source=SOURCE,
    before=torch.tensor([1e-9, 0.001, 0.1], dtype=torch.float64),
    images=torch.stack([SOURCE, 255 - SOURCE]),
)


def test_points_lie_at_their_numbers():
    drawing = ET.fromstring(str(trade_chart(TRADE)))
    assert len(list(drawing.iter(f"{SVG}polyline"))) == 6  # a line a sample in either panel
    texts = [(float(t.get("x")), float(t.get("y")), t.text) for t in drawing.iter(f"{SVG}text")]
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in drawing.iter(f"{SVG}circle")]
    heights = {words: y - 4 for _, y, words in texts if words.endswith(" %")}
    assert len(heights) == 8
    middle, top = heights["50 %"], heights["99.99 %"]
    unit = (middle - top) / math.log(0.9999 / 0.0001)
    assert abs(heights["90 %"] - (middle - unit * math.log(9))) < 0.1  # log-odds
    assert dots[0][1] == dots[2][1] and abs(dots[0][1] - middle) < 0.1
    assert abs(dots[1][1] - top) < 0.1  # what is above the last tick is drawn at it
    left = [(x, float(words)) for x, _, words in texts if re.fullmatch(r"[\d.]+", words) and x < 380]
    (zero, _), (one, value) = left[0], left[1]
    scale = (one - zero) / value
    assert [round((x - zero) / scale, 2) for x, _ in dots[:2]] == [2.0, 3.5]


def test_a_chart_of_nothing_moved_is_drawn():
    still = TRADE.__class__(**{**vars(TRADE), "l2": torch.zeros(2, 3), "linf": torch.zeros(2, 3)})
    ET.fromstring(str(trade_chart(still)))


def test_the_page_shows_what_it_is_given_and_runs_nothing(tmp_path):
    curve = Curve(HOSTILE, HOSTILE, TRADE, ["half", HOSTILE], [HOSTILE, "two"])
    path = write_trade_off(tmp_path / "page.html", HOSTILE, HOSTILE, [curve])
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html and "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in html.replace("&#39;", "'")
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    assert len(pictures) == 6 and len(set(pictures)) == 4
    assert "under 0.01 %" in html
    assert "99.99 %, L2 2.00" in html  # not 100 %
    assert "<td>half</td><td>50 %</td><td>2.00</td><td>2</td>" in html
