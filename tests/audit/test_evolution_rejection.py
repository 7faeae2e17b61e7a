"""What would reject champions: of a network whose hidden features are known, of images that lie where they should."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.analysis.rejection import DETECTORS
from amiss.audit.evolution import Evolution, EvolutionExperiment
from amiss.audit.evolution_rejection import champions_rejected
from amiss.audit.rejection_tables import (
    bypass_table,
    is_record,
    rejection_figures,
    rejection_known,
    rejection_table,
    rejection_words,
)
from amiss.audit.rejections import LEAST, halves
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import Interrupted, UsageError
from tests.audit.conftest import strict

SHAPE = (1, 8, 8)
ASKED = Evolution(("cppn", "gradient"), generations=8, children=20, steps=30)


class Quarters(nn.Module):
    """Hidden features: how bright each quarter of an image is. Logits: how bright all of it is, one way and other."""

    def __init__(self):
        super().__init__()
        self.quarters, self.head = nn.Linear(64, 4), nn.Linear(4, 2)
        place = torch.zeros(4, 8, 8)
        for i in range(4):
            place[i, 4 * (i // 2) : 4 * (i // 2) + 4, 4 * (i % 2) : 4 * (i % 2) + 4] = 1 / 16
        with torch.no_grad():
            self.quarters.weight.copy_(place.flatten(1))
            self.quarters.bias.zero_()
            self.head.weight.copy_(torch.tensor([[10.0] * 4, [-10.0] * 4]))
            self.head.bias.copy_(torch.tensor([-20.0, 20.0]))

    def forward(self, x):
        return self.head(self.quarters(x.flatten(1)))


CLASSIFIER = Classifier(Quarters(), labels=["bright", "dark"])


def photos(n=300, wrong=0, seed=0, apart=0.4):
    """Images as bright as .7 or .3, or less far apart, each quarter by itself; the first labeled the wrong way."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    level = (0.5 + apart * (0.5 - labels.float()))[:, None, None] + 0.03 * torch.randn(n, 2, 2, generator=draw)
    pixels = level.repeat_interleave(4, 1).repeat_interleave(4, 2) + 0.02 * torch.randn(n, 8, 8, generator=draw)
    labels[:wrong] = 1 - labels[:wrong]
    return Images.of((pixels.clamp(0, 1) * 255).round().to(torch.uint8)[:, None], labels, ("bright", "dark"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return EvolutionExperiment(CLASSIFIER, photos(), ASKED, shape=SHAPE).run(
        tmp_path_factory.mktemp("reject") / "run"
    )


@pytest.fixture(scope="module")
def record(found):
    said, why = champions_rejected(found, CLASSIFIER)
    assert why == ""
    return strict(json.dumps(said))


def accepted(record, rule, kind):
    (row,) = [row for row in record["rows"] if (row["detector"], row["kind"]) == (rule, kind)]
    return row["accepted"]["value"]


def test_rules_of_confidence_let_champions_pass_and_distances_do_not(found, record):
    assert is_record(record) and record["finished"] and record["layer"] == "quarters"
    assert {row["detector"] for row in record["rows"]} == {*DETECTORS}
    assert {row["kind"] for row in record["rows"]} == {"natural", "uniform noise", "cppn", "gradient"}
    for part in found.parts:
        assert bool(part.result.met.all())
        # As bright or dark as can be: surer than any natural image, and outside of where they lie.
        for rule in ("msp", "max logit", "energy"):
            assert accepted(record, rule, part.encoding) == 1
        assert accepted(record, "mahalanobis", part.encoding) == 0
    assert accepted(record, "msp", "uniform noise") == 0  # in between the classes
    assert all(accepted(record, rule, "natural") > 0.8 for rule in DETECTORS)


def test_each_different_champion_that_holds_counts_once(found, record):
    part = found.parts[0]
    images = part.result.images.clone()
    images[1] = images[0]
    twice = replace(found, parts=(replace(part, result=replace(part.result, images=images)), *found.parts[1:]))
    said, _ = champions_rejected(twice, CLASSIFIER)
    assert {row["n"] for row in record["rows"] if row["kind"] == "cppn"} == {2}
    assert {row["n"] for row in said["rows"] if row["kind"] == "cppn"} == {1}


def test_figures_and_words_are_of_the_rows(record):
    figures = rejection_figures(record)
    assert figures["rejected.mahalanobis.cppn"] == 1 and figures["rejected.msp.gradient"] == 0
    assert figures["rejected.max_logit.noise"] == 1 - accepted(record, "max logit", "uniform noise")
    assert {*figures} == {*rejection_known(ASKED)}
    words = rejection_words(record)
    assert (
        words.startswith("Of 4 champions")
        and "pass: none." in words
        and "All of them pass msp, max logit, energy" in words
    )
    assert "rejects 100% of uniform noise, and 0% of the champions" in words
    assert words in rejection_table(record)["text"] and "--adaptive" in rejection_table(record)["note"]
    assert bypass_table(record) is None and "rules_bypassed" not in figures


def test_rules_are_fitted_on_right_answers_of_one_half(found):
    one, other = halves(200, 0, 1000)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(200)) and len(one) == len(other) == 100
    assert [len(part) for part in halves(201, 3, 30)] == [30, 30]
    images = photos(200, wrong=20)
    said, _ = champions_rejected(replace(found, images=images), CLASSIFIER)
    assert said["fitted"] == int((one >= 20).sum()) < 100
    assert said["calibrated"] + said["judged"] == 100


def test_what_was_told_is_not_told_again_unless_of_something_else(found, record):
    kept, passes = [], CLASSIFIER.counts.forward
    again, why = champions_rejected(found, CLASSIFIER, before=record, keep=kept.append)
    assert (again, why, kept, CLASSIFIER.counts.forward) == (record, "", [], passes)
    for before in (None, [], {**record, "rows": [1]}, {**record, "fingerprints": {}}):
        told, _ = champions_rejected(found, CLASSIFIER, before=before, keep=kept.append)
        assert strict(json.dumps(told)) == record
    assert len(kept) == 4
    others = replace(found, images=photos(seed=1))
    told, _ = champions_rejected(others, CLASSIFIER, before=record)
    assert told["fingerprints"]["data"] != record["fingerprints"]["data"]


def test_searches_against_rules_go_on_where_they_were_stopped(found):
    adaptive = replace(found, evolution=replace(ASKED, adaptive=60))
    whole, _ = champions_rejected(adaptive, CLASSIFIER)
    assert [one["detector"] for one in whole["bypasses"]] == list(DETECTORS)
    assert {row["kind"] for row in whole["rows"]} >= {"adaptive", "gradient + L2"}
    assert "msp" in whole["bypassed"]  # any champion passes it
    table = bypass_table(whole)
    assert len(table["rows"]) == 9 and table["rows"][0][2] == "2 of 2"
    figures = rejection_figures(whole)
    assert {*figures} == {*rejection_known(adaptive.evolution)}
    assert figures["rules_bypassed"] == len(whole["bypassed"])
    said = []

    def stop():
        return bool(said) and len(said[-1]["bypasses"]) == 4

    with pytest.raises(Interrupted):
        champions_rejected(adaptive, CLASSIFIER, keep=said.append, stop=stop)
    assert not said[-1]["finished"]
    told = []
    progress = lambda what, done, total: told.append(what)  # noqa: E731
    torn, _ = champions_rejected(adaptive, CLASSIFIER, before=strict(json.dumps(said[-1])), progress=progress)
    assert strict(json.dumps(torn)) == strict(json.dumps(whole))
    assert sum(what.startswith("Searching against") for what in told) == 5


def test_without_enough_images_there_is_a_reason(found):
    bare = replace(found, images=None)
    few = replace(found, images=photos(2 * LEAST - 1))
    off = replace(found, evolution=replace(ASKED, rejection=False))
    mostly_wrong = replace(found, images=photos(200, wrong=180))
    unlabeled = replace(found, images=replace(photos(), labels=None))
    assert champions_rejected(off, CLASSIFIER) == (None, "") and rejection_known(off.evolution) == {}
    for run, words in ((bare, "labeled"), (unlabeled, "labeled"), (few, "49"), (mostly_wrong, "rightly classified")):
        said, why = champions_rejected(run, CLASSIFIER)
        assert said is None and words in why
    with pytest.raises(UsageError, match="fooling-counts"):
        Evolution(adaptive=-1)


def test_rules_that_cannot_be_fitted_are_left_out_and_say_why(found):
    bare = Classifier(lambda x: CLASSIFIER.network(x), labels=["bright", "dark"], gives="loss")
    said, _ = champions_rejected(found, bare)
    assert set(said["left_out"]) == {*DETECTORS} - {"msp", "max logit", "energy"}
    assert "no hidden layer" in said["left_out"]["knn"] and "gradient" in said["left_out"]["odin"]
    assert "knn was left out" in rejection_table(said)["note"]
    names = tuple(map(str, range(100)))
    pixels = photos(220).pixels
    many = Images.of(pixels, torch.arange(220) % 100, names)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 100))
    right = many.pick(torch.arange(220))
    with torch.no_grad():
        every = Classifier(net, labels=names).predict(right.images())
    labeled = Images.of(pixels, every, names)  # whatever it answers is right
    crowd = replace(found, images=labeled)
    said, why = champions_rejected(crowd, Classifier(net, labels=names))
    if len(every.unique()) > 55:
        assert "two images a class" in said["left_out"]["mahalanobis"]
    else:
        assert why == "" and said["fitted"] == 110


def test_a_network_that_answers_no_number_for_an_image_gives_a_reason(found):
    class Holes(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Quarters()

        def forward(self, x):
            out = self.net(x)
            return torch.where(x.mean((1, 2, 3))[:, None] > 0.6, torch.nan, out)

    said, why = champions_rejected(found, Classifier(Holes(), labels=["bright", "dark"]))
    assert said is None and ("not finite" in why or "rightly" in why or "threshold" in why)


def row(rule, kind, n, share):
    figure = {"value": share, "low": 0.0, "high": 1.0}
    return {"detector": rule, "kind": kind, "n": n, "accepted": figure, "auroc": figure, "fpr95": figure}


def test_words_say_all_and_none_only_where_it_is_so():
    none = {"rows": [row("msp", "uniform noise", 10, 0.5)]}
    assert "no champion" in rejection_words(none)
    blind = {"rows": [row("msp", "cppn", 4, 1.0), row("knn", "cppn", 4, 1.0)]}
    assert rejection_words(blind).startswith("No rule rejects a single one of 4")
    some = {"rows": [row("msp", "cppn", 4, 0.75), row("knn", "cppn", 4, 0.5), row("knn", "direct", 4, 0.0)]}
    assert rejection_words(some) == (
        "Of 8 champions that the model is sure of, the rule knn lets the fewest pass: 25%."
    )
    three = {"rows": [row("a", "cppn", 4, 0.0), row("b", "cppn", 4, 1.0), row("c", "cppn", 4, 1.0)]}
    assert "pass: none. All of them pass b and c." in rejection_words(three)


def test_a_record_of_rejection_is_told_and_what_is_none_is_not():
    figure = {"value": 0.25, "low": 0.1, "high": 0.5}
    one = {"detector": "energy", "kind": "cppn", "n": 40, "accepted": figure, "auroc": figure, "fpr95": figure}
    made = {"rows": [one], "bypassed": ["energy"]}
    table = rejection_table(made)
    assert table["rows"] == [["energy", "cppn", 40, *["0.250 (0.10\u20130.50)"] * 3]]
    assert "rule itself: energy." in table["note"] and "dead units" not in table["note"]
    blind = rejection_table({**made, "ignored": {"mahalanobis": 0.125, "relative mahalanobis": 0, "odin": "all"}})
    assert "not looked at by a rule: mahalanobis 12%. Nonsense" in blind["note"]
    text = json.dumps(made)
    for was, now in (('"value": 0.25', '"value": NaN'), ('"n": 40', '"n": true'), ('"energy", "kind"', '1, "kind"')):
        assert was in text
        assert rejection_table(json.loads(text.replace(was, now, 1))) is None
    search = {"detector": "energy", "search": "cppn", "met": [True], "evaluations": [40], "spent": 60}
    assert bypass_table({**made, "bypasses": [search]})["rows"] == [["energy", "cppn", "1 of 1", "40 to 40", 60]]
    wrong = [
        {**search, name: value}
        for name, value in (("met", [1]), ("evaluations", ["x"]), ("spent", -1), ("search", 3))
    ]
    for said in (
        *(None, [], {}, {"rows": []}, {"rows": [1]}, {"rows": [{**one, "auroc": 1}]}, {**made, "bypassed": 3}),
        *({**made, "bypasses": [part]} for part in (1, *wrong)),
    ):
        assert not is_record(said)
        assert rejection_table(said) is None and bypass_table(said) is None and rejection_figures(said) == {}
