"""Networks of many labels at the command line, read by one head; tables beside labels; judges trained on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)

MANY = '''
import torch
from torch import nn


class Spots(nn.Module):
    """Three logits an image: whether its left, right and lower corner are bright; its bar for the right is high."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        left, right, below = x[:, 0, :3, :3], x[:, 0, :3, 5:], x[:, 0, 5:, :3]
        bar = (0.45, 0.75, 0.45)
        return torch.stack([part.mean((1, 2)) - b for part, b in zip((left, right, below), bar)], 1) * self.scale


def spots():
    return Spots()
'''
FEW = ("--mistakes", "4", "--attacked", "4", "--steps", "3", "--eps", "0.1", "--fooled", "0", "--json")


@pytest.fixture
def spots(amiss):
    """spots/ in CelebA's layout: 96 images of three corners, each bright or not; nets.py gets a network of them."""
    rng = np.random.default_rng(0)
    there = rng.integers(0, 2, (96, 3))
    Path("spots/img_align_celeba").mkdir(parents=True)
    rows, splits = ["96", "left right below"], []
    for i, row in enumerate(there):
        image = rng.integers(0, 40, (8, 8), dtype=np.uint8)
        for bright, at in zip(row, ((0, 0), (0, 5), (5, 0)), strict=True):
            level = 120 if at == (0, 5) and i % 4 == 0 else 200  # a right corner that a bar of 0.75 does not pass
            image[at[0] : at[0] + 3, at[1] : at[1] + 3] += np.uint8(level * bright)
        name = f"{i + 1:06d}.jpg"
        Image.fromarray(image).save(Path("spots/img_align_celeba", name), format="png")
        rows.append(f"{name} {' '.join(f'{2 * bright - 1:2d}' for bright in row)}")
        splits.append(f"{name} {0 if i < 64 else 2}")
    Path("spots/list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    Path("spots/list_eval_partition.txt").write_text("\n".join(splits) + "\n")
    Path("many.py").write_text(MANY)
    return there[64:]


def told(said):
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_one_head_of_many_is_checked_run_and_audited(amiss, spots):
    both = ("many.py:spots", "spots", "--head")
    assert told(amiss("check", *both, "0", "--label-column", "left", "--json"))["accuracy"] == 1.0
    wrong = int((spots[:, 1][::4] == 1).sum())  # every fourth right corner is too dark for it
    assert 0 < wrong < 8
    right = ("1", "--label-column", "right")
    assert told(amiss("check", *both, *right, "--json"))["accuracy"] == pytest.approx(1 - wrong / 32)
    ran = told(amiss("run", "pgd", *both, *right, "--eps", "0.2", "--steps", "3", "--limit", "6", "--json"))
    assert sum(ran["counts"].values()) == 6
    audited = told(amiss("audit", *both, *right, "--out", "a", *FEW))
    assert audited["mistakes"] == wrong
    account = json.loads(Path("a/audit.json").read_text())
    assert {case["true"] for case in account["cases"]} == {"right"}
    assert {case["predicted"] for case in account["cases"]} == {"not right"}
    rows = {row[0] for row in account.get("table", [])}
    assert rows <= {"left", "below"}


def test_a_classifier_of_attributes_is_trained_and_audited_by_the_name_of_a_head(amiss, spots):
    said = amiss("train", "attributes", "spots", "--out", "m", "--epochs", "80")
    assert said.code == 0, said.err
    assert "attributes, images 32, accuracy 1, majority 0." in said.out
    model = ("m/model.safetensors", "spots")
    for head in ("left", "right", "below"):
        one = ("--head", head, "--label-column", head)
        assert told(amiss("check", *model, *one, "--json"))["accuracy"] == 1.0
    amiss("check", *model, "--label-column", "left").refused("usage-head", "3 heads: left, right, below", code=2)
    amiss("check", *model, "--head", "lefft", "--label-column", "left").refused("model-head", "Close names: left")
    # One head's classes against another column's labels are not called the same thing.
    account = told(amiss("audit", *model, "--head", "below", "--label-column", "below", "--out", "a", *FEW))
    assert account["accuracy"] == 1.0
    again = told(
        amiss("train", "attributes", "spots", "--out", "n", "--epochs", "1", "--columns", "below, left", "--json")
    )
    assert again["preset"]["loss"]["heads"] == ["below", "left"]
    amiss("train", "attributes", "spots", "--out", "o", "--columns", "up").refused("data-attributes", "'up'")
    amiss("train", "classifier", "spots", "--out", "o", "--columns", "left", "--label-column", "left").refused(
        "train-option", code=2
    )
    amiss("train", "classifier", "spots", "--out", "o").refused("data-csv-columns")
    made = amiss("train", "classifier", "spots", "--out", "c", "--label-column", "left", "--epochs", "1")
    assert made.code == 0, made.err
    decoder = amiss("train", "vae", "spots", "--out", "d", "--epochs", "1", "--latent", "2")
    assert decoder.code == 0, decoder.err  # a decoder needs no labels


def test_a_table_beside_labels_counts_mistakes_by_attribute_and_goes_with_the_run(amiss):
    for name, dark in (("bright", 0), ("dark", 1)):
        for i in range(4, 60):
            level = 140 if (i % 3 == 0) == bool(dark) else 10
            level = 150 - level if not dark else level
            Image.fromarray(np.full((8, 8), level + i, np.uint8)).save(f"photos/{name}/{dark}{i}.png")
    names = sorted(path.name for path in Path("photos").rglob("*.png"))
    rows = "".join(f"{name},{int(name[1:-4]) % 3 == 0:d}\n" for name in names)
    Path("more.csv").write_text("file,third\n" + rows)
    said = amiss("audit", "nets.py:build", "photos", "--table", "more.csv", "--out", "runs/a", *FEW)
    assert said.code == 0, said.err
    account = json.loads(Path("runs/a/audit.json").read_text())
    assert {row[0] for row in account["table"]} == {"third"}
    assert "--table more.csv" in account["command"]
    assert 'table = "../../more.csv"' in Path("runs/a/config.toml").read_text()
    assert amiss("show", "runs/a", "--rebuild", "--model", "nets.py:build").code == 0
    assert json.loads(Path("runs/a/audit.json").read_text())["table"] == account["table"]
    for verb, more in ((["check"], []), (["audit"], []), (["run", "pgd"], ["--eps", "0.1"])):
        Path("more.csv").write_text("file,third\n" + rows + "lost.png,1\n")
        amiss(*verb, "nets.py:build", "photos", "--table", "more.csv", *more).refused(
            "data-table-rows", "1 rows: 'lost.png'"
        )
        Path("more.csv").write_text("file,third\n" + rows.partition("\n")[2])
        lines = amiss(*verb, "nets.py:build", "photos", "--table", "more.csv", *more).refused(
            "data-table-rows", "1 images"
        )
        assert "a row for each" in lines["Try"]
    amiss("audit", "digits", "--table", "more.csv").refused("usage-digits", "--table", code=2)


def test_what_a_list_of_attributes_lacks_is_named_in_the_audit(amiss, spots):
    path = Path("spots/list_attr_celeba.txt")
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].replace("000096", "777777")
    path.write_text("\n".join(lines) + "\n")
    said = amiss("audit", "many.py:spots", "spots", "--head", "0", "--label-column", "left", "--out", "a", *FEW)
    assert said.code == 0, said.err
    assert "Left out: img_align_celeba/000096.jpg: has no row in list_attr_celeba.txt" in said.err
    notices = {n["title"]: n["text"] for n in json.loads(Path("a/audit.json").read_text())["notices"]}
    assert notices["Left out: img_align_celeba/000096.jpg"] == "has no row in list_attr_celeba.txt"
    assert "has no row in list_eval_partition.txt" in notices["Left out: 777777.jpg"]


def test_a_judge_is_too_much_for_few_images_at_the_command_line(amiss, spots):
    options = ("--head", "1", "--label-column", "right", "--train-judge", "--out", "a")
    said = amiss("audit", "many.py:spots", "spots", *options, *FEW)
    assert said.code == 0, said.err
    notices = {n["title"]: n["text"] for n in json.loads(Path("a/audit.json").read_text())["notices"]}
    assert "are too few to train one (1,000)" in notices["No judge was trained"]
    assert "train_judge = true" in Path("a/config.toml").read_text()
    assert "--train-judge" in json.loads(Path("a/audit.json").read_text())["command"]
    for left in ("judge-0", "judge-1.safetensors"):  # as a longer run would leave them
        Path("a", left).mkdir()
    assert amiss("audit", "many.py:spots", "spots", *options, *FEW, "--overwrite").code == 0
    assert not list(Path("a").glob("judge*"))
    both = ("--judge", "nets.py:build")
    amiss("audit", "many.py:spots", "spots", *options[:-1], "b", *both, *FEW).refused("judge-both", code=2)
