"""Audits at the edges: nothing wrong, nothing right, nothing to climb, other heads, shapes, decoders and judges."""

import pytest
import torch
from torch import nn

from amiss.audit import Plan, run_audit
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.study import Store
from amiss.testing import LinearCodec, LinearWorld
from tests.audit.conftest import QUICK, audited, from_disk, linear_images


class Blind:
    """Draws an even gray whatever the code."""

    def encode(self, x):
        return x.flatten(1)[:, :4]

    def decode(self, z):
        return torch.full((len(z), 1, 8, 8), 0.5) + 0 * z.sum()


class Rolled:
    """Draws another thing: the image turned upside down."""

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z.reshape(-1, 1, 8, 8).flip(2)


def test_a_model_that_is_never_wrong(world, tmp_path):
    images = linear_images(world, wrong=0)
    done = audited(world.classifier(), images, tmp_path / "run", decoder=world.codec)
    account = done.account
    assert account["counts"] == {"images": 60, "right": 60, "wrong": 0, "unreadable": 0}
    assert account["sentence"].startswith("The model is right on all 60 images; changing no pixel by more than ")
    assert account["cases"] == []
    assert set(map(str, account["outcomes"].values())) == {"{}"}
    assert account["tiles"][0]["value"] == account["tiles"][1]["value"] == "none"
    unmeasured = {"lse_repaired", "pixel_repaired", "lse_l2", "pixel_l2", "judge_before"}
    assert not unmeasured & set(account["figures"])


def test_no_decoder_is_trained_where_there_is_no_mistake(small, fixed, tmp_path):
    images = small(8, labels=[1] * 8)
    done = audited(fixed(0.0, 1.0), images, tmp_path, plan=Plan(decoder_images=4, steps=2))
    assert not (tmp_path / "decoder").exists()
    assert "there is no mistake to train one for" in done.account["notices"][0]["text"]


def test_a_model_that_is_always_wrong(world, tmp_path):
    done = audited(world.classifier(), linear_images(world, wrong=1), tmp_path, decoder=world.codec)
    account = done.account
    assert account["counts"]["right"] == 0
    assert account["robustness"] is None
    assert "wrong on 60 of 60 images (100.0%); 100% of 60 mistakes" in account["sentence"]
    assert "accuracy from" not in account["sentence"]
    assert {tile["label"]: tile["value"] for tile in account["tiles"]}["Accuracy under attack"] == "none"
    assert not [name for name in account["figures"] if name.startswith("robust")]
    assert len(account["cases"]) == 24


class Standardizing(torch.nn.Module):
    """Divides each image by its own spread, as many do: of an even gray it makes NaN."""

    def __init__(self, classes):
        super().__init__()
        self.head = torch.nn.Linear(64, classes)
        with torch.no_grad():
            self.head.weight.copy_(LinearWorld(n=1, classes=classes).weight)

    def forward(self, x):
        x = x.flatten(1)
        return self.head((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True))


def test_a_network_that_answers_nan_off_its_images_is_audited_to_the_end(small, tmp_path):
    done = audited(Classifier(Standardizing(2)), small(), tmp_path, plan=Plan(steps=2, epsilons=(0.1,)))
    assert done.found.fooling.result.counts == {"not-finite": 2}
    # Nothing was reached, so there is no number of steps, and no confidence that JSON has a word for.
    assert [(cell["confidence"], cell["steps"], cell["verified"]) for cell in done.account["fooled"]] == [
        (None, None, False)
    ] * 2
    (lost,) = [flag for flag in done.account["flags"] if flag["slug"] == "not-finite"]
    assert (lost["state"], lost["measured"]) == ("fired", "Fooling: 2 of 2 searches")


def test_parts_that_are_not_wanted_are_left_out(world, tmp_path, refuses):
    plan = Plan(mistakes=0, attacked=0, fooled=0, imposters=0)
    account = audited(world.classifier(), linear_images(world, wrong=1 / 3), tmp_path, plan=plan).account
    assert account["sentence"] == "The model is wrong on 20 of 60 images (33.3%)."
    assert account["cases"] == account["fooled"] == []
    assert account["robustness"] is None
    assert set(account["figures"]) == {"images", "accuracy", "mistakes", "classes_fooled", "classes_tried"}
    for name in ("mistakes", "attacked", "fooled", "imposters", "steps", "batch"):
        with refuses(UsageError, "plan-counts"):
            Plan(**{name: -1})


def test_a_model_with_nothing_to_climb(small, fixed, tmp_path):
    done = audited(fixed(0.0, 1.0), small(6, labels=[0, 0, 0, 0, 1, 1]), tmp_path)
    account = done.account
    assert account["outcomes"] == {"Pixel PGD": {"no-gradient": 4}}
    assert account["verified"] == {"claimed": 0, "held": 0}
    assert "0% of 4 mistakes are put right in pixels alone; changing" in account["sentence"]
    assert account["robustness"]["accuracy"] == [pytest.approx(1 / 3)] * 8
    assert account["tiles"][1]["value"] == "none"
    assert [case["repaired_as"] for case in account["cases"]] == [None] * 4
    assert account["figures"]["classes_fooled"] == 0


def test_a_network_with_one_logit_has_two_classes(world, tmp_path):
    one = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    slope = world.weight[1] - world.weight[0]
    with torch.no_grad():
        one[1].weight.copy_(slope[None])
        one[1].bias.copy_(-0.5 * slope.sum())
    images = linear_images(world, wrong=1 / 3, classes=("cat", "dog"))
    single, double = (
        audited(classifier, images, tmp_path / name, decoder=world.codec).account
        for name, classifier in (("one", Classifier(one)), ("two", world.classifier()))
    )
    assert {case["true"] for case in single["cases"]} == {"cat", "dog"}
    assert [entry["class"] for entry in single["fooled"]] == ["cat", "dog"]
    for part in ("counts", "outcomes", "verified"):
        assert single[part] == double[part]
    assert single["robustness"]["accuracy"] == double["robustness"]["accuracy"]


def test_color_is_kept_in_every_file(small, tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 3, bias=False))
    with torch.no_grad():  # the class is the brightest channel
        network[1].weight.copy_(torch.eye(3).repeat_interleave(64, 1))
    images = small(9, (3, 8, 8), classes=("red", "green", "blue"))
    done = audited(Classifier(network, labels=images.classes), images, tmp_path)
    for case in done.account["cases"]:
        x = from_disk(done.out / case["repairs"][0]["image"])
        assert x.shape == (3, 8, 8)
        sums = dict(zip(images.classes, x.sum((1, 2)), strict=True))
        assert sums.pop(case["true"]) >= max(sums.values()) + 0.5 - 1e-4
    assert all(from_disk(done.out / entry["image"]).shape == (3, 8, 8) for entry in done.account["fooled"])


class Along(Blind):
    """A code of one number: how much of one pattern an image holds."""

    WAY = torch.linspace(-1, 1, 64) / torch.linspace(-1, 1, 64).norm()

    def encode(self, x):
        return (x.flatten(1) @ self.WAY)[:, None]

    def decode(self, z):
        return (0.5 + z * self.WAY).reshape(-1, 1, 8, 8)


def test_a_code_of_one_number_is_audited_without_maps(world, tmp_path):
    """There is no plane through it to map."""
    plan = Plan(gate=0.0, mistakes=4, attacked=0, fooled=0, findings=0)
    done = audited(world.classifier(), linear_images(world), tmp_path, decoder=Along(), plan=plan)
    assert "LSE" in done.account["outcomes"]
    assert "atlas" not in done.account


def test_a_decoder_that_ignores_its_code_is_refused(world, tmp_path, refuses):
    with refuses(ModelError, "decoder-constant") as caught:
        run_audit(world.classifier(), linear_images(world), tmp_path / "run", decoder=Blind())
    assert "16 codes, and no pixel that differs by more than 0 among their images" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_decoder_that_shows_other_images_may_not_speak(world, tmp_path):
    done = audited(world.classifier(), linear_images(world, wrong=1 / 3), tmp_path, decoder=Rolled())
    assert not done.found.gate.passed
    assert set(done.account["outcomes"]) == {"Pixel PGD"}
    assert done.account["figures"]["pixel_repaired"] == 1
    notice = done.account["notices"][0]
    assert notice["level"] == "warning"
    assert notice["title"] == "LSE cannot speak here"
    assert f"keeps {done.found.gate.explained:.0%} of the pixels' variance" in notice["text"]
    assert f"names {done.found.gate.agreement:.0%} of the reconstructions" in notice["text"]
    assert "at least 70%" in notice["text"]
    assert "without a decoder to trust" in done.account["sentence"]


def test_a_decoder_for_other_images_is_refused(world, tmp_path, refuses):
    images = linear_images(world)
    out = tmp_path / "run"
    for codec in (LinearCodec(torch.eye(16), (1, 4, 4)), LinearWorld(side=4, latent=16, dtype=torch.float32).codec):
        with refuses(ModelError, "decoder-shape"):
            run_audit(world.classifier(), images, out, decoder=codec)

    class Wider(Rolled):
        def decode(self, z):
            return super().decode(z).expand(-1, 3, -1, -1)

    with refuses(ModelError, "decoder-shape") as caught:
        run_audit(world.classifier(), images, out, decoder=Wider())
    assert not out.exists()  # the right decoder may be given next
    assert "[60, 3, 8, 8] back" in caught.value.seen


def test_too_few_or_oblong_images_train_no_decoder(small, fixed, tmp_path):
    few = audited(fixed(0.0, 1.0), small(6), tmp_path / "few", report=False).account
    assert "6 images are too few to train one (2,000)" in few["notices"][0]["text"]
    for shape, words in (((1, 8, 12), "not 8 x 12"), ((1, 6, 6), "not 6 x 6"), ((1, 66, 66), "not 66 x 66")):
        plan = Plan(decoder_images=6, steps=1, attacked=2, epsilons=(0.1,))
        done = audited(fixed(0.0, 1.0), small(6, shape), tmp_path / words, report=False, plan=plan)
        assert words in done.account["notices"][0]["text"]
        assert set(done.account["outcomes"]) == {"Pixel PGD"}


def test_two_thousand_images_train_a_decoder(tmp_path):
    # Drawn squares, one number each: where they lie. A code of a few numbers is enough for them.
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randint(0, 5, (2, 2000), generator=draw)
    pixels = torch.zeros(2000, 1, 8, 8, dtype=torch.uint8)
    for i in range(2000):
        pixels[i, :, y[i] : y[i] + 4, x[i] : x[i] + 4] = 255
    left = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        column = torch.linspace(-1, 1, 8).repeat(8)
        left[1].weight.copy_(torch.stack([-column, column]))
    images = Images.of(pixels, (x > 1).long(), ("left", "right"))  # the model thinks that right begins at 2.5
    told = []
    plan = Plan(decoder_seconds=3, mistakes=20, attacked=8, steps=3)
    done = audited(
        Classifier(left), images, tmp_path, plan=plan, progress=lambda what, done, of: told.append((what, done, of))
    )
    assert ("Training a decoder on these images", 0, 100) in told
    assert done.found.decoder.startswith("a decoder trained on these 2,000 images")
    assert (tmp_path / "decoder.safetensors").is_file()
    assert done.found.gate is not None
    assert done.found.gate.passed, str(done.found.gate)
    assert set(done.account["outcomes"]) == {"LSE", "LSE, plain decoding", "Pixel PGD"}
    assert done.account["figures"]["lse_repaired"] > 0.5


def test_a_judge_must_know_the_same_classes(world, small, fixed, tmp_path, refuses):
    images = linear_images(world)
    with refuses(ModelError, "judge-classes"):
        run_audit(world.classifier(), images, tmp_path / "run", judge=fixed(1.0, 2.0, 3.0))
    assert not (tmp_path / "run").exists()


def test_a_judge_says_what_it_sees_and_no_more(world, tmp_path, fixed):
    done = audited(world.classifier(), linear_images(world), tmp_path, decoder=world.codec, judge=fixed(1.0, 0.0))
    labels = done.images.labels
    agreed = float((labels == 0).double().mean())
    assert done.account["figures"]["lse_judge_agreement"] == done.account["figures"]["judge_before"] == agreed
    assert 0 < agreed < 1
    assert {case["judge"] for case in done.account["cases"]} == {"0"}


def test_what_cannot_be_audited_is_refused_before_anything_is_written(small, fixed, tmp_path, refuses):
    out = tmp_path / "run"
    images = small()
    with refuses(DataError, "data-unlabeled"):
        run_audit(fixed(0.0, 1.0), Images.of(images.pixels), out)
    with refuses(DataError, "data-labels"):
        run_audit(fixed(0.0, 1.0), small(classes=("a", "b", "c")), out)
    with refuses(ModelError, "model-not-finite"):
        run_audit(fixed(0.0, float("nan")), images, out)
    silent = Classifier(lambda x: torch.zeros(len(x), dtype=torch.long), gives="met", labels=["a", "b"])
    with refuses(ContractError, "audit-gradients"):
        run_audit(silent, images, out)
    assert not out.exists()


@pytest.mark.parametrize("epsilons", [(), (0.0, 0.1), (0.2, 0.1), (0.1, 0.1), (-0.1,)])
def test_radii_must_ascend(epsilons, refuses):
    with refuses(UsageError, "plan-epsilons"):
        Plan(epsilons=epsilons)


def test_each_stage_is_told_before_its_first_batch_is_done(world, tmp_path):
    told = []
    run_audit(
        world.classifier(),
        linear_images(world),
        tmp_path,
        decoder=world.codec,
        plan=QUICK,
        progress=lambda what, done, total: told.append((what.split(" (")[0], done, total)),
    )
    stages = list(dict.fromkeys(what for what, _, _ in told))
    assert stages[:6] == [
        "Asking the classifier",
        "Asking what the decoder keeps",
        "Asking whether the classifier can be believed",
        "Repairing by LSE",
        "Repairing by LSE, plain decoding",
        "Repairing by Pixel PGD",
    ]
    assert stages[-4:] == [
        "Fooling each class",
        "Encoding the images",
        "Looking for what mistakes have in common",
        "Asking whether the results can be believed",
    ]
    for stage in stages:
        if not stage.startswith("Attacking"):
            assert next(done for what, done, _ in told if what == stage) == 0
    assert all(0 <= done <= total for _, done, total in told)


def test_unreadable_files_are_counted_and_the_first_ones_named(fixed, small, tmp_path):
    lost = tuple((f"bad/{i:02d}.png", "it is cut off") for i in range(12))
    images = small(4, unreadable=lost)
    account = audited(fixed(0.0, 1.0), images, tmp_path).account
    assert account["counts"] == {"images": 16, "right": 2, "wrong": 2, "unreadable": 12}
    titles = [n["title"] for n in account["notices"] if n["level"] == "warning"]
    assert titles[:11] == [*(f"Left out: bad/{i:02d}.png" for i in range(10)), "Left out: 2 more"]
    assert account["notices"][10]["text"] == "12 files in all."


def test_names_come_from_the_classifier_and_else_from_the_data(small, fixed, tmp_path):
    images = small(4, classes=("cat", "dog"))
    own = audited(fixed(0.0, 1.0, labels=["no", "yes"]), images, tmp_path / "own", report=False).account
    bare = audited(fixed(0.0, 1.0), images, tmp_path / "bare", report=False).account
    wide = audited(fixed(0.0, 1.0, 2.0), images, tmp_path / "wide", report=False).account
    assert (own["cases"][0]["true"], own["cases"][0]["predicted"]) == ("no", "yes")
    assert (bare["cases"][0]["true"], bare["cases"][0]["predicted"]) == ("cat", "dog")
    assert (wide["cases"][0]["true"], wide["cases"][0]["predicted"]) == ("0", "2")


def test_attributes_are_counted_apart(tmp_path):
    # The model says 1 where an image is bright, and images are bright where their attribute is high.
    labels, high = torch.arange(80) % 2, (torch.arange(80) // 2) % 2
    pixels = (50 + 150 * high.to(torch.uint8)).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    bright = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        bright[1].weight.copy_(torch.tensor([[0.0], [1.0]]).expand(2, 64) / 64)
        bright[1].bias.copy_(torch.tensor([0.5, 0.0]))
    table = {"long": high.double(), "rare": torch.arange(80) == 3}
    images = Images.of(pixels, labels, ("no", "yes"), table=table)
    account = audited(Classifier(bright), images, tmp_path).account
    assert account["table_head"] == ["Attribute", "True class", "Wrong in the low half", "Wrong in the high half"]
    assert account["table"] == [["long", "no", "0%", "100%"], ["long", "yes", "100%", "0%"]]


def test_hostile_names_are_only_names(fixed, small, tmp_path):
    worst = ("</script><img src=x onerror=alert(1)>", '"\u2028\\..//<!--')
    images = small(6, classes=worst, names=[f"../{worst[0]}/{i}" for i in range(6)])
    done = audited(fixed(0.0, 1.0), images, tmp_path)
    assert done.account["cases"][0]["true"] == worst[0]
    assert done.account["cases"][0]["name"].startswith("../</script>")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    inside = {path.resolve() for path in tmp_path.rglob("*.png")}
    assert all(path.is_relative_to(tmp_path.resolve()) for path in inside)
    assert len(inside) >= 6


def test_rounding_is_the_only_difference_between_a_claim_and_its_file(world):
    # What the probe hands back is on the lattice already: files cannot take a success away.
    task = world.task
    from amiss.recipes import lse

    result = lse(world.codec).run(world.classifier(), task)
    assert torch.equal(to_bytes(result.images).float() / 255, result.images)


def test_a_success_that_its_file_does_not_hold_is_none(world, tmp_path, monkeypatch):
    # Small repairs are written as they were before: those successes are claims, and no more.
    images, place = linear_images(world, wrong=0.5), {}
    whole = audited(world.classifier(), images, tmp_path / "plain", report=False)
    plain, wrong = whole.sizes("Pixel PGD"), whole.found.mistakes.tolist()
    small = [i for i, size in plain.items() if size < 0.15]
    n = len(small)
    assert 15 < n < 30

    def forgetful(store, path, image):
        name = store.folder.name
        if name == "pixel-pgd":
            place[path] = k = int(path.stem.split("-")[-1])
            image = images.pixels[wrong[k]] if wrong[k] in small else image
        elif name == "fooling":
            image = torch.full_like(image, 128)
        honest(store, path, image)

    honest = Store.write_image
    monkeypatch.setattr(Store, "write_image", forgetful)
    done = audited(world.classifier(), images, tmp_path / "lost", report=False)
    part, account = done.found.repairs["Pixel PGD"], done.account
    assert sorted(place.values()) == list(range(30))
    assert part.verified.tolist() == [i not in small for i in range(30)]
    assert account["outcomes"] == {"Pixel PGD": {"met": 30 - n, "exhausted": n}}
    assert account["verified"] == {"claimed": 32, "held": 30 - n}
    assert account["figures"]["classes_fooled"] == 0
    assert account["figures"]["pixel_repaired"] == (30 - n) / 30
    assert account["figures"]["verified_from_disk"] == (30 - n) / 32
    held = sorted(size for i, size in plain.items() if i not in small)
    assert account["figures"]["pixel_l2"] == pytest.approx(held[(len(held) - 1) // 2], abs=1e-5)
    lost = [case for case in account["cases"] if not case["verified"]]
    assert {(case["outcome"], case["repaired_as"]) for case in lost} == {("exhausted", None)}
    assert all("did not survive" in case["repairs"][0]["reason"] for case in lost)


def notices(done):
    return {notice["title"]: notice["text"] for notice in done.account["notices"] if notice["level"] == "warning"}


def test_images_of_one_class_are_audited_and_said_to_be(small, world, tmp_path):
    for k, (classes, said) in enumerate(((("1",), "'1', which is '0' to"), (("0",), "the class '0'. There"))):
        done = audited(world.classifier(), small(12, labels=[0] * 12, classes=classes), tmp_path / str(k))
        text = notices(done)["One class only"]
        assert text.startswith("All 12 images are of the class")
        assert said in text
        assert "no other class to compare it with" in text
        assert sum(done.account["counts"][part] for part in ("right", "wrong")) == 12
        assert {case["true"] for case in done.account["cases"]} <= {"0"}


def test_images_of_several_classes_are_not_said_to_be_of_one(linear):
    assert "One class only" not in notices(linear)
    assert "One answer only" not in notices(linear)


def test_a_classifier_with_one_answer_is_said_to_have_one(small, fixed, tmp_path):
    done = audited(fixed(0.0, 1.0), small(6), tmp_path / "both")
    assert notices(done)["One answer only"].startswith("The classifier answers '1' to all 6 images.")
    done = audited(fixed(0.0, 1.0), small(6, labels=[1] * 6), tmp_path / "one")
    assert "One answer only" not in notices(done)  # it is the right one
    assert "One class only" in notices(done)
