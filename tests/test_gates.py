"""Gates: what is written is what is read, numbers compare as numbers, and what was not measured meets nothing."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import DataError, UsageError
from amiss.gates import Gate, judge, junit, parse, refuse_unknown, to_json

FIGURES = {
    "accuracy": 0.9,
    "mistakes": 12,
    "mistakes_repaired": "there was no mistake to repair",
    "robust_accuracy@1/255": 0.8,
    "robust_accuracy@8/255": 0.4,
    "robust_accuracy@0.1": "no attacked image was right before",
}
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SIGNS = st.sampled_from([">=", "<=", ">", "<", "=="])
SIZES = st.floats(min_value=0, max_value=1e12, allow_nan=False)
BLANKS = st.sampled_from(["", " ", "  "])


@st.composite
def numbers(draw):
    """The text of a number that is not negative, and the number."""
    if draw(st.booleans()):
        value = draw(SIZES)
        return repr(value), value
    above, below = draw(st.integers(0, 10**6)), draw(st.integers(1, 10**6))
    return f"{above}/{below}", above / below


@given(NAMES, st.none() | numbers(), SIGNS, numbers(), st.sampled_from(["", "-", "+"]), BLANKS)
def test_what_is_written_is_what_is_read(name, radius, sign, number, lead, blank):
    at = "" if radius is None else f"@{radius[0]}"
    text = f"{name}{at}{blank}{sign}{blank}{lead}{number[0]}"
    gate = parse(f" {text} ")
    assert gate == Gate(name, radius and radius[1], sign, -number[1] if lead == "-" else number[1], text)
    assert str(gate) == text
    assert parse(str(gate)) == gate


@given(SIGNS, SIZES, SIZES)
def test_a_sign_means_what_it_says(sign, value, bound):
    by_hand = {">=": value >= bound, "<=": value <= bound, ">": value > bound, "<": value < bound}
    gate = Gate("x", None, sign, bound, "")
    near = math.isclose(value, bound, rel_tol=1e-8)
    if value == bound:
        assert gate.holds(value) == (sign in (">=", "<=", "=="))
    elif not near:
        assert gate.holds(value) == by_hand.get(sign, False)


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [("p<=1e-10", 5e-10, False), ("p<1e-9", 1e-12, True), ("p==0", 1e-12, False), ("p>0", 1e-300, True)],
)
def test_small_numbers_are_not_all_one(text, value, met):
    assert judge([parse(text)], {"p": value})[0].met is met


@pytest.mark.parametrize("n", range(1, 60))
def test_a_share_that_was_rounded_on_its_way_still_stands_on_its_bound(n):
    for k in range(n + 1):
        (at_least,) = judge([parse(f"accuracy>={n - k}/{n}")], {"accuracy": 1 - k / n})
        (more,) = judge([parse(f"accuracy>{n - k}/{n}")], {"accuracy": 1 - k / n})
        assert at_least.met
        assert not more.met


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mistakes_repaired",
        "mistakes_repaired>=",
        ">=0.4",
        "accuracy=0.4",
        "accuracy=>0.4",
        "accuracy>=90%",
        "accuracy>=0,9",
        "accuracy>=1/0",
        "accuracy>=nan",
        "accuracy>=inf",
        "accuracy>=1e999",
        "accuracy>=1_000",
        "accuracy>=٣",
        "accuracy>=1/2/3",
        "robust_accuracy@>=0.4",
        "robust_accuracy@8/0>=0.4",
        "robust_accuracy@-8/255>=0.4",
        "robust accuracy>=0.4",
        "a>=1 b>=2",
        "a>=1\nb>=2",
    ],
)
def test_what_is_no_gate_is_refused(text, refuses):
    with refuses(UsageError, "gate-text") as caught:
        parse(text)
    assert repr(text) in caught.value.seen


def test_a_gate_that_a_shell_cut_in_two_is_told_of_its_quotes():
    with pytest.raises(UsageError, match="quotes, a shell takes"):
        parse("robust_accuracy@8/255")


@pytest.mark.parametrize("at", ["8/255", "0.0313725", "0.03137254901960784", "16/510", "3.137254902e-2"])
def test_radii_compare_as_numbers(at):
    (verdict,) = judge([parse(f"robust_accuracy@{at}>=0.4")], FIGURES)
    assert (verdict.value, verdict.met, verdict.why) == (0.4, True, "")


def test_of_two_radii_that_are_one_the_nearer_is_meant():
    figures = {"r@0.1": 0.0, "r@0.1000000001": 1.0}
    assert [v.value for v in judge([parse("r@0.1>=0"), parse("r@0.1000000001>=0")], figures)] == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mistake_repaired>=0.9", "Did you mean mistakes_repaired"),
        ("robust_acuracy@8/255>=0.4", "robust_accuracy"),
        ("robust_accuracy@12/255>=0.4", "no such radius"),
        ("robust_accuracy>=0.4", "robust_accuracy@8/255"),
        ("accuracy@8/255>=0.4", "Did you mean accuracy?"),
        ("qqqqqqqq>=0.4", "Choose one of them"),
    ],
)
def test_a_figure_that_is_unknown_is_refused_with_what_is_near_and_the_list(text, words, refuses):
    for ask in (lambda: refuse_unknown([parse(text)], FIGURES), lambda: judge([parse(text)], FIGURES)):
        with refuses(UsageError, "gate-unknown") as caught:
            ask()
        assert caught.value.seen == text
        assert all(name in caught.value.needed for name in FIGURES)
        assert words in str(caught.value)


def test_what_is_known_passes_whether_it_was_measured_or_not():
    refuse_unknown(map(parse, ("mistakes_repaired>=1", "robust_accuracy@25.5/255>=0")), FIGURES)


@pytest.mark.parametrize("sign", [">=", "<=", ">", "<", "=="])
@pytest.mark.parametrize("value", ["there was no mistake to repair", math.nan, math.inf, -math.inf])
def test_what_was_not_measured_meets_nothing_and_says_why(sign, value):
    (verdict,) = judge([parse(f"mistakes_repaired{sign}0")], {"mistakes_repaired": value})
    assert (verdict.met, verdict.value) == (False, None)
    assert verdict.why.startswith("not measured: ")
    assert not isinstance(value, str) or value in verdict.why


def test_a_gate_that_is_missed_says_by_what():
    verdicts = judge([parse("accuracy >= 0.95"), parse("accuracy<1")], FIGURES)
    assert to_json(verdicts) == [
        {"text": "accuracy >= 0.95", "value": 0.9, "met": False, "why": "0.9, where at least 0.95 is needed"},
        {"text": "accuracy<1", "value": 0.9, "met": True, "why": ""},
    ]
    (close,) = judge([parse("accuracy>=0.9")], {"accuracy": 0.89999})
    assert "0.89999, where at least 0.9" in close.why  # the words tell apart what the comparison does


def flag(slug, state, **more):
    texts = {name: f"{name} of {slug}" for name in ("title", "measured", "threshold", "consequence", "remedy")}
    return {"slug": slug, "state": state, "when": "before", "value": None, "reference": "", **texts, **more}


def test_junit_has_a_case_for_each_gate_and_each_flag(tmp_path):
    flags = [flag("parity", "not measured"), flag("randomness", "fired"), flag("probabilities", "clear")]
    verdicts = judge(map(parse, ("accuracy>=0.5", "accuracy>=1", "mistakes_repaired>=0.9")), FIGURES)
    path = junit(verdicts, flags, tmp_path / "new" / "amiss.xml")
    assert [entry.name for entry in path.parent.iterdir()] == ["amiss.xml"]
    root = ElementTree.parse(path).getroot()
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "3",
        "errors": "0",
        "skipped": "1",
    }
    gates, trust = root.findall("testsuite")
    assert [case.get("name") for case in gates] == ["accuracy>=0.5", "accuracy>=1", "mistakes_repaired>=0.9"]
    assert [[kind.tag for kind in case] for case in gates] == [[], ["failure"], ["failure"]]
    assert [(case.get("name"), [kind.tag for kind in case]) for case in trust] == [
        ("parity", ["skipped"]),
        ("randomness", ["failure"]),
        ("probabilities", []),
    ]
    said = trust[1][0].text
    assert "consequence of randomness" in said
    assert "remedy of randomness" in said
    assert "no mistake to repair" in gates[2][0].get("message")
    for suite in (gates, trust):
        assert int(suite.get("tests")) == len(suite)


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_no_name_breaks_the_file(tmp_path_factory, text):
    hostile = flag(text, "fired", title=text, measured=text, consequence=text + "]]></failure><x/>")
    path = junit([], [hostile], tmp_path_factory.getbasetemp() / "hostile.xml")
    (case,) = ElementTree.parse(path).getroot().iter("testcase")
    kept = [c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"]
    assert case.get("name") == "".join(kept)
    assert [kind.tag for kind in case] == ["failure"]
    assert "<x/>" in case[0].text


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path, refuses):
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "taken", tmp_path / "file" / "x.xml"):
        (tmp_path / "file").touch()
        with refuses(DataError, "data-write"):
            junit([], [], path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "taken"]
