"""Classifiers of many labels: what they minimize, what they learn, and how they are opened."""

import math

import pytest
import torch
from torch import nn

from amiss.data import Images
from amiss.errors import CheckpointError, DataError, ModelError, UsageError
from amiss.loading import open_classifier
from amiss.training import AttributesLoss, Batch, attributes_for, head_accuracies, load_model, save_model, train

torch.set_num_threads(1)


def spots(n, seed):
    """Three bright spots, each there or not by lot; "flat" is there in all, and "size" is no attribute."""
    draw = torch.Generator().manual_seed(seed)
    there = torch.randint(0, 2, (n, 3), generator=draw)
    pixels = torch.randint(0, 40, (n, 1, 8, 8), generator=draw, dtype=torch.uint8)
    for k, (row, column) in enumerate(((0, 0), (0, 5), (5, 0))):
        pixels[:, 0, row : row + 3, column : column + 3] += (200 * there[:, k, None, None]).to(torch.uint8)
    table = {name: there[:, k].float() for k, name in enumerate(("left", "right", "below"))}
    table |= {"flat": torch.ones(n), "size": torch.arange(n) + 2.0}
    return Images.of(pixels, there[:, 0] * 0, table=table)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier of the spots, its file, and the images that it has not seen."""
    images, test = spots(256, 0), spots(100, 1)
    done = train(attributes_for(images, epochs=12), images, test)
    path = tmp_path_factory.mktemp("attributes") / "model.safetensors"
    done.save(path)
    return done, path, test


def test_the_loss_is_the_negative_log_likelihood_of_independent_heads():
    logits, said = torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = AttributesLoss(("a", "b"), mean=(0.5,), std=(0.5,))
    images = logits.view(2, 1, 1, 2) / 4 + 0.5  # normalized: the logits over 2
    (got,) = loss.losses(
        nn.Sequential(nn.Flatten(), Twice()), Batch({"image": images, "attribute": said}, 0, 0.0, 0), ("classifier",)
    ).values()
    by_hand = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log(2), math.log1p(math.exp(3))]
    assert float(got) == pytest.approx(sum(by_hand), rel=1e-6)


class Twice(nn.Module):
    """Doubles what it is given."""

    def forward(self, x):
        return 2 * x


def test_heads_are_counted_one_by_one():
    network = nn.Flatten()
    images = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]).view(4, 1, 1, 2)
    said = torch.tensor([[0, 1], [1, 0], [0, 0], [0, 0]])
    shares = head_accuracies(network, images, said, mean=(0.5,), batch=3)
    assert shares.tolist() == [0.75, 0.75]


def test_every_attribute_is_learned_and_none_that_is_none(trained):
    done, _, test = trained
    assert done.preset.kind == done.facts["kind"] == "attributes"
    assert done.facts["heads"] == ["left", "right", "below"]
    figures = done.facts["figures"]
    assert [figures[f"accuracy:{name}"] for name in done.facts["heads"]] == [1.0] * 3
    assert figures["accuracy"] == 1.0
    shares = torch.stack([test.table[name].mean() for name in done.facts["heads"]])
    assert figures["majority"] == pytest.approx(float(torch.maximum(shares, 1 - shares).mean()), abs=1e-6)


@pytest.mark.parametrize("head", ["right", 1])
def test_a_head_is_opened_by_name_or_number(trained, head):
    _, path, test = trained
    classifier = open_classifier(str(path), head=head)
    assert classifier.labels == ("not right", "right")
    assert torch.equal(classifier.predict(test.images()), test.table["right"].long())


def test_a_head_must_be_chosen_and_must_be_there(trained, refuses):
    _, path, _ = trained
    with refuses(UsageError, "usage-head") as caught:
        open_classifier(str(path))
    assert "3 heads: left, right, below" in str(caught.value)
    assert "--head left" in caught.value.hint
    for head in ("rigth", 3):
        with refuses(ModelError, "model-head"):
            open_classifier(str(path), head=head)
    with refuses(UsageError, "usage-preprocessing"):
        open_classifier(str(path), head="left", mean=(0.5,))


def test_a_classifier_of_classes_has_no_head(tmp_path, refuses):
    from amiss.training import classifier_for

    images = spots(32, 0)
    images = Images.of(images.pixels, images.table["left"].long(), ("not left", "left"))
    path = tmp_path / "model.safetensors"
    train(classifier_for(images, epochs=1), images).save(path)
    with refuses(UsageError, "usage-preprocessing") as caught:
        open_classifier(str(path), head="left")
    assert "--head left, and a classifier of 2 classes: not left, left" in str(caught.value)


@pytest.mark.parametrize("heads", [None, [], ["a", 3], "abc", {"a": 1}, 5])
def test_a_file_that_says_strange_heads_is_refused(trained, tmp_path, heads, refuses):
    _, path, _ = trained
    model, facts = load_model(path)
    save_model(tmp_path / "odd.safetensors", model, facts["recipe"], {**facts, "heads": heads})
    kind, slug = (UsageError, "usage-head") if heads is None else (CheckpointError, "checkpoint-facts")
    with refuses(kind, slug):
        open_classifier(str(tmp_path / "odd.safetensors"))


def test_columns_are_chosen_in_their_order_and_must_be_there(refuses):
    images = spots(32, 0)
    assert attributes_for(images, ["below", "left"]).loss.heads == ("below", "left")
    assert attributes_for(images).model["arguments"]["classes"] == 3
    for names in (["size"], ["up"]):
        with refuses(DataError, "data-attributes"):
            attributes_for(images, names)
    with refuses(DataError, "data-attributes"):
        attributes_for(Images.of(images.pixels))
