"""The experiment with imposters: laws over its bounds, its contrast group, and what its record says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from amiss.analysis.geometry import r1
from amiss.analysis.pairs import Pairs
from amiss.audit.contrast import CONTRAST
from amiss.audit.desk import Desk
from amiss.audit.figures import percent
from amiss.audit.imposter_pages import imposter_words, sweep_known, sweep_record, sweep_rows
from amiss.audit.inversions import invert_pairs
from amiss.audit.plan import Plan
from amiss.audit.portraits import strips
from amiss.audit.sweep import Sweep, SweepExperiment
from amiss.audit.transfers import images_digest, matrix, read_matrix
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError, LayerError
from amiss.report import build
from tests.audit.conftest import from_disk, strict
from tests.audit.test_imposters import Two

SWEEP = Sweep(("quarters", "rise"), deltas=(4 / 255, 20 / 255), pairs=8, steps=12, inverted=1, batch=16)


@pytest.fixture(scope="module")
def images():
    """Two classes of 70 gray images 8 x 8, enough for their neighborhoods; all are rightly classified."""
    g = torch.Generator().manual_seed(5)
    pixels = torch.randint(96, 160, (140, 1, 8, 8), generator=g).to(torch.uint8)
    said = Classifier(Two()).predict(pixels.float() / 255)
    order = torch.cat([(said == c).nonzero().flatten()[:65] for c in (0, 1)])
    return Images.of(pixels[order], said[order], ("a", "b"))


@pytest.fixture(scope="module")
def swept(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "run"
    return SweepExperiment(Classifier(Two()), images, SWEEP).run(out), out


@pytest.fixture(scope="module")
def account(swept):
    found, out = swept
    rows = matrix(found, {"own": Classifier(Two()), "other": Classifier(Two())}, lambda *_: None)["rows"]
    return strict(
        json.dumps(sweep_record(found, Classifier(Two()), out, model="m", data="d", command="c", transfer=rows))
    )


def test_more_room_brings_imposters_nearer_and_never_too_far(swept):
    found, out = swept
    assert [(part.layer, round(part.delta * 255)) for part in found.parts] == [
        (layer, levels) for layer in ("quarters", "rise") for levels in (4, 20)
    ]
    for small, large in (found.parts[:2], found.parts[2:]):
        assert float(large.ratio.median()) < 0.9 * float(small.ratio.median())
    for part in found.parts:
        for path, source in zip(part.paths, part.pairs.source.tolist(), strict=True):
            change = from_disk(out / path) - found.images.images([source])[0].double().numpy()
            assert np.abs(change).max() <= part.delta + 1e-6
        assert part.geometry is not None
        assert torch.allclose(part.geometry.r1, part.ratio)
        assert torch.allclose(r1(part.units[:, 1], part.units[:, 0], part.units[:, 2]), part.ratio[:4])


def test_label_adversaries_are_measured_where_they_have_the_guides_label(swept, account):
    found, _ = swept
    met = found.contrast.result.met
    assert 0 < int(met.sum()) <= 8
    said = Classifier(Two()).predict((found.contrast.result.images * 255).round() / 255)
    assert bool((said == found.images.truth[found.pairs.guide])[met].all())
    assert {layer: len(g) for layer, g in found.around.items()} == dict.fromkeys(SWEEP.layers, int(met.sum()))
    groups = {row["group"] for row in account["imposters"]["sparsity"]}
    assert groups == {"imposters", CONTRAST}
    assert f"{int(met.sum())} of 8" in account["imposters"]["notes"][0]


def test_sentence_and_tiles_are_of_one_layer_and_one_bound(swept, account):
    found, _ = swept
    told = found.parts[2]  # of the last layer, 4/255 is nearer to 10/255 than 20/255 is
    assert account["sentence"].startswith(f"In layer rise at 4/255, {percent(told.label)} of 8 imposters")
    tiles = {tile["label"]: (tile["value"], tile["note"]) for tile in account["tiles"]}
    assert tiles["Take the guide's label"] == (percent(told.label), "rise, at 4/255")
    assert tiles["Distance left"] == (f"{np.median(told.ratio.numpy()):.2f}", "median R1 of rise, at 4/255")
    assert {(panel["layer"], panel["delta"]) for panel in account["imposters"]["inversion"]} == {("rise", "4/255")}


@pytest.mark.parametrize(("after", "before", "said"), [(0, 0, ""), (3, 0, "in 100%"), (0, 3, "in 0%")])
def test_of_neighbors_that_never_were_the_guides_the_sentence_is_silent(swept, after, before, said):
    found, _ = swept
    full = torch.full((8,), 0)
    part = replace(found.parts[0], shared=full + after, shared_before=full + before)
    words = imposter_words(part)
    assert ("neighbors" in words) == bool(said) and said in words


def test_what_a_layers_name_commands_a_terminal_is_left_out(swept):
    assert "in layer a?[2Jb at 4/255" in imposter_words(replace(swept[0].parts[0], layer="a\x1b[2Jb"))


def test_histograms_count_everyone_once(swept, account):
    found, _ = swept
    for cell in account["imposters"]["metrics"]:
        for entry in cell["histograms"]:
            assert entry["edges"] == sorted(entry["edges"])
            for group in entry["groups"]:
                assert sum(group["counts"]) == group["n"] > 0
                assert len(group["counts"]) == len(entry["edges"]) - 1
    part = found.parts[0]
    medians = {g["name"]: g["median"] for g in account["imposters"]["metrics"][0]["histograms"][1]["groups"]}
    assert medians["imposters"] == pytest.approx(float(np.median(part.geometry.likelihood.numpy())))


def test_strips_hold_the_units_of_three_images_in_one_order(swept):
    part = swept[0].parts[1]
    for entry, three in zip(strips(part), part.units.double(), strict=True):
        values = {name: [int(digit, 16) for digit in entry[name]] for name in ("source", "imposter", "guide")}
        assert {len(row) for row in values.values()} == {4}
        rise = np.array(values["guide"]) - np.array(values["source"])
        assert (np.diff(rise) >= -1).all()  # the order of what guide and source say, up to the rounding of digits
        flat = sorted(((three - three.min()) / (three.max() - three.min()) * 15).round().int().flatten().tolist())
        assert sorted(digit for row in values.values() for digit in row) == flat


def test_inversions_are_of_source_imposter_and_guide(swept, account):
    found, out = swept
    assert [(one.layer, one.pair) for one in found.inverted] == [("quarters", 0), ("rise", 0)]
    (panel,) = account["imposters"]["inversion"]
    for one, row in zip(found.inverted, panel["layers"], strict=True):
        assert [row[name] for name in ("source", "imposter", "guide")] == list(one.paths)
        assert all((out / path).is_file() for path in one.paths)
    # Means of quarters are found again from grey, each of its own image.
    wanted = found.images.images(torch.stack([found.pairs.source[0], found.pairs.guide[0]]))
    for k, path in ((0, one_path(found, 0)), (1, one_path(found, 2))):
        seen = from_disk(out / path)[0].reshape(2, 4, 2, 4).mean((1, 3)).ravel()
        own = wanted[k, 0].double().numpy().reshape(2, 4, 2, 4).mean((1, 3)).ravel()
        assert np.linalg.norm(seen - own) / np.linalg.norm(own) == pytest.approx(
            found.inverted[0].near[2 * k], abs=1e-5
        )


def one_path(found, which):
    return found.inverted[0].paths[which]


def test_one_image_three_times_is_inverted_to_one_image(swept, tmp_path):
    part = swept[0].parts[0]
    pairs = Pairs(part.pairs.source[:2], part.pairs.source[:2])
    same = replace(part.result, images=swept[0].images.images(pairs.source))
    part = replace(part, pairs=pairs, result=same)
    desk = Desk(Classifier(Two()), Plan(batch=16), tmp_path, lambda *_: None)
    for one in invert_pairs(desk, swept[0].images, part, ["quarters"], ["again"], 2):
        assert len(set(one.paths)) == 3
        source, imposter, guide = (from_disk(tmp_path / path) for path in one.paths)
        assert np.array_equal(source, imposter) and np.array_equal(source, guide)


def test_the_record_names_every_figure_that_was_promised(swept, account):
    found, out = swept
    assert set(sweep_known(SWEEP)) == set(account["figures"])
    assert account["figures"]["imposter_ratio.rise@20/255"] == pytest.approx(
        float(found.parts[3].ratio.quantile(0.5))
    )
    assert len(account["outcomes"]) == 5
    head, rows = sweep_rows(found)
    assert len(rows) == 4 * 8 and {len(row) for row in rows} == {len(head)}
    assert {method["name"] for method in account["methods"]} == {"Imposters", "Label adversaries", "Inversion"}
    assert build(account, out).is_file()


def test_reading_finds_the_same_and_nothing_else(swept, account, images, tmp_path):
    found, out = swept
    classifier = Classifier(Two())
    again = SweepExperiment(classifier, images, SWEEP).read(out)
    for one, two in zip(found.parts, again.parts, strict=True):
        assert torch.equal(one.ratio, two.ratio) and torch.equal(one.answers, two.answers)
    studies, whole = SweepExperiment(classifier, images, SWEEP).studies(out)
    assert whole and len(studies) == 4 + 1 + 2
    with pytest.raises(DataError, match="run-missing"):
        SweepExperiment(classifier, images, SWEEP).read(tmp_path / "none")
    with pytest.raises(DataError, match="run-other"):
        SweepExperiment(classifier, images, Sweep(("rise",), pairs=8)).read(out)
    rows = account["imposters"]["transfer"]
    kept = {"images": matrix(found, {}, lambda *_: None)["images"], "rows": rows}
    assert read_matrix(kept, again)["rows"] == rows


def test_a_matrix_of_numbers_that_cannot_be_is_none(swept, account):
    found, _ = swept
    said = {"images": images_digest(found), "rows": account["imposters"]["transfer"]}
    assert read_matrix({**said, "more": 1}, found) == said

    def hurt(**values):
        return read_matrix({**said, "rows": [{**said["rows"][0], **values}, *said["rows"][1:]]}, found)

    made = said["rows"][0]["made"]
    for share in (float("nan"), float("inf"), -0.1, 1.1, True, None, "0.5"):
        assert hurt(made={**made, "guide": {**made["guide"], "share": share}}) is None
    for values in ({"right": True}, {"right": -1}, {"right": 9}, {"n": 7}, {"n": 8.0}, {"side": -1}, {"side": True}):
        assert hurt(**values) is None
    strange = {**made, "more": float("nan"), "guide": {**made["guide"], "more": []}}
    assert hurt(made=strange, more=float("nan")) == said


@pytest.mark.parametrize(("among", "told"), [(3, False), (4, False), (5, True)])
def test_of_neighbors_nothing_is_told_where_there_is_none_to_choose(images, tmp_path, among, told):
    few, out = images.pick(torch.tensor([0, 65, 1, 66, 2][:among])), tmp_path / "run"
    sweep = Sweep(("answer",), deltas=(10 / 255,), pairs=1, steps=1, inverted=0)
    found = SweepExperiment(Classifier(Two()), few, sweep).run(out)
    (part,) = found.parts
    assert part.among == among
    assert (part.neighbors is not None) == (part.neighbors_before is not None) == told
    made = sweep_record(found, Classifier(Two()), out, model="m", data="d", command="c")
    record = strict(json.dumps(made))
    section = record["imposters"]
    assert ("imposter_neighbors.answer@10/255" in record["figures"]) == told
    assert {name for name in sweep_known(sweep) if name not in record["figures"]} <= {
        "imposter_neighbors.answer@10/255",
        "verified_from_disk",
    }
    assert ("neighbors" in section["sentence"]) == told
    cell, row = section["table"][0], section["rows"][0]
    assert all((value is not None) == told for value in (cell["neighbors"], cell["neighbors_before"], row["shared"]))
    head, rows = sweep_rows(found)
    assert (rows[0][head.index("shared")] != "") == told
    assert build(record, out).is_file()


class Folded(Two):
    """A layer whose rows are no images, on the way to the same answer."""

    def __init__(self):
        super().__init__()
        self.fold = nn.Flatten(0, 1)

    def forward(self, x):
        self.fold(x.expand(-1, 3, -1, -1).reshape(1, -1, 8, 8))
        return super().forward(x)


def test_a_layer_whose_rows_are_no_images_is_refused_before_the_data_are_read(images, tmp_path):
    classifier = Classifier(Folded())
    with pytest.raises(LayerError, match="layer-rows"):
        SweepExperiment(classifier, images, Sweep(("quarters", "fold"), pairs=1)).run(tmp_path / "run")
    assert classifier.counts.queries == 2 * 2
    assert not (tmp_path / "run").exists()


def test_few_natural_images_leave_the_metrics_out_and_say_so(images, tmp_path):
    few = images.pick(torch.cat([torch.arange(20), torch.arange(65, 85)]))
    sweep = Sweep(("answer",), deltas=(10 / 255,), pairs=3, steps=2, inverted=0)
    found = SweepExperiment(Classifier(Two()), few, sweep).run(tmp_path / "run")
    assert found.contrast is None and found.parts[0].geometry is None and not found.inverted
    record = sweep_record(found, Classifier(Two()), tmp_path / "run", model="m", data="d", command="c")
    assert record["imposters"]["metrics"] == [] and "fewer than 60" in record["imposters"]["notes"][0]
