"""Parts of the bench of fooling images that retrain: their quick forms, and what their figures are made of."""

import pytest
import torch

from amiss.bench import fooling_retraining
from amiss.bench.bench import Run
from amiss.tensorfile import read_tensors

torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path):
    return Run(10, True, tmp_path)


@pytest.mark.parametrize("kind", ["", "_cifar"])
def test_figures_are_those_of_the_rows(run, kind):
    figures, told = getattr(fooling_retraining, f"retraining{kind}")(run)
    first, last = told["rows"]
    assert figures[f"retrain_accuracy_loss{kind}"] == first["accuracy"] - last["accuracy"]
    named = {"": "", "_first": "_first", "_newest": "_newest", "_long": "_long"}
    for key, name in {**named, "_other": "_direct", "_gradient": "_gradient"}.items():
        assert figures.get(f"rubbish_recall{name}{kind}") == last[f"recall{key}"]
        if n := last[f"recall{key}_of"]:  # a share of no image is no figure
            low, high = told["recalls"][f"rubbish_recall{name}"]["interval"]
            assert low <= last[f"recall{key}"] <= high and told["recalls"][f"rubbish_recall{name}"]["of"] == n
        else:
            assert f"rubbish_recall{name}{kind}" not in figures and f"rubbish_recall{name}" not in told["recalls"]
    assert figures[f"retrain_reached_last{kind}"] == float(last["evaluations_median"] is not None)
    assert figures[f"retrain_evaluations_first{kind}"] == (first["evaluations_median"] or first["budget"])
    assert figures[f"retrain_evaluations_once{kind}"] == (last["evaluations_median"] or last["budget"])
    assert [row["rubbish"] for row in told["rows"]] == [0, 10]
    assert 0 < last["recall_of"] <= last["recall_called"]
    again = getattr(fooling_retraining, f"retraining{kind}")(run)  # from its folder
    assert again == (figures, told)


def test_the_mark_is_the_old_median_and_held_out_images_are_not_learned_from(run):
    figures, told = fooling_retraining.retraining_imagenet(run)
    place = run.place / "retraining-imagenet" / "work"
    before, aside, after = (read_tensors(place / f"{name}.safetensors")[0] for name in ("before", "aside", "after"))
    assert told["mark"] == before["median"][-1]
    there = (before["median"] >= told["mark"]).nonzero()[0]
    assert figures["retrain_imagenet_evaluations_before"] == before["evaluations"][there]
    assert figures["retrain_imagenet_reached"] == float(after["median"][-1] >= told["mark"])
    assert figures["retrain_imagenet_evaluations_after"] <= after["evaluations"][-1]
    sure = aside["fools"] & (aside["confidence"] >= 0.3)
    assert told["recalls"]["sure"]["of"] == sure.sum() <= told["recalls"]["called"]["of"] == aside["fools"].sum()
    assert told["recalls"]["called"]["refused"] >= told["recalls"]["sure"]["refused"]
    assert figures["retrain_imagenet_called_rubbish"] == told["called_rubbish"] / told["photographs"]
    assert ("rubbish_recall_imagenet" in figures) == bool(sure.any())
    assert not torch.equal(aside["images"], before["images"])
    assert fooling_retraining.retraining_imagenet(run) == (figures, told)
