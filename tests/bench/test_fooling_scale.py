"""Parts of the bench of fooling images at scale: their quick forms, their files, and measures on known cases."""

import pytest
import torch

from amiss.analysis.champions import agreement
from amiss.bench import fooling_imagenet, fooling_long, fooling_transfer
from amiss.bench.bench import Run, Skip
from amiss.bench.fooling_cost import cost, drawn_slowly
from amiss.bench.fooling_imagenet import CHAMPIONS, GRADIENT, Champions, load_champions, target
from amiss.bench.lenets import lenet
from amiss.repro import fold
from amiss.spaces import CPPN
from amiss.task import Task

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = Run(10, True, tmp_path_factory.mktemp("fooling"))
    return run, *fooling_imagenet.imagenet(run)


def test_champions_are_judged_from_their_bytes_and_kept_for_others(made):
    run, figures, told = made
    classifier, shape = target(run)
    for name, kind in ((CHAMPIONS, "cppn"), (GRADIENT, "direct")):
        found = load_champions(run, name)
        assert found.images.dtype == torch.uint8 and found.images.shape == (10, *shape)
        logits = classifier.outputs(found.images.float() / 255)["answer"]
        assert torch.allclose(logits.softmax(1).diagonal(), found.confidence, atol=1e-5)
        assert kind in told
    pictures = load_champions(run)
    assert torch.equal((CPPN(shape).draw(pictures.p) * 255).round().to(torch.uint8), pictures.images)
    assert figures["imagenet_cppn_100k"] == float(pictures.confidence.median())
    assert told["cppn"]["evaluations"] == pictures.evaluations == 2000


def test_a_gradient_is_counted_as_three_evaluations(made):
    _, figures, told = made
    few, many = told["direct"]["100k"], told["direct"]["120k"]
    assert few["evaluations"] <= 100 * few["n"] and many["evaluations"] <= 120 * many["n"]
    assert few["evaluations"] % 3 == many["evaluations"] % 3 == 0 and few["evaluations"] > 0
    assert few["median"] <= many["median"]
    assert figures["imagenet_direct_99"] == many["at_least_99"] / 10


def test_parts_that_need_champions_wait_for_them(tmp_path):
    run = Run(10, True, tmp_path)
    for part in (cost, fooling_transfer.transfer):
        with pytest.raises(Skip, match="imagenet comes first"):
            part(run)


def test_the_loop_over_pixels_draws_the_same():
    space, key = CPPN((1, 7, 5)), torch.arange(6)
    p = space.start(Task(key))
    for turn in range(12):
        p = space.vary(p, fold(key, turn), turn)
    slow = torch.tensor([drawn_slowly(drawing, 7, 5) for drawing in space.describe(p)], dtype=torch.float64)
    assert torch.allclose(space.draw(p, dtype=torch.float64)[:, 0], slow, atol=1e-9)


def test_what_evolution_costs(made):
    run = made[0]
    figures, told = cost(run)
    assert figures["add_ms"] > 0 and figures["render_speedup"] > 10
    assert all(a > 0 and b > 0 for a, b in zip(told["128"]["inside"], told["128"]["outside"], strict=True))
    assert type(lenet(run).network).__name__ == "LeNet"


def test_images_fool_the_network_that_they_were_made_for(made):
    run = made[0]
    figures, told = fooling_transfer.transfer(run)
    assert told["digits"]["itself"]["gradient"]["same"] == 10
    row = told["networks"]["again"]["cppn"]
    assert figures["cppn_transfer"] == row["same"] / row["n"]
    assert row["share"][1] < row["share"][0] < row["share"][2] or row["share"][0] in (0, 1)


def test_the_answers_that_are_meant_are_counted_as_by_the_analysis(made):
    classifier, images = lenet(made[0]), load_champions(made[0], GRADIENT).images
    for label in (torch.arange(10), torch.arange(10).roll(1), torch.arange(10).where(torch.arange(10) < 4, 0)):
        told, own = fooling_transfer._agreed(classifier, images, label), agreement(classifier, images, label)
        assert (told["n"], told["same"], told["share"][0]) == (10, int(own.same.sum()), own.share)
        assert told["median_probability"] == float(own.confidence.median())
    assert fooling_transfer._agreed(classifier, images, torch.arange(10).roll(1))["same"] == 0


def test_the_surest_are_shown(made):
    run = made[0]
    found = load_champions(run, GRADIENT)
    rising = Champions(found.images, torch.arange(10) / 10, 0, found.p)
    shown = fooling_transfer._shown(lenet(run), rising)
    assert shown["n"] == 10 and shown["own_median"] == pytest.approx(0.4)


def test_a_long_evolution_goes_on_where_it_was_stopped(made, tmp_path, monkeypatch):
    run = made[0]
    (tmp_path / "lenet-10.safetensors").write_bytes((run.place / "lenet-10.safetensors").read_bytes())
    whole = fooling_long.long(run)
    monkeypatch.setattr(fooling_long, "_PIECE", -1.0)
    pieces = Run(10, True, tmp_path)
    for _ in range(3):  # a generation each
        with pytest.raises(Skip, match="of 2,000 evaluations so far"):
            fooling_long.long(pieces)
    monkeypatch.setattr(fooling_long, "_PIECE", 60.0)
    assert fooling_long.long(pieces)[0] == whole[0]
    other = Run(11, True, tmp_path)
    (tmp_path / "lenet-11.safetensors").write_bytes((run.place / "lenet-10.safetensors").read_bytes())
    with pytest.raises(Skip, match="of another search"):
        fooling_long.long(other)
