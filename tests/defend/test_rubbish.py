"""Retraining with rubbish: every round the same, nothing learned from what is held out, and stopped runs go on."""

import json
import math
from dataclasses import replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import DEFENSES, RubbishClass, Workshop, climb, evolve, rounds_svg, table_of
from amiss.defend.checking import check_layers, check_shift
from amiss.defend.telling import figures_of, sentence_of, times
from amiss.errors import DataError, Interrupted, ModelError, UsageError
from amiss.models import LeNet
from amiss.tensorfile import read_tensors
from amiss.training import ClassifierLoss, TrainingRecipe, fit

torch.set_num_threads(1)

SMALL = RubbishClass(
    rounds=2,
    champions=6,
    epochs=20,
    share=0.4,
    confidence=0.8,
    learned_generations=3,
    generations=6,
    children=20,
    held_out=4,
    rate=3e-3,
    batch=32,
    seed=3,
)


def squares(n, seed):
    """Noise with a bright square on the left (class 0) or on the right (class 1), 8 pixels a side."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 2
    pixels = torch.randint(0, 60, (n, 1, 8, 8), generator=draw, dtype=torch.uint8)
    for i, side in enumerate(label.tolist()):
        pixels[i, :, 2:6, 4 * side : 4 * side + 3] += 180
    return Images.of(pixels, label, ["left", "right"])


TRAIN, TEST = squares(96, 0), squares(40, 1)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = LeNet(1, 2, 8, width=4, hidden=16)
    data = {"image": TRAIN.pixels, "label": TRAIN.truth}
    fit(network, ClassifierLoss(), data, TrainingRecipe(epochs=20, batch=32, rate=3e-3))
    return Classifier(network, labels=TRAIN.classes)


@pytest.fixture(scope="module")
def run(classifier, tmp_path_factory):
    """A whole run, with what was told on the way."""
    out, told = tmp_path_factory.mktemp("whole") / "run", []
    before = classifier.fingerprint
    done = SMALL.harden(classifier, TRAIN, TEST, out, on_row=lambda rows: told.append(len(rows)))
    assert classifier.fingerprint == before
    return done, out, told


def test_there_is_a_row_a_network_and_the_same_number_of_champions_a_round(run):
    done, _, told = run
    assert told == [1, 2, 3]
    assert [row["round"] for row in done.rows] == [0, 1, 2]
    assert [row["rubbish"] for row in done.rows] == [0, 6, 12]
    assert {row["budget"] for row in done.rows} == {20 * 7}
    assert [row["recall_of"] is not None for row in done.rows] == [True] * 3
    assert done.rows[0]["recall"] is None
    assert all(set(row) == set(done.rows[0]) for row in done.rows)


def test_the_first_row_is_of_the_classifier_that_was_given(classifier, run):
    first = run[0].rows[0]
    said = classifier.predict(TEST.images())
    assert first["accuracy"] == float((said == TEST.truth).double().mean()) == 1.0
    assert first["called_rubbish"] == 0


def test_rubbish_that_was_learned_is_refused_and_classes_are_kept(run):
    done, out, _ = run
    learned = torch.cat([read_tensors(out / "work" / f"00-cppn-{i:03d}.safetensors")[0]["images"] for i in range(3)])
    assert (done.classifier.predict(learned / 255) == 2).double().mean() > 0.8
    assert done.classifier.labels == ("left", "right", "rubbish")
    assert done.rows[-1]["accuracy"] >= 0.9


def test_the_last_row_is_of_the_network_that_is_handed_back(run):
    done, out, _ = run
    last, said = done.rows[-1], done.classifier.predict(TEST.images())
    assert last["accuracy"] == float((said == TEST.truth).double().mean())
    assert last["called_rubbish"] == float((said == 2).double().mean())
    # What is refused was evolved against a network before, by seeds that none learned from, and fooled it.
    brief, long, other = ("cppn-003", "cppn-004"), ("cppn-005", "cppn-006"), ("direct-007",)
    kinds = {"": ((0, 1), brief), "_first": ((0,), brief), "_newest": ((1,), brief), "_long": ((0, 1), long)}
    for name, (rounds, files) in {**kinds, "_other": ((0, 1), other), "_gradient": ((0, 1), ("gradient",))}.items():
        parts = [read_tensors(out / "work" / f"{k:02d}-{file}.safetensors")[0] for k in rounds for file in files]
        sure = [part["fools"] & (part["confidence"] >= SMALL.confidence) for part in parts]
        fooling = torch.cat([part["images"][rows] for part, rows in zip(parts, sure, strict=True)])
        assert last[f"recall{name}_of"] == len(fooling)
        if not name:
            assert last["recall_called"] == sum(int(part["fools"].sum()) for part in parts)
        refused = float((done.classifier.predict(fooling / 255) == 2).double().mean()) if len(fooling) else None
        assert last[f"recall{name}"] == refused
    assert 0 < last["recall_newest_of"] < last["recall_of"] < last["recall_called"]  # else they would be one number
    assert last["recall_first_of"] + last["recall_newest_of"] == last["recall_of"]


def test_lessons_hold_all_images_and_rubbish_in_its_share():
    rubbish = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 1, 8, 8)
    data = SMALL._lessons(TRAIN, rubbish, 2)
    count = (data["label"] == 2).sum().item()
    assert count / len(data["label"]) == pytest.approx(0.4, abs=0.01)
    assert torch.equal(data["image"][: len(TRAIN)], TRAIN.pixels)
    each = torch.bincount(data["image"][len(TRAIN) :, 0, 0, 0].long())
    assert each.max() - each.min() <= 1
    many = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    assert len(SMALL._lessons(TRAIN, many, 2)["label"]) == 396  # none is left out


def test_a_stopped_run_goes_on_to_the_same_weights_and_rows(classifier, run, tmp_path):
    whole, asked, heard = run[0], [0], []
    halts = ["evolving nonsense", "retraining", "retraining"]

    def stop():
        asked[0] += 1
        halt = bool(halts) and halts[0] in heard[-1] and asked[0] % 5 == 0
        return halt and bool(halts.pop(0))

    def harden():
        return SMALL.harden(
            classifier, TRAIN, TEST, tmp_path / "run", progress=lambda what, *_: heard.append(what), stop=stop
        )

    while halts:
        with pytest.raises(Interrupted) as error:
            harden()
        assert error.value.slug == "interrupted"
    parts = harden()
    assert parts.rows == whole.rows
    assert parts.classifier.fingerprint == whole.classifier.fingerprint


def test_rounds_can_be_added_and_nothing_is_done_twice(classifier, run, tmp_path):
    whole, did = run[0], []
    one = replace(SMALL, rounds=1).harden(classifier, TRAIN, TEST, tmp_path / "run")
    assert list(one.rows) == list(whole.rows[:2])
    marks = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "work").iterdir()}
    two = SMALL.harden(
        classifier, TRAIN, TEST, tmp_path / "run", progress=lambda what, *_: did.append(what.split(":")[1].strip())
    )
    assert two.rows == whole.rows
    assert all(path.stat().st_mtime_ns == mark for path, mark in marks.items())
    assert {"retraining", "evolving nonsense"} <= set(did)


def test_another_run_in_the_folder_is_refused(classifier, run):
    other = RubbishClass(rounds=2, champions=7, generations=1, children=1)
    with pytest.raises(DataError, match="champions=6"):
        other.harden(classifier, TRAIN, TEST, run[1])
    with pytest.raises(DataError, match="another test"):
        SMALL.harden(classifier, TRAIN, squares(10, 5), run[1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 0},
        {"champions": 0},
        {"epochs": 0.0},
        {"share": 1.0},
        {"confidence": 1.0},
        {"encoding": "words"},
        {"held_out": 0},
        {"learned_generations": 0},
        {"shift": -1},
        {"batch": 0},
        {"rate": 0.0},
        {"epochs": math.nan},
        {"epochs": math.inf},
        {"rate": math.inf},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}="):
        RubbishClass(**wrong)


def test_images_that_do_not_fit_are_refused(classifier, tmp_path):
    bare, odd = Images.of(TEST.pixels), Images.of(TEST.pixels, TEST.truth + 1, ["a", "b", "c"])
    with pytest.raises(DataError, match="data-unlabeled"):
        SMALL.harden(classifier, bare, TEST, tmp_path / "run")
    with pytest.raises(DataError, match="data-labels"):
        SMALL.harden(classifier, TRAIN, odd, tmp_path / "run")
    one = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1)))
    with pytest.raises(ModelError):
        SMALL.harden(one, TRAIN, TEST, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "slug", "told"),
    [
        ({"layers": ("fc11",)}, "defend-layers", "fc1"),
        ({"layers": ("fc1", "nothing")}, "defend-layers", "nothing"),
        ({"layers": ("flatten",)}, "defend-layers", "without weights"),
        ({"layers": ("",)}, "defend-layers", "without weights"),
        ({"shift": 5}, "defend-shift", "0 to 4"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_network_or_the_images_is_refused_before_the_first_archive(
    classifier, tmp_path, settings, slug, told
):
    with pytest.raises(UsageError, match=told) as error:
        replace(SMALL, **settings).harden(classifier, TRAIN, TEST, tmp_path / "run")
    assert error.value.slug == slug
    assert not (tmp_path / "run").exists()


def test_a_shift_of_half_an_image_and_a_module_that_holds_layers_are_allowed():
    check_shift(4, TRAIN)
    check_layers(torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(2, 2))), ["0", "0.0"])
    with pytest.raises(UsageError, match="0 to 2"):
        check_shift(3, Images.of(torch.zeros(2, 1, 9, 4, dtype=torch.uint8)))


def test_no_two_runs_train_by_the_same_numbers(classifier, tmp_path, monkeypatch):
    seeds = []
    trained = Workshop.trained

    def note(shop, name, classifier, data, loss, recipe, what):
        seeds.append(recipe.seed)
        return trained(shop, name, classifier, data, loss, replace(recipe, epochs=1), what)

    monkeypatch.setattr(Workshop, "trained", note)
    small = replace(SMALL, rounds=2, champions=2, learned_generations=1, generations=1, children=4, held_out=1)
    for seed in (0, 1):
        replace(small, seed=seed).harden(classifier, TRAIN, TEST, tmp_path / str(seed))
    assert len(set(seeds)) == 4
    assert not {b - a for a in seeds for b in seeds} & {1, 100}


def test_a_climb_can_be_stopped(classifier):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(Interrupted):
        climb(classifier, [0, 1], (1, 8, 8), confidence=1 - 1e-12, stop=stop)
    assert len(asked) == 3


def test_an_archive_counts_evaluations_and_says_who_is_fooled(classifier):
    made = evolve(classifier, 2, (1, 8, 8), generations=4, children=10, until="budget", seed=1)
    assert made.evaluations.tolist() == [10, 20, 30, 40, 50]
    assert (made.median.diff() >= 0).all() and (made.least <= made.median).all()
    assert made.reached(0.0) == 10
    assert made.reached(1.1) is None
    logits = classifier.outputs(made.images / 255)["answer"].detach()
    assert torch.equal(made.fools, logits.argmax(1) == made.label)
    torch.testing.assert_close(made.confidence, logits.double().softmax(1)[[0, 1], [0, 1]])
    mark = float(made.confidence.max())
    assert torch.equal(made.fooling(mark), made.fools & (made.confidence == mark))
    assert not made.fooling(1.1).any() and torch.equal(made.fooling(0.0), made.fools)
    climbed = climb(classifier, [1], (1, 8, 8))
    assert climbed.images.shape == (1, 1, 8, 8) and climbed.reached(0.5) is None
    assert climbed.label.tolist() == [1] and climbed.fools.all()


def row(k, median, champion=0.999, **more):
    told = {
        "round": k,
        "accuracy": 0.99,
        "called_rubbish": 0.0,
        "champion": champion,
        "fooled": 0.5,
        "confidence": 1.0,
    }
    shares = {"": (0.9, 10.0), "_first": (1.0, 8.0), "_newest": (0.0, 1.0), "_long": (0.8, 10.0)}
    for name, (share, count) in {**shares, "_other": (None, 0.0), "_gradient": (0.5, 2.0)}.items():
        told |= {f"recall{name}": share, f"recall{name}_of": count}
    told["recall_called"] = 30.0
    return told | {"evaluations_median": median, "evaluations_all": None, "budget": 1000.0} | more


def test_the_sentence_of_a_network_that_has_learned_what_nonsense_is():
    rows = [row(0, 100.0, accuracy=0.991), row(1, 200.0), row(2, 310.0, accuracy=0.988)]
    assert sentence_of(rows, 0.99) == (
        "After 2 rounds: accuracy 99.1 % -> 98.8 %, 0.0 % of the test images are called rubbish, and 90.0 % (59.6 "
        "to 98.2 with 95 % certainty) of 10 held-out champions that fooled the networks before it (with 0.99; 30 had "
        "the label). It refuses 80.0 % of 10 that evolved longer, 50.0 % of 2 that a gradient made, and 0.0 % of "
        "1 that fooled the network just before it. Nonsense costs 3.1 times the evaluations (100 before and 310 now, "
        "until the median class is 0.99 sure). 50.0 % of new nonsense still fools it. In this run the cost has grown "
        "since the first round (200 then)."
    )
    assert figures_of(rows)["cost_ratio"] == pytest.approx(3.1)
    assert figures_of(rows)["accuracy_loss"] == pytest.approx(0.003)
    assert "recall_other" not in figures_of(rows)


def test_the_sentence_of_a_network_that_refuses_images_and_no_nonsense_opens_with_that():
    first = row(0, 2700.0, accuracy=0.921, budget=10100.0)
    last = row(1, None, accuracy=0.786, budget=10100.0, called_rubbish=0.189, recall=0.0, recall_of=39.0)
    assert sentence_of([first, last | {"recall_called": 120.0}], 0.99).startswith(
        "After 1 round the network does not tell nonsense from images: accuracy 92.1 % -> 78.6 %, 18.9 % of the test "
        "images are called rubbish, and 0.0 % (0.0 to 9.0 with 95 % certainty) of 39 held-out champions that fooled "
        "the networks before it (with 0.99; 120 had the label). "
    )


@pytest.mark.parametrize(
    ("refused", "recall", "of", "apart"),
    [(1.0, 1.0, 500.0, False), (0.0, 0.0, 500.0, False), (0.2, 0.3, 10.0, False), (0.2, 0.3, 500.0, True)],
    ids=["everything", "nothing", "chance", "more nonsense"],
)
def test_nonsense_is_told_from_images_where_more_of_it_is_refused_than_chance_explains(refused, recall, of, apart):
    last = row(1, 200.0, called_rubbish=refused, recall=recall, recall_of=of)
    assert ("does not tell nonsense from images" not in sentence_of([row(0, 100.0), last], 0.99)) == apart


def test_the_sentence_of_a_network_before_which_nothing_was_sure_claims_no_recall():
    kinds = ("", "_first", "_newest", "_long", "_other", "_gradient")
    nothing = {f"recall{name}": None for name in kinds} | {f"recall{name}_of": 0.0 for name in kinds}
    words = sentence_of([row(0, None, 0.9), row(1, None, 0.4, called_rubbish=0.1) | nothing], 0.99)
    assert words == (
        "After 1 round: accuracy 99.0 % -> 99.0 %, 10.0 % of the test images are called rubbish, and no held-out "
        "nonsense fooled a network before it (none had 0.99, 30 the label alone): what it would refuse of it is not "
        "known. The median champion is 0.9 sure before and 0.4 sure now, 1,000 evaluations each, of 0.99 wanted. "
        "50.0 % of new nonsense still fools it."
    )


def test_a_great_ratio_is_told_without_powers_of_ten():
    rows = [row(0, 100.0, budget=10_100.0), row(1, None, budget=10_100.0)]
    assert "costs more than 101 times the evaluations (100 before and more than 10,100 now" in sentence_of(rows, 0.99)
    assert [times(1.234), times(9.96), times(12.4), times(4321.0)] == ["1.2", "10", "12", "4,321"]


def test_a_cost_that_is_not_known_is_not_told():
    held = sentence_of([row(0, 100.0), row(1, 200.0), row(2, None)], 0.99)
    assert "costs more than 10 times the evaluations (100 before and more than 1,000 now" in held
    assert "has grown" in held
    assert "not grown" in sentence_of([row(0, 100.0), row(1, None), row(2, 900.0)], 0.99)
    assert "since the first round" not in sentence_of([row(0, 100.0), row(1, None), row(2, None)], 0.99)
    assert "cost_ratio" not in figures_of([row(0, None, 0.9), row(1, None, 0.4)])


def test_table_and_drawing(run):
    rows = run[0].rows
    lines = table_of(rows).splitlines()
    assert lines[0].startswith("round,rubbish,accuracy")
    assert len(lines) == 4
    assert lines[1].split(",")[lines[0].split(",").index("recall")] == ""
    assert rounds_svg(rows).count("<polyline") == 2
    assert json.dumps(rows)


def test_the_table_of_defenses():
    assert DEFENSES["rubbish-class"] is RubbishClass
