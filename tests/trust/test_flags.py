"""The record of a flag: its table, its words, and how flags of several probes become one."""

import json
import re
from dataclasses import fields

import pytest

from amiss.trust import KINDS, Flag, combined
from amiss.trust.flags import found, unmeasured
from tests.docs.pages import ROOT, headings

BEFORE = [
    "parity",
    "probabilities",
    "randomness",
    "train-mode",
    "batch-dependence",
    "input-range",
    "gradient-missing",
]
BEFORE += ["gradient-zero", "gradient-not-finite", "gradient-masked", "class-count", "decoder-reconstruction"]
BEFORE += ["decoder-agreement"]
AFTER = ["eight-bit", "not-finite", "random-direction", "black-box-better", "not-converged", "eps-huge"]


def test_every_flag_is_in_the_table_and_in_the_page():
    assert [slug for slug, kind in KINDS.items() if kind.when == "before"] == BEFORE
    assert [slug for slug, kind in KINDS.items() if kind.when == "after"] == AFTER
    documented = [heading.strip("`") for heading in headings(ROOT / "docs" / "trust.md", 3)]
    assert documented == list(KINDS)


@pytest.mark.parametrize("slug", list(KINDS))
def test_a_flag_says_everything_and_is_plain_json(slug):
    flag = found(slug, True, 0.25, "a quarter of 8")
    values = flag.to_json()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert list(values) == [field.name for field in fields(Flag)]
    assert all(values[name] for name in values)
    assert flag.fired and flag.state == "fired" and flag.when == KINDS[slug].when
    assert not re.search(r"[{}]", flag.threshold)
    assert flag.title[0].isupper() and not flag.title.endswith(".")
    for text in (flag.consequence, flag.remedy):
        assert text[0].isupper() and text.endswith(".")


@pytest.mark.parametrize(("slug", "limit"), [("parity", "2%"), ("gradient-masked", "50%"), ("input-range", "0.25")])
def test_the_threshold_in_words_is_the_number(slug, limit):
    assert limit in found(slug, False, 0.0, "").threshold


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_value_is_a_number_or_none(value):
    assert found("parity", True, value, "no number").value is None


def test_a_flag_without_a_measurement_has_not_fired():
    flag = unmeasured("parity", "nobody said")
    assert (flag.fired, flag.state, flag.value, flag.measured) == (False, "not measured", None, "nobody said")


def test_flags_of_several_probes_become_one_that_names_those_who_speak():
    one = (
        found("eps-huge", False, 1.0, "all of 3"),
        unmeasured("eight-bit", "no files"),
        found("not-finite", False, 0, "0 of 3"),
    )
    two = (found("eps-huge", True, 0.5, "2 of 4"), unmeasured("eight-bit", "none"), unmeasured("not-finite", "why"))
    huge, bits, finite = combined({"PGD": one, "LSE": two})
    assert (huge.slug, huge.state, huge.value, huge.measured) == ("eps-huge", "fired", 0.5, "LSE: 2 of 4")
    assert (bits.state, bits.measured) == ("not measured", "PGD: no files; LSE: none")
    assert (finite.state, finite.value, finite.measured) == ("clear", 0, "PGD: 0 of 3")
    assert combined({}) == ()


def test_the_page_says_what_the_flags_say():
    page = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    for slug, kind in KINDS.items():
        section = " ".join(page.partition(f"### `{slug}`")[2].partition("\n## ")[0].partition("\n### ")[0].split())
        for text in (
            kind.title,
            kind.threshold.format(limit=kind.limit),
            kind.consequence,
            kind.remedy,
            kind.reference,
        ):
            assert text in section, f"{slug}: {text}"
        assert "- Measured: " in section
