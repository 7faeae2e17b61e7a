"""What an audit says of rules that would reject its fooling images, of a network whose features are known."""

import pytest

from amiss.analysis.rejection import DETECTORS
from amiss.audit import Plan, read_audit
from amiss.audit.figures import CHEAP, known
from amiss.audit.rejections import in_words
from tests.audit.conftest import audited
from tests.audit.test_evolution_rejection import CLASSIFIER, photos

PLAN = Plan(mistakes=0, attacked=0, imposters=0, findings=0)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return audited(CLASSIFIER, photos(300, wrong=9), tmp_path_factory.mktemp("rules") / "run", plan=PLAN)


def test_images_that_stop_short_of_natural_confidence_are_rejected_by_it(done):
    told, figures = done.found.rejected, done.account["figures"]
    assert told.n == 2 and tuple(told.accepted) == CHEAP and told.layer == "quarters"
    assert 130 < told.fitted < 150 == told.told  # nine labels are wrong
    by_rule = {row[0]: row[1] for row in done.account["fooled_table"]["rows"]}
    for rule in CHEAP:
        share = told.accepted[rule].value
        assert figures[f"rejected.{rule.replace(' ', '_')}.fooling"] == 1 - share
        assert by_rule[rule] == f"{share:.0%} of 2"
    # The searches end at .99; of these photographs the network is surer.
    assert told.accepted["msp"].value == told.accepted["energy"].value == 0
    assert told.sentence in done.account["fooled_table"]["text"]
    assert "What rejects them" not in done.account["fooled_note"]


def test_where_natural_images_are_less_sure_confidence_rejects_nothing(tmp_path):
    dim = audited(CLASSIFIER, photos(300, apart=0.1), tmp_path / "run", plan=PLAN, report=False)
    told = dim.found.rejected
    assert told.accepted["msp"].value == told.accepted["energy"].value == 1


def test_it_is_told_again_as_it_was(done):
    again = read_audit(CLASSIFIER, done.images, done.out, plan=PLAN)
    assert again.rejected == done.found.rejected


def test_too_few_images_are_a_reason_and_no_table(tmp_path):
    few = audited(CLASSIFIER, photos(90), tmp_path, plan=PLAN)
    assert "fooled_table" not in few.account and "50 of each are needed" in few.account["fooled_note"]
    assert not [name for name in few.account["figures"] if name.startswith("rejected.")]


def test_its_figures_are_known_before():
    assert {*CHEAP} < {*DETECTORS}
    names = {name for name in known(PLAN) if name.startswith("rejected.")}
    assert names == {f"rejected.{rule.replace(' ', '_')}.fooling" for rule in CHEAP}
    assert not [name for name in known(Plan(fooled=0)) if name.startswith("rejected.")]


@pytest.mark.parametrize(
    ("shares", "n", "words"),
    [
        ({"a": 1.0, "b": 1.0}, 3, "No rule rejects a single one of 3 images that the model is sure of."),
        ({"a": 1.0}, 1, "No rule rejects the one image that the model is sure of."),
        ({"a": 0.5, "b": 0.0}, 2, "Of 2 images that the model is sure of, the rule b lets the fewest pass: none."),
    ],
)
def test_words_say_all_and_none_only_where_it_is_so(shares, n, words):
    assert in_words(shares, n, "image") == words
