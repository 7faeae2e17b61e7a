"""The gradient: whether it is there, finite, not zero, and true."""

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ModelError
from amiss.trust import before
from tests.trust.nets import Honest, noise, scaled

SLUGS = ("gradient-missing", "gradient-zero", "gradient-not-finite", "gradient-masked")


def gradient_flags(classifier, images=None):
    found = {flag.slug: flag for flag in before(classifier, noise(32) if images is None else images)}
    assert not found["randomness"].fired
    return {slug: found[slug] for slug in SLUGS}


def fired(classifier, images=None):
    return [slug for slug, flag in gradient_flags(classifier, images).items() if flag.fired]


@torch.no_grad()
def cut(x):
    return x * 1.0


def by_numpy(x):
    return torch.from_numpy(x.numpy().copy())


@pytest.mark.parametrize("bend", [cut, torch.Tensor.detach, by_numpy])
def test_a_gradient_that_is_cut_is_missing(bend):
    found = gradient_flags(Classifier(Honest(bend=bend)))
    assert found["gradient-missing"].fired
    assert "32 images" in found["gradient-missing"].measured
    assert found["gradient-zero"].state == found["gradient-masked"].state == "not measured"
    assert found["gradient-not-finite"].state == "clear"  # the answers, at least


def test_weights_made_for_inference_let_no_gradient_through(refuses):
    with torch.inference_mode():
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    classifier = Classifier(network)
    assert fired(classifier) == ["gradient-missing"]
    assert all(p.requires_grad for p in network.parameters())
    with refuses(ModelError, "model-no-gradient"):
        classifier.outputs(noise(2).images().requires_grad_())


@pytest.mark.parametrize("gives", ["met", "loss"])
def test_a_black_box_is_not_asked_for_a_gradient(gives):
    network = Honest(end=(lambda y: y.argmax(1)) if gives == "met" else None)
    found = gradient_flags(Classifier(network, gives=gives, labels="abc"))
    assert not any(flag.fired for flag in found.values())
    assert found["gradient-missing"].state == "not measured"
    lost = Classifier(Honest(end=lambda y: y.masked_fill(y.amax(1, keepdim=True) > 1, torch.nan)), gives="loss")
    n = int((Classifier(Honest()).outputs(noise(32).images())["answer"].amax(1) > 1).sum())
    assert 0 < n < 32
    assert gradient_flags(lost)["gradient-not-finite"].value == n / 32


def marked(k, n=32):
    """n images of which the first k have a black corner, and no other."""
    pixels = noise(n).pixels.clamp(min=1)
    pixels[:k, 0, 0, 0] = 0
    return Images.of(pixels)


@pytest.mark.parametrize(("k", "state"), [(3, "clear"), (4, "fired")])
def test_the_share_of_zero_gradients_decides(k, state):
    def still(x):  # the same value, without a way back where the corner is black
        black = (x[:, :, :1, :1] == 0).expand_as(x)
        return torch.where(black, x.detach(), x)

    flag = gradient_flags(Classifier(Honest(bend=still)), marked(k))["gradient-zero"]
    assert (flag.state, flag.value) == (state, k / 32)


def test_steps_and_saturation_have_no_gradient_to_speak_of():
    stairs = Classifier(Honest(bend=lambda x: (4 * x).round() / 4))
    assert fired(stairs) == ["gradient-zero"]
    assert gradient_flags(stairs)["gradient-masked"].state == "not measured"
    assert "gradient-zero" in fired(Classifier(Honest(end=lambda y: (100 * y).softmax(1))))
    assert fired(Classifier(Honest(end=lambda y: 1e-6 * y))) == []  # small logits are no flat ones


@pytest.mark.parametrize("k", [0, 1, 5])
def test_each_gradient_that_is_no_number_counts(k):
    root = Classifier(Honest(bend=lambda x: torch.cat([x[:, :, :1].sqrt(), x[:, :, 1:]], 2)))
    pixels = noise(32).pixels.clamp(min=1)
    pixels[:k, 0, 0, 3] = 0  # the root's slope is infinite there
    flag = gradient_flags(root, Images.of(pixels))["gradient-not-finite"]
    assert (flag.fired, flag.value) == (k > 0, k / 32)


@pytest.mark.parametrize(
    ("factor", "state"),
    [(1.0, "clear"), (-1.0, "fired"), (3.0, "fired"), (0.3, "fired"), (1.9, "clear"), (0.6, "clear")],
)
def test_a_gradient_must_say_where_the_margin_goes(factor, state):
    flag = gradient_flags(Classifier(Honest(bend=scaled(factor))))["gradient-masked"]
    assert (flag.state, flag.value) == (state, float(state == "fired"))
    assert "of 32 images" in flag.measured


def test_half_of_the_images_may_disagree():
    for k, state in ((16, "clear"), (17, "fired")):

        def turned(x):
            black = (x[:, :, :1, :1] == 0).expand_as(x)
            return torch.where(black, scaled(-1.0)(x), x)

        pixels = noise(32).pixels.clamp(min=20)
        pixels[:k, 0, 0, 0] = 0
        network = Honest(bend=turned)
        with torch.no_grad():
            network.weight[0] = 0  # so that no step changes the corner itself
        flag = gradient_flags(Classifier(network), Images.of(pixels))["gradient-masked"]
        assert (flag.state, flag.value) == (state, k / 32)


class Ripple(nn.Module):
    """Honest logits with waves of a length of a hundredth of a gray level on top, too low to change an answer."""

    def __init__(self):
        super().__init__()
        self.honest = Honest()

    def forward(self, x):
        phases = torch.arange(3)
        return self.honest(x) + 1e-3 * ((x.flatten(1)[:, :, None] * 1.6e5) + phases).sin().mean(1)


@pytest.mark.parametrize("corner", [0, 128, 255])
def test_shattered_gradients_are_found_and_walls_of_the_box_are_no_excuse(corner):
    pixels = noise(32).pixels // 2 + corner // 2
    pixels[pixels < 20] = 0
    pixels[pixels > 235] = 255
    images = Images.of(pixels)
    assert fired(Classifier(Ripple()), images) == ["gradient-masked"]
    assert fired(Classifier(Honest()), images) == []
    black_and_white = Images.of((pixels > pixels.median()).to(torch.uint8) * 255)
    assert fired(Classifier(Honest()), black_and_white) == []
    assert fired(Classifier(Honest(bend=scaled(-1.0))), black_and_white) == ["gradient-masked"]


def straight_through(x):
    """Rounded to the levels of a file, with the gradient of the identity."""
    return x + ((255 * x).round() / 255 - x).detach()


def convolutional(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = (nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        more = (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU6(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 3))
        return nn.Sequential(*layers, *more).eval().to(dtype)


@pytest.mark.parametrize(
    "network",
    [
        Honest(bend=straight_through),
        Honest(bend=lambda x: x.clamp(0, 1)),
        Honest().double(),
        Honest().bfloat16(),
        convolutional(),
        convolutional(torch.float64),
    ],
    ids=["rounded", "clamped", "double", "bfloat16", "convolutional", "convolutional in double"],
)
def test_healthy_networks_of_every_kind_pass(network):
    found = gradient_flags(Classifier(network))
    assert [slug for slug, flag in found.items() if flag.fired] == []
    assert found["gradient-masked"].state == "clear"


def test_a_network_too_coarse_to_tell_says_so():
    faint = Classifier(Honest(end=lambda y: 1e4 + 1e-2 * y))  # float32 knows 1e4 to a thousandth
    flag = gradient_flags(faint)["gradient-masked"]
    assert flag.state == "not measured" and "rounding" in flag.measured
