"""The experiment with label attacks, on networks whose nearest boundary is known of every image."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.analysis.transfer import seen_at
from amiss.audit.attack_pages import attack_known, attack_record, attack_rows
from amiss.audit.attack_recipes import NAMES, Attacks
from amiss.audit.attack_transfers import (
    attack_matrix,
    attacks_digest,
    read_attack_matrix,
    transfer_figures,
    transfer_words,
)
from amiss.audit.attacks import AttackExperiment
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, DataError, Interrupted, UsageError
from amiss.recipes import RECIPES, worst
from amiss.report import build
from tests.audit.conftest import strict

SIDE, EPS, STEEP = 8, 20 / 255, 100.0
FEW = Attacks(EPS, images=8, steps=10, queries=60, batch=8)


class Half(nn.Module):
    """Class 0 where the mean of some columns is above a half, and ahead by STEEP times what it is above it."""

    def __init__(self, first=0, last=SIDE):
        super().__init__()
        weight = torch.zeros(1, 1, SIDE, SIDE)
        weight[..., first:last] = STEEP / (SIDE * (last - first))
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        ahead = (self.weight * (x - 0.5)).sum((1, 2, 3))
        return torch.stack([ahead, torch.zeros_like(ahead)], 1)


def whole(**given):
    return Classifier(Half(), labels=["bright", "dark"], **given)


def halves():
    return {
        name: Classifier(Half(*at), labels=["bright", "dark"]) for name, at in (("left", (0, 4)), ("right", (4, 8)))
    }


@pytest.fixture(scope="module")
def images():
    """Flat images, some within the radius of the boundary and some not; two have the wrong label."""
    levels = [128 + 4 * k for k in range(2, 10)] + [127 - 4 * k for k in range(2, 10)]
    pixels = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, SIDE, SIDE).clone()
    labels = (pixels[:, 0, 0, 0] < 128).long()
    labels[[0, 8]] = 1 - labels[[0, 8]]
    return Images.of(pixels, labels, ("bright", "dark"))


@pytest.fixture(scope="module", autouse=True)
def quicker():
    """A worst case of fewer steps: the boundary is flat."""
    with pytest.MonkeyPatch.context() as patch:
        for name, fewer in (("_STEPS", 10), ("_CLASSES", 1), ("_QUERIES", 20)):
            patch.setattr(worst, name, fewer)
        yield


@pytest.fixture(scope="module")
def found(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("attacks")
    return AttackExperiment(whole(), images, FEW).run(out), out


def apart(found):
    """How far each attacked image is from the boundary, in every pixel."""
    return (found.images.images(found.chosen).mean((1, 2, 3)) - 0.5).abs()


def test_right_answers_are_attacked_and_no_others(found):
    done, _ = found
    assert (done.right, len(done.chosen)) == (14, 8)
    assert not {0, 8} & set(done.chosen.tolist())
    assert [part.recipe for part in done.parts] == list(NAMES)


def test_within_the_radius_falls_what_lies_nearer_than_it(found):
    done, _ = found
    near = apart(done) < EPS - 1 / 255
    assert 0 < int(near.sum()) < len(near)
    for part in done.parts:
        if part.recipe in ("fgsm", "pgd", "worst_case"):
            assert torch.equal(part.fell, near), part.recipe
            assert part.result.linf.max() <= EPS + 1e-6
        assert not (part.fell & ~near).any(), part.recipe
    assert torch.equal(done.standing, ~near)


def test_the_smallest_change_is_the_way_to_the_boundary(found):
    done, _ = found
    way = apart(done) * SIDE
    for part in done.parts:
        met = part.result.met
        assert (part.result.l2[met] >= way[met] - 1e-4).all(), part.recipe
        if part.recipe in ("deepfool", "ddn", "label_opt"):
            # Files hold whole levels, and the margin is half a thousandth of the way.
            assert met.all() and (part.result.l2 <= way + 1.01 * SIDE / 255).all(), part.recipe


def test_figures_rows_and_page_say_the_same(found):
    done, out = found
    record = strict(json.dumps(attack_record(done, whole(), out, model="m", data="d", command="c")))
    figures = record["figures"]
    near = int((apart(done) < EPS - 1 / 255).sum())
    assert figures["withstood@20/255"] == pytest.approx(1 - near / 8)
    assert figures["robust_accuracy@20/255"] == pytest.approx(14 / 16 * (1 - near / 8))
    assert figures["within.pgd"] == pytest.approx(near / 8) and figures["success.ddn"] == 1
    assert figures["queries.fgsm"] <= 2
    assert set(figures) <= set(attack_known(FEW)) and figures["verified_from_disk"] == 1
    head, rows = attack_rows(done)
    assert len(rows) == 8 * len(NAMES) and {len(row) for row in rows} == {len(head)}
    assert sum(row[head.index("within")] for row in rows if row[0] == "pgd") == near
    section = record["attacks"]
    assert section["transfer"] is None and section["stood"]["share"] == figures["withstood@20/255"]
    assert {row["recipe"] for row in section["rows"]} == {p.recipe for p in done.parts if p.result.met.any()}
    assert "drawn by the seed" in section["notes"][0]
    assert build(record, out).is_file()


def test_reading_finds_the_same_and_nothing_else(found, images, tmp_path):
    done, out = found
    again = AttackExperiment(whole(), images, FEW).read(out)
    assert attacks_digest(again) == attacks_digest(done)
    studies, all_of_them = AttackExperiment(whole(), images, FEW).studies(out)
    assert all_of_them and len(studies) == len(NAMES)
    with pytest.raises(DataError, match="run-missing"):
        AttackExperiment(whole(), images, FEW).read(tmp_path / "none")
    with pytest.raises(DataError, match="run-other"):
        AttackExperiment(whole(), images, replace(FEW, steps=11)).read(out)


@pytest.fixture(scope="module")
def matrix(images, tmp_path_factory):
    """Two networks of which each looks at its own half: what is made for one is nothing to the other."""
    out = tmp_path_factory.mktemp("matrix")
    models, asked = halves(), replace(FEW, recipes=("ddn", "pgd", "square"))
    done = AttackExperiment(models["left"], images, asked).run(out)
    return done, attack_matrix(done, models, out, lambda *_: None), models, out


def test_what_is_made_for_one_half_is_nothing_to_the_other(matrix):
    done, made, _, out = matrix
    rows = made["rows"]
    assert [(row["recipe"], row["source"], row["model"]) for row in rows] == [
        (recipe, source, model)
        for source in ("left", "right")
        for recipe in ("pgd", "ddn", "square")
        for model in ("left", "right")
    ]
    by = {(row["recipe"], row["source"], row["model"]): row for row in rows}
    for source, other in (("left", "right"), ("right", "left")):
        # The two are mirror images of each other, and the images are flat.
        assert by["ddn", source, source]["changed"] == by["ddn", source, source]["met"] == len(done.chosen)
        assert by["pgd", source, source]["changed"] == int((apart(done) < EPS - 1 / 255).sum())
        for recipe in ("ddn", "pgd"):
            assert by[recipe, source, other]["changed"] == 0, recipe
    told = transfer_figures([row for row in rows if row["recipe"] == "ddn"])
    assert told["transfer_own"] == 1 and told["transfer_max"] == told["transfer_mean"] == 0
    assert len(list((out / "studies").glob("*-for-*"))) == 3
    assert transfer_figures(rows[:1]) == {}


def test_the_sentence_is_about_what_lies_furthest_above_its_control():
    def row(recipe, model, changed, noise):
        return {"recipe": recipe, "source": "a", "model": model, "n": 10, "changed": changed, "noise": noise}

    loud, telling, own = row("ddn", "b", 6, 9), row("fgsm", "b", 4, 1), row("pgd", "a", 10, 0)
    assert transfer_words([own]) == ""
    assert "fgsm made for a, 40% break b too" in transfer_words([own, loud, telling])
    assert transfer_words([own, loud]).startswith("No recipe breaks another model more often than random signs")


def test_the_same_network_under_two_names_falls_as_its_namesake(images, tmp_path):
    models, asked = {"one": whole(), "two": whole()}, replace(FEW, recipes=("pgd",))
    done = AttackExperiment(models["one"], images, asked).run(tmp_path)
    rows = attack_matrix(done, models, tmp_path, lambda *_: None)["rows"]
    assert len({row["changed"] for row in rows}) == 1 and rows[0]["changed"] > 0
    record = attack_record(done, models["one"], tmp_path, model="one", data="d", command="c", transfer=rows)
    record = strict(json.dumps(record))
    cells = record["attacks"]["transfer"]
    assert [(cell["source"], cell["model"]) for cell in cells] == [(a, b) for a in models for b in models]
    assert cells[0]["changed"]["share"] == record["figures"]["transfer_mean"] == record["figures"]["transfer_own"]
    assert "pgd made for one" in record["attacks"]["transfer_sentence"]
    assert build(record, tmp_path).is_file()


def test_a_model_of_another_side_is_attacked_through_the_resizing(images):
    class Wide(nn.Module):
        def forward(self, x):
            assert x.shape[-1] == 2 * SIDE
            return Half()(nn.functional.avg_pool2d(x, 2))

    wide = Classifier(Wide(), labels=["bright", "dark"], size=2 * SIDE)
    seen = seen_at(wide, SIDE)
    x = images.images().requires_grad_()
    out = seen.outputs(x)["answer"]
    assert torch.allclose(out, Half()(images.images()), atol=1e-4)
    assert out[:, 0].sum().backward() is None and bool((x.grad != 0).any())
    assert seen_at(wide, 2 * SIDE) is wide and seen_at(whole(), SIDE).size is None


def test_a_stop_between_models_keeps_what_was_made(matrix):
    done, made, models, out = matrix
    turns = iter(range(100))
    with pytest.raises(Interrupted):
        attack_matrix(done, models, out, lambda *_: None, stop=lambda: next(turns) >= 3)
    assert attack_matrix(done, models, out, lambda *_: None) == made


def test_a_matrix_of_numbers_that_cannot_be_is_none(matrix):
    done, made, *_ = matrix
    assert read_attack_matrix({**made, "more": 1}, done) == made
    first, *rest = made["rows"]
    for hurt in ({"n": 0}, {"n": 9}, {"changed": -1}, {"noise": True}, {"side": "x"}, {"model": 3}, {"met": 99}):
        assert read_attack_matrix({**made, "rows": [{**first, **hurt}, *rest]}, done) is None, hurt
    for said in (None, [], {"images": "0", "rows": []}, {**made, "rows": 3}):
        assert read_attack_matrix(said, done) is None


def test_models_that_agree_on_nothing_have_no_matrix(images, tmp_path):
    upside = Classifier(nn.Sequential(Half(), Flipped()), labels=["bright", "dark"])
    done = AttackExperiment(whole(), images, replace(FEW, recipes=("fgsm",))).run(tmp_path)
    rows = attack_matrix(done, {"one": whole(), "two": upside}, tmp_path, lambda *_: None)["rows"]
    assert rows == []
    record = attack_record(done, whole(), tmp_path, model="m", data="d", command="c", transfer=rows)
    assert "no transfer matrix" in record["attacks"]["notes"][-1]


class Flipped(nn.Module):
    def forward(self, logits):
        return logits.flip(1)


@pytest.mark.parametrize(
    ("gives", "names"),
    [("loss", ["square", "nes", "spsa", "hop_skip_jump"]), ("met", ["hop_skip_jump"])],
)
def test_of_less_access_less_is_run_and_that_is_said(images, tmp_path, gives, names):
    labels = {"labels": ["bright", "dark"]}
    model = (
        whole(gives="loss") if gives == "loss" else Classifier(lambda x: Half()(x).argmax(1), gives="met", **labels)
    )
    done = AttackExperiment(model, images, replace(FEW, images=3)).run(tmp_path)
    assert [part.recipe for part in done.parts] == names
    record = attack_record(done, model, tmp_path, model="m", data="d", command="c")
    assert "worst_case" in record["attacks"]["notes"][0] and "success.pgd" not in record["figures"]
    with pytest.raises(ContractError, match="contract-ladder"):
        AttackExperiment(model, images, replace(FEW, recipes=("pgd",))).run(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_every_recipe_that_attacks_labels_is_run():
    others = {"eot", "invert"}  # before a camera, and of no label
    assert {*NAMES} == {name for name, recipe in RECIPES.items() if recipe.over == "images"} - others


def test_radii_go_by_the_channels_where_none_is_given():
    assert Attacks().radius(1) == 0.1 and Attacks().radius(3) == 8 / 255 and Attacks(0.2).radius(3) == 0.2


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ({"recipes": ("pdg",)}, "attacks-recipes"),
        ({"recipes": ("pgd", "pgd")}, "attacks-recipes"),
        ({"images": 0}, "attacks-counts"),
        ({"queries": 0}, "attacks-counts"),
        ({"eps": 0.0}, "attacks-radius"),
        ({"eps": -0.1}, "eps-negative"),
        ({"eps": 8.0}, "eps-units"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, slug):
    with pytest.raises(UsageError, match=slug):
        Attacks(**given)


def test_without_a_right_answer_there_is_nothing_to_attack(images, tmp_path):
    wrong = Images.of(images.pixels, 1 - images.labels, images.classes).pick(torch.arange(1, 8))
    with pytest.raises(DataError, match="attacks-none"):
        AttackExperiment(whole(), wrong, FEW).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_queries_that_break_what_the_gradient_leaves_are_told(images, tmp_path):
    class Blind(nn.Module):
        """The same answers, and a gradient that leads nowhere."""

        def forward(self, x):
            return Half()(x).detach() + 0 * x.sum((1, 2, 3))[:, None]

    near = images.pick(torch.tensor([1, 2, 9, 10]))
    model = Classifier(Blind(), labels=["bright", "dark"])
    done = AttackExperiment(model, near, replace(FEW, recipes=("pgd", "square"), queries=200)).run(tmp_path)
    flag = next(flag for flag in done.flags if flag.slug == "black-box-better")
    assert flag.fired and flag.value == 1 and "square" in flag.measured
