"""The part of the bench about champions: its quick form, and that it waits for the champions."""

import pytest
import torch

from amiss.bench import fooling_champions
from amiss.bench.bench import Run, Skip
from amiss.bench.fooling_imagenet import CHAMPIONS, target
from amiss.recipes import classes, fool_cppn
from amiss.tensorfile import write_tensors

torch.set_num_threads(1)


def test_champions_come_first(tmp_path):
    with pytest.raises(Skip, match="imagenet comes first"):
        fooling_champions.champions(Run(10, True, tmp_path))


def test_the_quick_form_tells_of_digits(tmp_path):
    run = Run(10, True, tmp_path)
    classifier, shape = target(run)
    found = fool_cppn(shape, generations=9, until="budget", seed=10).run(classifier, classes(classifier))
    kept = {"images": (found.images * 255).round().byte(), "confidence": torch.zeros(10), "p": found.p}
    write_tensors(tmp_path / CHAMPIONS, kept, {"evaluations": 2000})
    figures, told = fooling_champions.champions(run)
    assert {"related_p", "related_p_order", "related_p_distinct", "repeated_p"} < set(figures)
    assert all(1 / 100 <= value <= 1 for name, value in figures.items() if "_p" in name)
    assert 0 < figures["ablation_max"] <= 1 and 0 <= figures["ablation_share"] <= 1
    assert told["ablation"]["champions"] == 10 and told["lineage"]["founders"] >= 1
    assert figures["goals_switched"] == told["lineage"]["switched"] / told["lineage"]["captures"]
