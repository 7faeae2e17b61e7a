"""Retraining with rubbish: every round the same, nothing learned from what is held out, and stopped runs go on."""

import json
import math

import pytest
import torch

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import DEFENSES, RubbishClass, climb, evolve, rounds_svg, table_of
from amiss.defend.telling import figures_of, sentence_of
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
    # What is refused was evolved against the network before, by seeds that none learned from, and fooled it.
    parts = [read_tensors(out / "work" / f"01-cppn-{i:03d}.safetensors")[0] for i in (3, 4)]
    fooling = torch.cat([part["images"][part["fools"]] for part in parts])
    assert last["recall_of"] == len(fooling) > 0
    assert last["recall"] == float((done.classifier.predict(fooling / 255) == 2).double().mean())


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
    whole, asked = run[0], [0]

    def stop():
        asked[0] += 1
        return asked[0] in (15, 60, 61)  # in an evolution, and in training

    for _ in range(3):
        with pytest.raises(Interrupted) as error:
            SMALL.harden(classifier, TRAIN, TEST, tmp_path / "run", stop=stop)
        assert error.value.slug == "interrupted"
    parts = SMALL.harden(classifier, TRAIN, TEST, tmp_path / "run", stop=stop)
    assert parts.rows == whole.rows
    assert parts.classifier.fingerprint == whole.classifier.fingerprint


def test_rounds_can_be_added_and_nothing_is_done_twice(classifier, run, tmp_path):
    from dataclasses import replace

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


def test_an_archive_counts_evaluations_and_says_who_is_fooled(classifier):
    made = evolve(classifier, 2, (1, 8, 8), generations=4, children=10, until="budget", seed=1)
    assert made.evaluations.tolist() == [10, 20, 30, 40, 50]
    assert (made.median.diff() >= 0).all() and (made.least <= made.median).all()
    assert made.reached(0.0) == 10
    assert made.reached(1.1) is None
    logits = classifier.outputs(made.images / 255)["answer"].detach()
    assert torch.equal(made.fools, logits.argmax(1) == made.label)
    torch.testing.assert_close(made.confidence, logits.double().softmax(1)[[0, 1], [0, 1]])
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
    told |= {
        "recall": 0.9,
        "recall_of": 10.0,
        "recall_long": 0.8,
        "recall_long_of": 9.0,
        "recall_other": None,
        "recall_other_of": 0.0,
    }
    told |= {"recall_gradient": 0.5, "recall_gradient_of": 2.0}
    return told | {"evaluations_median": median, "evaluations_all": None, "budget": 1000.0} | more


def test_the_sentence_says_what_the_rows_say():
    rows = [row(0, 100.0, accuracy=0.991), row(1, 200.0), row(2, 310.0, accuracy=0.988)]
    words = sentence_of(rows, 0.99)
    assert "After 2 rounds nonsense costs 3.1 times the evaluations (100 before and 310 now" in words
    assert "accuracy 99.1 % -> 98.8 %" in words
    assert "90.0 % is refused, and 80.0 % of what evolved longer, and 50.0 % of what a gradient made" in words
    assert "50.0 % of new nonsense still fools it. The cost has grown since the first round (200 then)." in words
    assert figures_of(rows)["cost_ratio"] == pytest.approx(3.1)
    assert figures_of(rows)["accuracy_loss"] == pytest.approx(0.003)
    assert "recall_other" not in figures_of(rows)


def test_a_cost_that_is_not_known_is_not_told():
    held = sentence_of([row(0, 100.0), row(1, 200.0), row(2, None)], 0.99)
    assert "costs more than 10 times the evaluations (100 before and more than 1,000 now" in held
    assert "has grown" in held
    assert "not grown" in sentence_of([row(0, 100.0), row(1, None), row(2, 900.0)], 0.99)
    assert "since the first round" not in sentence_of([row(0, 100.0), row(1, None), row(2, None)], 0.99)
    never = [row(0, None, 0.9), row(1, None, 0.4)]
    assert "is 0.9 sure before and 0.4 sure now, 1,000 evaluations each, of 0.99 wanted" in sentence_of(never, 0.99)
    assert "cost_ratio" not in figures_of(never)


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
