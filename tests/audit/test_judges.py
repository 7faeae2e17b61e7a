"""Judges that an audit trains: none judges what it has learned, and none speaks without its own accuracy."""

import pytest
import torch

from amiss.audit import Plan, judges, read_audit, run_audit
from amiss.audit.judges import JUDGES, Judge, halves, make_judge
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import Interrupted, TrainingError, UsageError
from tests.audit.conftest import audited, linear_images

torch.set_num_threads(1)
PLAN = Plan(train_judge=True, judge_images=100, steps=2, epsilons=(0.1,), attacked=4, fooled=0)


def silent(what, done, total):
    """Tells nobody."""


def sided(n=200, seed=0, labels=None):
    """Bright squares on the left (0) or on the right (1), on noise."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.arange(n) % 2
    pixels = torch.randint(0, 60, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for i, right in enumerate(side.tolist()):
        pixels[i, :, 2:6, 4 * right : 4 * right + 3] += 180
    return Images.of(pixels, side if labels is None else labels, ("left", "right"))


class Top(torch.nn.Module):
    """Looks at the two sides of the upper half alone, and names the first rows' images the wrong way round."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, x):
        gap = self.scale * (x[:, 0, :4, 4:].mean((1, 2)) - x[:, 0, :4, :4].mean((1, 2)) - 0.31)
        return torch.stack([-gap, gap], 1)


def test_halves_are_by_content_and_about_equal():
    images = sided(400)
    who = halves(images)
    assert set(who.tolist()) == {0, 1}
    assert 140 <= int(who.sum()) <= 260
    turned = torch.arange(399, -1, -1)
    assert torch.equal(halves(images.pick(turned)), who[turned])
    twice = images.pick([5, 5, 5])
    assert len(set(halves(twice).tolist())) == 1


def test_each_image_is_judged_by_its_own_network(fixed):
    judge = Judge((fixed(1.0, 0.0), fixed(0.0, 1.0)), torch.tensor([0, 1, 1, 0, 1]), "two", 1.0)
    images = torch.rand(4, 1, 8, 8)
    assert judge.label(images, torch.tensor([4, 3, 0, 1]), 2).tolist() == [1, 0, 0, 1]
    assert judge.label(images[:0], torch.tensor([], dtype=torch.int64), 2).tolist() == []


def test_no_network_judges_an_image_that_it_was_trained_on(tmp_path, monkeypatch):
    images, seen = sided(), []
    train = judges._train
    monkeypatch.setattr(judges, "_train", lambda half, *rest: (seen.append(set(half.ids)), train(half, *rest)))
    judge, why = make_judge(None, images, tmp_path, PLAN, silent, device="cpu")
    assert why == ""
    assert seen[0] | seen[1] == set(images.ids)
    for k in (0, 1):
        judged = {images.ids[i] for i in (judge.who == k).nonzero().flatten().tolist()}
        assert judged and not judged & seen[k]
    assert judge.accuracy == 1.0
    assert judge.trusted
    assert str(judge).endswith("right on 100.0% of the untouched images")


def test_what_cannot_be_learned_is_not_claimed_to_be_known(tmp_path):
    # Labels by lot: a network that had seen its images could call them all by their label.
    lots = torch.randint(0, 2, (240,), generator=torch.Generator().manual_seed(1))
    judge, _ = make_judge(None, sided(240, labels=lots), tmp_path, PLAN, silent, device="cpu")
    assert 0.3 < judge.accuracy < 0.7
    assert not judge.trusted


def test_what_is_trained_lies_in_the_folder_and_is_not_trained_again(tmp_path, monkeypatch):
    images = sided()
    first, _ = make_judge(None, images, tmp_path, PLAN, silent, device="cpu")
    monkeypatch.setattr(judges, "_train", lambda *_: pytest.fail("trained once more"))
    again, _ = make_judge(None, images, tmp_path, PLAN, silent, device="cpu", train=False)
    assert again.accuracy == first.accuracy
    assert [a.fingerprint for a in again.networks] == [b.fingerprint for b in first.networks]
    (tmp_path / JUDGES[1]).unlink()
    assert make_judge(None, images, tmp_path, PLAN, silent, device="cpu", train=False) == (
        None,
        "the run folder holds none that was trained",
    )


def test_an_interrupted_training_goes_on_to_the_same_networks(tmp_path):
    def stop(what, done, total):
        if what.startswith("Training judge 2") and done > 50:
            raise Interrupted("stop", slug="interrupted", seen="", hint="")

    with pytest.raises(Interrupted):
        make_judge(None, sided(), tmp_path / "parts", PLAN, stop, device="cpu")
    assert (tmp_path / "parts" / JUDGES[0]).is_file()
    assert not (tmp_path / "parts" / JUDGES[1]).exists()
    parts, _ = make_judge(None, sided(), tmp_path / "parts", PLAN, silent, device="cpu")
    whole, _ = make_judge(None, sided(), tmp_path / "whole", PLAN, silent, device="cpu")
    assert [a.fingerprint for a in parts.networks] == [b.fingerprint for b in whole.networks]


def test_too_few_or_odd_images_train_no_judge_and_say_so(tmp_path, small, monkeypatch):
    def why(images, plan=PLAN):
        judge, why = make_judge(None, images, tmp_path, plan, silent, device="cpu")
        assert judge is None
        return why

    assert why(sided(99)) == f"99 images, {int(torch.bincount(halves(sided(99))).min())} in the smaller half, " + (
        "are too few to train one (100)"
    )
    assert "0 in the smaller half" in why(sided().pick([0] * 200))
    assert why(small(120, (1, 8, 9))) == "one is trained for squares of 8 to 64 pixels only, not 8 x 9"
    assert make_judge(None, sided(), tmp_path, Plan(), silent, device="cpu") == (None, "")

    def fails(*_):
        raise TrainingError("The loss is NaN.", slug="training-loss", seen="", hint="")

    monkeypatch.setattr(judges, "_train", fails)
    assert why(sided()) == "training one on these images failed: The loss is NaN"


def test_an_audit_trains_its_judge_and_states_its_accuracy_beside_its_word(tmp_path):
    images, classifier = sided(), Classifier(Top(), labels=["left", "right"])
    done = audited(classifier, images, tmp_path / "run", plan=PLAN)
    wrong = done.found.mistakes
    assert len(wrong)
    figures = done.account["figures"]
    assert figures["judge_accuracy"] == figures["judge_before"] == 1.0
    main = done.found.repairs["Pixel PGD"]
    assert torch.equal(main.judged_before, images.labels[wrong])
    (told,) = [n for n in done.account["notices"] if n["title"] == "What the judge says of the repairs"]
    assert told["level"] == "info"
    assert "right on 100.0% of the untouched images" in told["text"]
    assert f"true class in {figures['pixel_judge_agreement']:.1%} of those by Pixel PGD" in told["text"]
    assert "each trained on half of these 200 images" in str(done.account["methods"][-1]["settings"]["judge"])
    assert {case["judge"] for case in done.account["cases"]} == {images.classes[i] for i in images.labels[wrong]}
    read = read_audit(classifier, images, tmp_path / "run", plan=PLAN)
    assert read.judge.accuracy == 1.0
    assert torch.equal(read.repairs["Pixel PGD"].judged, main.judged)


def test_a_judge_that_is_often_wrong_is_told_with_a_warning(world, tmp_path, fixed):
    done = audited(world.classifier(), linear_images(world), tmp_path, decoder=world.codec, judge=fixed(1.0, 0.0))
    (told,) = [n for n in done.account["notices"] if "judge" in n["title"]]
    share = float((linear_images(world).labels == 0).double().mean())
    assert told["level"] == "warning"
    assert told["title"] == "The judge is often wrong itself"
    assert f"The judge given, right on {share:.1%} of the untouched images" in told["text"]
    assert told["text"].endswith("Where it disagrees, either may be right.")


def test_an_audit_without_the_images_for_a_judge_says_so(world, tmp_path):
    done = audited(world.classifier(), linear_images(world), tmp_path, plan=PLAN)
    (told,) = [n for n in done.account["notices"] if "judge" in n["title"]]
    assert (told["level"], told["title"]) == ("warning", "No judge was trained")
    assert told["text"].startswith("60 images, ")
    assert "judge_accuracy" not in done.account["figures"]


def test_a_judge_is_given_or_trained(world, tmp_path, refuses):
    with refuses(UsageError, "judge-both"):
        run_audit(world.classifier(), linear_images(world), tmp_path / "a", judge=world.classifier(), plan=PLAN)
    assert not (tmp_path / "a").exists()


def test_nobody_is_trained_where_nothing_is_repaired(tmp_path):
    images = sided()
    network = Classifier(Top(), labels=["left", "right"])
    answers = Images.of(images.pixels, network.predict(images.images()), images.classes)
    done = audited(network, answers, tmp_path / "run", plan=PLAN)
    assert done.found.judge is None
    assert not list((tmp_path / "run").glob("judge*"))
