"""The bench of trust in its quick form: every part, one seed, in under a minute each."""

import json
from pathlib import Path

from amiss.bench import bench as benches

ROOT = Path(__file__).parents[2]


def test_trust_in_its_quick_form(amiss, monkeypatch):
    monkeypatch.chdir(ROOT)
    file = Path.cwd() / "runs" / "trust-quick-test.json"
    file.unlink(missing_ok=True)
    said = amiss("bench", "trust", "--quick", "--json", str(file))
    assert said.code == 0, said.out + said.err
    book = json.loads(file.read_text())
    bars = benches.load_bench("trust").bars
    assert set(bars) - {"hostile_name_failures"} <= set(book["figures"])  # that one needs a browser
    file.unlink()
