"""StackGAN's part of the bench: what is judged is judged by known answers, and the part has a quick form."""

import json

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.gan_stackgan import _judge, _read, _stream, stackgan
from amiss.data.worlds.captions import SCENES
from amiss.data.worlds.scenes import sample_scenes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("stackgan"))


def test_labels_are_read_off_the_outputs_value_by_value():
    labels = sample_scenes(50, 10).labels
    outputs = [torch.nn.functional.one_hot(column, len(names)) for column, names in zip(
        labels.unbind(1), SCENES.values, strict=True
    )]  # fmt: skip
    assert torch.equal(_read(torch.cat(outputs, 1).float()), labels)


def test_the_judge_and_the_test_see_other_scenes_than_the_model_learns_from(run):
    assert len({_stream(Run(seed, True, run.place), purpose) for seed in range(3) for purpose in (1, 2, 3)}) == 9
    _, facts = _judge(run)
    assert facts["heads"] == [f"{name}={value}" for name, values in zip(SCENES.columns, SCENES.values, strict=True)
                              for value in values]  # fmt: skip


def test_the_part_in_its_quick_form(run):
    figures, told = stackgan(run)
    json.dumps(told)
    assert set(figures) == {"stackgan_agreement", "stackgan_rejects_wrong", "stage2_over_bicubic"}
    assert 0 <= figures["stackgan_agreement"] <= 1 and 0 <= figures["stackgan_rejects_wrong"] <= 1
    assert figures["stackgan_agreement"] == told["agreement"]["second"]
    assert figures["stage2_over_bicubic"] == told["frechet"]["second"] / told["frechet"]["bicubic"]
    assert (run.place / "stackgan.png").is_file() and len(told["panel"]) == 10
    assert told["labels"]["real"].keys() == set(SCENES.columns) and told["images"] == 300
    # What is trained is kept: the part in its second run only measures, and measures the same.
    assert stackgan(run) == (figures, told)
