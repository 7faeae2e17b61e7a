"""The card of a run: its front matter, its sections, and names that stay text."""

import json
import re

import pytest

from amiss.report.card import card

SECTIONS = [
    "Intended use",
    "Data",
    "What was probed",
    "Findings",
    "What this does not show",
    "Trust flags",
    "Versions",
]


def front(text):
    """The metrics of the model index: a few lines of YAML whose quoted words are JSON."""
    block = text.split("---\n")[1]
    rows = re.findall(r'^    - \{type: ("[^"]*"), value: (.*)\}$', block, re.MULTILINE)
    (name,) = re.findall(r"^- name: (.*)$", block, re.MULTILINE)
    return json.loads(name), {json.loads(name): json.loads(value) for name, value in rows}


def test_metrics_stand_in_the_front_matter_and_sections_in_their_order(record):
    figures = {"accuracy": 0.918, "mistakes": 412, "robust_accuracy@8/255": 0.41}
    text = card({**record, "figures": figures})
    assert front(text) == ("resnet18", figures)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert f'revision: "{"cd" * 32}"' in text


def test_findings_are_told_with_their_intervals_and_limits(record):
    text = card(record)
    for words in (
        "### hair (suggested name): male called not male",
        "Verdict: claimed: used more than the truth follows it.",
        "34 mistakes; tested on 500 images",
        "Wald z -12.3, where a claim needs -5 or lower",
        "AUC of the position with the answers 0.80, with the truth 0.54",
        "at length 4.8: breaks 54% (44% to 64%, n = 80) of right answers",
        "repairs 90% (80% to 100%, n = 34) of mistakes; 20 other directions break 15%, at most 24%",
        "until it reads like real images of the other half: breaks 48% (38% to 58%, n = 60) of right answers further",
        "what real images of the other half suggest: 50% (40% to 60%, n = 60) of right answers would be wrong",
        "the same images in truth, hair redrawn: breaks 43% (33% to 53%, n = 60) of right answers further",
        "### A change without a name: male called not male",
        "Too few mistakes, below 20: not male called male (7).",
        "- Data that share the shortcut cannot show it.",
        "- accuracy within 0.03: 41.0% (35.0% to 47.0%, n = 256)",
        "**fired**: A radius without bounds does not break everything. 20 of 32 images (62 %).",
        "clear: probabilities",
        "not measured: parity",
    ):
        assert words in text, words


@pytest.mark.parametrize("lacking", ["findings", "robustness", "flags", "figures", "versions", "methods", "command"])
def test_what_a_record_lacks_is_left_out(record, lacking):
    text = card({name: value for name, value in record.items() if name != lacking})
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert ("was not looked for in this run" in text) == (lacking == "findings")


def test_what_was_not_measured_is_said_and_no_number_is_made_up(record):
    nothing = {"share": None, "low": None, "high": None, "n": 0}
    claim = {**record["findings"]["claims"][0], "wald": None, "measured": None, "truth": None}
    effect = {"length": 2.0, "breaks": nothing, "repairs": nothing, "control": {"mean": None, "most": None, "n": 0}}
    found = {**record["findings"], "claims": [{**claim, "effects": [effect, {**effect, "control": None}]}]}
    text = card({**record, "findings": found})
    assert "Wald z not measured" in text
    assert "None" not in text
    assert "nan" not in text.split("## Data")[1].lower()


def test_names_are_text_and_never_markup(record, wild, attack):
    tame, text = card(record), card(wild[0])
    pattern = re.compile(r"^(#+ |- |---)", re.MULTILINE)
    assert pattern.findall(text).count("## ") == pattern.findall(tame).count("## ") == len(SECTIONS)
    assert pattern.findall(text).count("---") == 2
    body = text.split("---\n", 2)[2]
    assert not re.search(r"(?<!\\)[<>]", body)
    assert front(text)[0] == attack


def test_a_name_that_is_no_text_and_one_of_many_lines_can_be_written(record):
    text = card({**record, "model": "caf\udce9", "sentence": "one\n## two\n---\nthree"})
    text.encode()
    assert front(text)[0] == "caf\\udce9"
    assert "one \\#\\# two --- three" in text
