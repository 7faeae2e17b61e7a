"""Maps, paths and the atlas: regions of known shape, places of known class, a minimum with a known wall."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.analysis import around, atlas_record, class_map, differ, plane_2d, plane_through, trace
from amiss.classifier import Classifier
from amiss.constraints import LatentNorm
from amiss.errors import ContractError, UsageError
from amiss.objectives import Become
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.spaces import Latent
from amiss.task import Task
from amiss.testing import LinearWorld

FLAT = LinearWorld(n=6, latent=2, seed=3)
DEEP = LinearWorld(n=4, latent=6, seed=1)


def opened(world, i=0):
    image = world.task.image[i]
    return world.classifier(), world.codec, image, world.codec.encode(image[None])[0]


def search(world, **options):
    space, until = Latent(world.codec), options.pop("until", "budget")
    return Probe(space, Become(margin=0.1), LatentNorm(0.0), Adam(0.05), until, Budget(60), **options)


@pytest.mark.parametrize("residual", [True, False], ids=["moved", "decoded"])
def test_regions_of_a_linear_world_are_half_planes(residual):
    """The margin of c(x') is w.(x + B eps - 1/2), that of c(g(z)) is w.B z, wherever the box does not bind."""
    classifier, codec, image, z = opened(FLAT)
    extent = ((-0.4, 0.4), (-0.4, 0.4))
    shown = class_map(classifier, codec, image, z, plane_2d(z), extent, 41, residual=residual, levels=None)
    along = torch.linspace(-0.4, 0.4, 41, dtype=torch.float64)
    y, x = torch.meshgrid(along, along, indexing="ij")
    codes = torch.stack([x, y], -1).reshape(-1, 2)
    drawn = 0.5 + codes @ codec.basis.mT if not residual else image.flatten() + (codes - z) @ codec.basis.mT
    assert float(drawn.min()) > 0
    assert float(drawn.max()) < 1, "the box binds here, and the formula does not hold"
    margin = (drawn - 0.5) @ (FLAT.weight[1] - FLAT.weight[0])
    clear = margin.abs() > 1e-9
    assert torch.equal(shown.labels.flatten()[clear], (margin > 0).long()[clear])
    assert torch.allclose(shown.probability.flatten(), margin.abs().sigmoid())
    assert shown.classes == (0, 1)
    assert shown.share(0) + shown.share(1) == 1


def test_at_the_code_itself_the_map_is_the_classifiers_answer_bit_for_bit():
    for world in (FLAT, DEEP):
        classifier, codec, image, z = opened(world)
        plane = plane_through(z, z + 1)
        shown = class_map(classifier, codec, image, z, plane, ((-1, 1), (-1, 1)), 3, batch=1, levels=None)
        answer = classifier.outputs(image[None])["answer"].softmax(1).max(1)
        assert float(shown.probability[1, 1]) == float(answer.values)
        assert shown.at(0, 0) == int(answer.indices)


def test_the_classifier_is_shown_what_a_file_can_hold():
    """With two gray levels every pixel is 0 or 1, so the map is that of images rounded so."""
    classifier, codec, image, z = opened(FLAT)
    shown = class_map(classifier, codec, image, z, plane_2d(z), n=5, levels=2)
    along = torch.linspace(-4, 4, 5, dtype=torch.float64)
    y, x = torch.meshgrid(along, along, indexing="ij")
    codes = torch.stack([x, y], -1).reshape(-1, 2)
    change = codec.decode(codes) - codec.decode(z[None])
    rounded = (image + change).clamp(0, 1).round()
    assert torch.equal(shown.labels.flatten(), classifier.predict(rounded))


def test_a_map_does_not_depend_on_the_batch():
    classifier, codec, image, z = opened(FLAT)
    maps = [class_map(classifier, codec, image, z, plane_2d(z), n=9, batch=batch) for batch in (1, 7, 100)]
    assert all(torch.equal(maps[0].labels, one.labels) for one in maps[1:])


def test_places_have_the_label_of_their_nearest_node():
    classifier, codec, image, z = opened(FLAT)
    shown = class_map(classifier, codec, image, z, plane_2d(z), ((0, 1), (0, 2)), 3)
    shown = replace(shown, labels=torch.arange(9).reshape(3, 3))
    assert [shown.at(0, 0), shown.at(1, 0), shown.at(0, 2), shown.at(0.3, 1.4)] == [0, 2, 6, 4]
    assert shown.at(-5, 9) == 6


def test_maps_differ_in_a_share_of_their_nodes(refuses):
    classifier, codec, image, z = opened(FLAT)
    one = class_map(classifier, codec, image, z, plane_2d(z), n=4)
    assert differ(one, one) == 0
    other = replace(one, labels=one.labels + torch.eye(4, dtype=torch.int64))
    assert differ(one, other) == 4 / 16
    with refuses(UsageError, "atlas-grids"):
        differ(one, class_map(classifier, codec, image, z, plane_2d(z), n=5))


@pytest.mark.parametrize(("n", "extent"), [(1, ((-1, 1), (-1, 1))), (5, ((1, 1), (0, 1))), (5, ((0, 1), (2, -2)))])
def test_an_empty_map_is_refused(n, extent, refuses):
    classifier, codec, image, z = opened(FLAT)
    with refuses(UsageError, "atlas-extent"):
        class_map(classifier, codec, image, z, plane_2d(z), extent, n)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("d", [2, 3, 16])
def test_a_plane_goes_through_its_three_codes(d):
    code, solution, other = random(3, d)
    plane = plane_through(code, solution, other)
    axes = torch.stack([plane.u, plane.v])
    assert torch.allclose(axes @ axes.mT, torch.eye(2, dtype=torch.float64))
    places = plane.place(torch.stack([code, solution, other]))
    assert torch.allclose(plane.codes(places[:, 0], places[:, 1]), torch.stack([code, solution, other]))
    assert torch.equal(places[0], torch.zeros(2, dtype=torch.float64))
    assert float(places[1, 0]) == pytest.approx(float((solution - code).norm()))
    assert float(places[1, 1]) == pytest.approx(0)
    assert float(places[2, 1]) > 0


def _still(z, _):
    return z, None


def _on_the_line(z, step):
    return z + step, z - 2 * step


def _nowhere(z, step):
    return z + step, z


def _same(z, step):
    return z, z + step


@pytest.mark.parametrize("lie", [_still, _on_the_line, _nowhere, _same])
@pytest.mark.parametrize("d", [2, 7])
def test_points_that_span_no_plane_get_one_all_the_same(lie, d):
    z, step = random(2, d)
    points = lie(z, step)
    plane = plane_through(z, *points)
    axes = torch.stack([plane.u, plane.v])
    assert torch.allclose(axes @ axes.mT, torch.eye(2, dtype=torch.float64))
    for point in [p for p in points if p is not None]:
        place = plane.place(point)
        assert torch.allclose(plane.codes(place[0], place[1]), point)


def test_codes_of_one_dimension_span_no_plane(refuses):
    with refuses(ContractError, "atlas-plane"):
        plane_through(torch.zeros(1), torch.ones(1))


@pytest.mark.parametrize("world", [FLAT, DEEP], ids=["2-D", "6-D"])
def test_a_path_begins_at_the_image_and_ends_in_the_targets_region(world):
    classifier, task = world.classifier(), world.task
    result, paths = trace(search(world), classifier, task)
    again = search(world).run(classifier, task)
    assert torch.equal(result.p, again.p)
    assert bool(result.met.all())
    for i, path in enumerate(paths):
        assert torch.equal(path.eps[0], torch.zeros_like(path.eps[0]))
        assert int(path.labels[0]) == 1 - int(task.target[i])
        assert torch.equal(path.eps[-1], result.p[i])
        assert int(path.labels[-1]) == int(task.target[i])
        assert path.turns.tolist() == [*range(61), 60]
        images = task.image[i] + (path.eps @ world.codec.basis.mT).reshape(-1, *world.shape)
        assert torch.equal(path.labels, classifier.predict(images.clamp(0, 1)))
        assert bool((path.labels[path.met] == task.target[i]).all())


def test_a_sample_that_waits_has_no_step():
    """With until="met" a sample's path ends at its first success, whatever the others do."""
    result, paths = trace(search(DEEP, until="met"), DEEP.classifier(), DEEP.task)
    for path, outcome in zip(paths, result.outcomes, strict=True):
        assert len(path) == outcome.first + 2
        assert path.met.tolist() == [False] * outcome.first + [True, True]


@pytest.mark.parametrize("world", [FLAT, DEEP], ids=["2-D", "6-D"])
def test_the_atlas_says_of_each_place_what_the_classifier_says_there(world):
    classifier = world.classifier(labels=["a", "b"])
    result, paths = trace(search(world), classifier, world.task)
    record, pictures = atlas_record(classifier, world.codec, result, paths, ids=[f"c{i}" for i in range(world.n)],
                                    n=81, thumbs=5, levels=None)  # fmt: skip
    assert record["classes"] == ["a", "b"]
    assert [case["case"] for case in record["cases"]] == [f"c{i}" for i in range(world.n)]
    for i, case in enumerate(record["cases"]):
        n, (left, right), (low, high) = case["n"], case["x"], case["y"]
        assert len(case["decoded"]) == len(case["moved"]) == n * n == 81 * 81
        moved = torch.tensor(case["moved"]).reshape(n, n)
        column, row = round((case["code"][0] - left) / (right - left) * 80), round(
            (case["code"][1] - low) / (high - low) * 80
        )  # fmt: skip
        # The image lies a step off the nearest node; its region is far wider than a cell.
        assert int(moved[row, column]) == int(classifier.predict(world.task.image[i][None])[0])
        assert case["path"][0][2] == 1 - int(world.task.target[i])
        assert case["path"][-1][:2] == case["solution"]
        assert case["path"][-1][2] == int(world.task.target[i])
        assert case["title"] == "{} called {}".format(*("ab" if int(world.task.target[i]) == 0 else "ba"))
        assert all(left <= x <= right and low <= y <= high for x, y, _ in case["path"])
        assert case["outcome"] == "met"
        assert case["differ"] == sum(a != b for a, b in zip(case["decoded"], case["moved"], strict=True)) / n**2
        assert pictures[case["thumbs"]["image"]].shape == (1, 5 * world.side, 5 * world.side)
        through = "code, solution" if case["runner_up"] is None else "code, solution, runner-up"
        assert case["plane"] == ("latent" if world is FLAT else through)
        assert case["origin"] == ([0, 0] if world is FLAT else None)
    assert set(pictures) == {case["thumbs"]["image"] for case in record["cases"]}


def test_the_picture_shows_the_decoded_images_lowest_y_on_top():
    classifier = FLAT.classifier(labels=["a", "b"])
    result, paths = trace(search(FLAT), classifier, FLAT.task)
    record, pictures = atlas_record(classifier, FLAT.codec, result, paths, n=3, thumbs=3)
    case = record["cases"][0]
    codes = torch.tensor([[x, y] for y in (case["y"][0], 0, case["y"][1]) for x in (case["x"][0], 0, case["x"][1])])
    drawn = (FLAT.codec.decode(codes.double()).clamp(0, 1) * 255).round().to(torch.uint8)
    sheet = pictures["atlas/0000.png"]
    side = FLAT.side
    for k, image in enumerate(drawn):
        row, column = divmod(k, 3)
        assert torch.equal(sheet[:, row * side : (row + 1) * side, column * side : (column + 1) * side], image)


def test_a_case_with_two_solutions_shows_both():
    """Adam's first success overshoots; drawn back by the penalty, the search meets a smaller one."""
    probe = replace(search(DEEP), constraint=LatentNorm(0.3))
    record, _ = atlas_record(DEEP.classifier(), DEEP.codec, *trace(probe, DEEP.classifier(), DEEP.task), n=2)
    two = [case for case in record["cases"] if case["runner_up"] is not None]
    assert two
    for case in two:
        assert case["runner_up"][1] >= 0
        assert case["code"] == [0, 0]
        assert case["solution"][0] > 0
        assert case["solution"][1] == pytest.approx(0, abs=1e-12)


class Island(nn.Module):
    """Class 1 on a disc around (2.5, 0); the way there climbs first, for a pit lies around (-1, 0)."""

    def forward(self, x):
        place = 8 * (x.flatten(1) - 0.5)
        pit = (place - place.new_tensor([-1.0, 0.0])).norm(dim=1)
        island = (place - place.new_tensor([2.5, 0.0])).norm(dim=1)
        gap = 1.5 * (-(pit**2)).exp() + 4 * (-4 * island**2).exp() - 2
        return torch.stack([torch.zeros_like(gap), gap], 1)


class Bare:
    def encode(self, x):
        return 8 * (x.flatten(1) - 0.5)

    def decode(self, z):
        return (0.5 + z / 8).reshape(-1, 1, 1, 2)


def stranded():
    image = Bare().decode(torch.tensor([[-0.7, 0.2]], dtype=torch.float64))
    task = Task(torch.zeros(1, dtype=torch.int64), image, label=torch.ones(1).long(), target=torch.ones(1).long())
    probe = Probe(Latent(Bare()), Become(margin=0.0), LatentNorm(0.0), Adam(0.02), "met", Budget(300))
    return probe, Classifier(Island(), labels=["sea", "land"]), task


def test_a_planted_minimum_is_walled_and_the_island_is_on_the_map():
    probe, classifier, task = stranded()
    result, (path,) = trace(probe, classifier, task)
    assert result.outcomes[0].status == "exhausted"
    assert set(path.labels.tolist()) == {0}
    end = Bare().encode(task.image)[0] + result.p[0]
    assert torch.allclose(end, torch.tensor([-1.0, 0.0], dtype=torch.float64), atol=0.02)
    near = around(probe, classifier, task, result.p[0])
    assert near.walled >= 0.8
    shown = class_map(classifier, Bare(), task.image[0], end - result.p[0], plane_2d(end), n=81, levels=None)
    assert 1 in shown.classes
    assert shown.at(2.5, 0) == 1
    assert shown.at(*end.tolist()) == 0


def test_on_a_slope_there_is_no_wall():
    probe, classifier, task = stranded()
    assert (
        around(probe, classifier, task, torch.tensor([0.3, 0.0], dtype=torch.float64), radii=(0.05, 0.1)).walled == 0
    )


def test_walls_are_looked_for_in_two_dimensions(refuses):
    with refuses(ContractError, "atlas-around"):
        around(search(DEEP), DEEP.classifier(), DEEP.task.rows(torch.tensor([0])), torch.zeros(6))
