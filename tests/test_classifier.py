"""A pass leaves no trace, features are what the layer said, counts are exact, and errors say what to do."""

import math

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.errors import DataError, LayerError, ModelError, ParityError
from amiss.testing import LinearWorld


class Fixed(nn.Module):
    """Gives what it is told to, and remembers what it was shown."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.shown = answer, []

    def forward(self, x):
        self.shown.append(x)
        return self.answer(x)


def logits(x, m=3):
    return x.flatten(1)[:, :m]


# Preprocessing and answers


def test_preprocessing_is_that_of_the_training(images):
    net, x = Fixed(logits), images(4, (3, 2, 2))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = Classifier(net, mean=mean, std=std).outputs(x)["answer"]
    expected = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(net.shown[0], expected)
    assert torch.equal(found, logits(expected))
    Classifier(net, mean=[0.5]).outputs(x)
    assert torch.equal(net.shown[1], x - 0.5)
    Classifier(net, std=[0.5]).outputs(x)
    assert torch.equal(net.shown[2], x / 0.5)


def test_images_are_shown_in_the_networks_own_precision(images):
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double()
    x = images()
    found = Classifier(net).outputs(x)["answer"]
    assert found.dtype == x.dtype
    assert torch.equal(found, net(x.double()).float())


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_logit_is_the_log_odds_of_class_1(images, shape):
    x = images(6)
    odds = x.flatten(1).sum(1) - 18
    answer = Classifier(Fixed(lambda x: (x.flatten(1).sum(1) - 18).reshape(shape))).outputs(x)["answer"]
    assert answer.shape == (6, 2)
    assert torch.allclose(answer.softmax(1)[:, 1], odds.sigmoid())


@pytest.mark.parametrize(
    ("gives", "answer"),
    [
        ("jacobian", logits),
        ("jacobian", lambda x: logits(x)[:, :1]),
        ("met", lambda x: logits(x).argmax(1)),
    ],
)
def test_a_squeeze_may_take_the_row_of_a_single_image(images, gives, answer):
    x = images(5)
    names = "abc" if gives == "met" else None
    plain, squeezed = (
        Classifier(Fixed(f), gives=gives, labels=names) for f in (answer, lambda x: answer(x).squeeze())
    )
    for part in (x, x[:1], x[:0]):
        assert torch.equal(squeezed.outputs(part)["answer"], plain.outputs(part)["answer"])


def test_labels_alone(images):
    x = images(4)
    c = Classifier(lambda x: torch.tensor([2, 0, 1, 2]), gives="met", labels="abc")
    assert c.predict(x).tolist() == [2, 0, 1, 2]
    answer = c.outputs(x)["answer"]
    assert torch.equal(answer.exp(), nn.functional.one_hot(torch.tensor([2, 0, 1, 2])).float())
    assert c.check(x, torch.tensor([2, 0, 1, 1])).accuracy == 0.75


def test_answers_are_picked_and_classes_named(images):
    net = Fixed(lambda x: {"loss": 0, "logits": logits(x)})
    c = Classifier(net, answer=lambda out: out["logits"])
    assert c.labels is None
    assert torch.equal(c.predict(images()), logits(images()).argmax(1))
    assert c.labels == ("0", "1", "2")


# Layers


def features(net, x):
    """What conv, norm and the first use of act give, computed by hand in evaluation mode."""
    conv = nn.functional.conv2d(x, net.conv.weight, net.conv.bias, padding=1)
    n = net.norm
    norm = nn.functional.batch_norm(conv, n.running_mean, n.running_var, n.weight, n.bias)
    return {"conv": conv, "norm": norm, "act": norm.relu()}


@pytest.mark.parametrize("more", [(), ("answer",), ("mix",), ("head", "answer")], ids=str)
def test_features_are_what_the_layer_said_whatever_else_is_asked(busy, images, more):
    # ReLU in place would rewrite norm's output behind our back, and a module used twice speaks first once.
    x = images()
    seen = Classifier(busy).outputs(x, ("conv", "norm", "act", *more))
    expected = features(busy, x)
    for name, value in expected.items():
        assert torch.allclose(seen[name], value, atol=1e-6), name
    assert set(seen) == {*expected, *more}


def test_the_pass_ends_at_the_last_layer_wanted(busy, images):
    ran = []
    for name in ("conv", "norm", "mix", "head"):
        getattr(busy, name).register_forward_hook(lambda *_, name=name: ran.append(name))
    c = Classifier(busy)
    c.outputs(images(), ("conv", "norm"))
    assert ran == ["conv", "norm"]
    ran.clear()
    c.outputs(images(), ("conv", "answer"))
    assert ran == ["conv", "norm", "mix", "head"]


def test_layers_can_be_named_twice_and_differentiated(busy, images):
    x = images().requires_grad_()
    seen = Classifier(busy).outputs(x, ("act", "act"))
    (grad,) = torch.autograd.grad(seen["act"].sum(), x)
    assert grad.abs().sum() > 0
    assert set(Classifier(busy).layers) >= {"conv", "norm", "act", "head", "answer"}
    assert Classifier(logits).layers == ("answer",)


def test_names_of_layers_are_told_where_they_are_few_and_none_commands_a_terminal(refuses):
    def hint(names):
        net = nn.Sequential()
        for name in names:
            net.add_module(name, nn.Identity())
        with refuses(LayerError, "layer-unknown") as caught:
            Classifier(net).outputs(torch.zeros(1, 2), ("none",))
        return caught.value.hint

    assert all(f"part{i}" in hint([f"part{i}" for i in range(19)]) for i in range(19))
    many = hint([f"part{i}" for i in range(20)])  # and "answer"
    assert "All: " not in many and "Classifier.layers lists them all." in many
    hostile = hint(["\x1b[2J" + "x" * 500])
    assert "\x1b" not in hostile and "x" * 100 not in hostile


def test_wrong_layers(busy, images, refuses):
    c = Classifier(busy)
    for name in ("hed", ""):
        with refuses(LayerError, "layer-unknown"):
            c.outputs(images(), (name,))
    with pytest.raises(LayerError, match="Close names: head"):
        c.outputs(images(), ("hed",))
    with pytest.raises(LayerError) as caught:
        c.outputs(images(), ("hed",))
    assert f"All: {', '.join(c.layers)}." in caught.value.hint
    for layers in [("unused",), ("unused", "answer")]:
        with refuses(LayerError, "layer-unused"):
            c.outputs(images(), layers)
    pair = nn.Sequential(nn.Flatten())
    pair.add_module("pair", Fixed(lambda x: (x, x)))
    with refuses(LayerError, "layer-output"):
        Classifier(pair).outputs(images(), ("pair",))
    with refuses(LayerError, "layer-unknown"):
        Classifier(logits).outputs(images(), ("conv",))


# No trace


@pytest.mark.parametrize("case", ["answer", "layer", "both", "unknown", "unused", "raises", "interrupted"])
def test_a_pass_leaves_no_trace(busy, images, traces, case):
    c, x = Classifier(busy), images().requires_grad_()
    before = x.detach().clone()
    layers = {"layer": ("act",), "both": ("act", "answer"), "unknown": ("act", "nope"), "unused": ("unused",)}
    if case in ("raises", "interrupted"):
        error = RuntimeError("boom") if case == "raises" else KeyboardInterrupt()

        class Broken(nn.Module):
            def forward(self, x):
                raise error

        busy.drop = Broken().train()
    with traces(busy):
        try:
            out = c.outputs(x, layers.get(case, ("act", "answer")))
            sum(v.sum() for v in out.values()).backward()
        except (ModelError, KeyboardInterrupt):
            assert case in ("unknown", "unused", "raises", "interrupted")
        else:
            assert x.grad.abs().sum() > 0
            assert case in ("answer", "layer", "both")
    assert torch.equal(x.detach(), before)
    assert not x._backward_hooks


def test_dropout_and_batch_norm_are_as_in_evaluation(busy, images):
    found = Classifier(busy).outputs(images())["answer"]
    assert busy.training
    assert torch.equal(found, busy.eval()(images()))


def test_a_network_that_writes_into_its_input_cannot_reach_the_images(images):
    x = images()
    before = x.clone()
    for net in (nn.Sequential(nn.ReLU(inplace=True), nn.Flatten()), lambda x: x.neg_().flatten(1)):
        Classifier(net).outputs(x)
        Classifier(net).outputs(x.clone().requires_grad_())
    assert torch.equal(x, before)


# Counts


def test_counts_are_exact(busy, images):
    c, x = Classifier(busy), images(5)
    c.outputs(x)
    c.outputs(x[:2], ("conv",))
    assert vars(c.counts) == {"forward": 2, "backward": 0, "queries": 7}
    leaf = x.clone().requires_grad_()
    for _ in range(3):  # the same leaf again and again: what is left on it would count twice
        out = c.outputs(leaf)["answer"]
        torch.autograd.grad(out[:, 0].sum(), leaf, retain_graph=True)
        torch.autograd.grad(out[:, 1].sum(), leaf)
    assert vars(c.counts) == {"forward": 5, "backward": 6, "queries": 22}
    with pytest.raises(LayerError):
        c.outputs(x, ("nope",))
    with pytest.raises(ModelError):
        Classifier(busy, mean=(0, 0)).outputs(x)
    assert (c.counts.forward, c.counts.queries) == (5, 22)  # no pass, no count


def test_check_batches_and_predicts(images):
    c, x = Classifier(Fixed(logits)), images(7)
    y = logits(x).argmax(1)
    found = c.check(x, y, accuracy=1.0, batch=3)
    assert (found.n, found.right, found.accuracy) == (7, 7, 1.0)
    assert (found.low, found.high) == (float(logits(x).min()), float(logits(x).max()))
    assert vars(c.counts) == {"forward": 3, "backward": 0, "queries": 7}
    bytes_ = (x * 255).round().to(torch.uint8)
    assert c.check(bytes_, logits(bytes_).argmax(1)).right == 7


# Fingerprints


def test_fingerprints(busy, images):
    c = Classifier(busy, mean=[0.5])
    first = c.fingerprint
    c.outputs(images())
    assert c.fingerprint == first  # asking changes nothing
    others = [
        Classifier(busy).fingerprint,
        Classifier(busy, mean=[0.5 + 1e-7]).fingerprint,
        Classifier(busy, mean=[0.5], std=[0.5]).fingerprint,
        Classifier(busy, std=[0.5]).fingerprint,
        Classifier(busy, mean=[0.5], labels="abc").fingerprint,
        Classifier(busy, mean=[0.5], labels="abc", head=1).fingerprint,
        Classifier(busy, mean=[0.5], labels="abc", head="c").fingerprint,
    ]
    with torch.no_grad():
        busy.head.bias[0] += 1e-3
    others.append(c.fingerprint)
    assert len({first, *others}) == 9
    assert Classifier(busy, labels="abc", head=1).fingerprint == Classifier(busy, labels="abc", head="b").fingerprint


def test_a_callable_can_bring_a_fingerprint_of_its_own(images):
    class Remote:
        def __init__(self, version):
            self.fingerprint = version

        def __call__(self, x):
            return logits(x)

    assert Classifier(Remote("1")).fingerprint == Classifier(Remote("1")).fingerprint
    assert Classifier(Remote("1")).fingerprint != Classifier(Remote("2")).fingerprint
    assert Classifier(logits).fingerprint  # without one the weights are not known, and it still has a name


# Heads of a network of many labels


NAMES = ("hat", "male", "young")


def test_a_head_is_the_log_odds_of_its_attribute(images):
    x = images(5)
    for head, number in ((0, 0), ("male", 1), (2, 2)):
        c = Classifier(Fixed(logits), labels=NAMES, head=head)
        assert c.labels == (f"not {NAMES[number]}", NAMES[number])
        said = c.outputs(x)["answer"]
        assert torch.equal(said, torch.stack([torch.zeros(5), logits(x)[:, number]], 1))
        chance = said.softmax(1)[:, 1]
        assert torch.allclose(chance, logits(x)[:, number].sigmoid())
        assert torch.equal(c.outputs(x[:1])["answer"], said[:1])
    bare = Classifier(lambda x: (logits(x), None), head=1, answer=lambda out: out[0])
    assert torch.equal(bare.outputs(x)["answer"][:, 1], logits(x)[:, 1])
    assert bare.labels == ("0", "1")


def test_a_head_alone_gets_a_gradient(images):
    x = images(3).requires_grad_()
    weight = torch.tensor([1.0, 20.0, 300.0])
    c = Classifier(lambda x: x.sum((1, 2, 3))[:, None] * weight, head="b", labels="abc")
    c.outputs(x)["answer"][:, 1].sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 20.0))


def test_heads_that_are_not_there(images, refuses):
    for head, labels in ((3, NAMES), (-1, NAMES), (-1, None), ("mael", NAMES), ("male", None)):
        with refuses(ModelError, "model-head") as caught:
            Classifier(Fixed(logits), head=head, labels=labels)
        assert head != "mael" or "male" in caught.value.hint
    with refuses(ModelError, "model-head"):
        Classifier(Fixed(logits), gives="met", labels="abc", head=1)
    for net, head, labels in ((logits, 3, None), (logits, 1, NAMES[:2]), (lambda x: logits(x)[:, 0], 0, None)):
        with refuses(ModelError, "model-head"):
            Classifier(net, head=head, labels=labels).outputs(images(4))


# Errors


OUTPUTS = {
    "model-output": [lambda x: (logits(x), 1), lambda x: {"logits": logits(x)}, lambda x: None],
    "model-shape": [lambda x: x, lambda x: logits(x)[:-1], lambda x: x.sum(), lambda x: logits(x)[:-1, 0]],
    "model-classes": [lambda x: logits(x, 4)],
}


@pytest.mark.parametrize(("slug", "answer"), [(slug, f) for slug, fs in OUTPUTS.items() for f in fs])
def test_outputs_that_are_no_logits(images, refuses, slug, answer):
    with refuses(ModelError, slug):
        Classifier(answer, labels="abc").outputs(images())


@pytest.mark.parametrize("said", [[0, 1, 2, 3, 0], [0, 1], [0, -1, 0, 0, 0]], ids=str)
def test_labels_alone_that_are_no_labels(images, refuses, said):
    with refuses(ModelError, "model-classes" if len(said) == 5 else "model-shape"):
        Classifier(lambda x: torch.tensor(said), gives="met", labels="abc").outputs(images(5))


@pytest.mark.parametrize(
    "error", [ValueError(), AssertionError("C"), KeyError("k"), TypeError("a\nb"), ZeroDivisionError()]
)
def test_a_network_that_raises_is_named(images, refuses, error):
    def net(x):
        raise error

    with refuses(ModelError, "model-raises") as caught:
        Classifier(net).outputs(images())
    assert type(error).__name__ in caught.value.what
    assert caught.value.__cause__ is error


def test_what_is_not_the_networks_fault_is_passed_on(images):
    for error in (torch.OutOfMemoryError("no room"), DataError("d", slug="s", hint="h"), KeyboardInterrupt()):

        def net(x, error=error):
            raise error

        with pytest.raises(type(error)) as caught:
            Classifier(net).outputs(images())
        assert caught.value is error


def test_channels(busy, images, refuses):
    with refuses(ModelError, "model-raises"):
        Classifier(busy).outputs(images(2, (3, 6, 6)))
    with refuses(ModelError, "model-channels"):
        Classifier(busy, mean=(0.5, 0.5, 0.5)).outputs(images())
    with refuses(ModelError, "model-channels"):
        Classifier(busy, std=(0.5, 0.5, 0.5)).outputs(images())


def test_bytes_are_refused_and_not_taken_for_images(busy, refuses):
    for answer in (Classifier(busy).predict, Classifier(lambda x: x.flatten(1)).outputs):
        with refuses(DataError, "data-range"):
            answer(torch.full((2, 1, 6, 6), 255, dtype=torch.uint8))


def test_constructions_that_cannot_mean_anything(busy, refuses):
    with refuses(ModelError, "model-labels"):
        Classifier(busy, gives="met")
    for std in ([0.0], [0.2, -0.1, 0.2], [math.nan], [math.inf]):
        with refuses(ModelError, "model-std"):
            Classifier(busy, std=std)


def test_what_a_module_keeps_beside_its_tensors_is_part_of_its_fingerprint():
    class Noted(nn.Linear):
        note = 1

        def get_extra_state(self):
            return {"note": self.note}

    net = Noted(2, 2)
    before = Classifier(net).fingerprint
    assert before == Classifier(net).fingerprint
    net.note = 2
    assert before != Classifier(net).fingerprint


def test_check_refuses(busy, images, refuses):
    c, x, y = Classifier(busy), images(4), torch.tensor([0, 1, 2, 0])
    for bad in (x * 255, x - 0.5, x.where(x != x[0, 0, 0, 0], math.nan)):
        with refuses(DataError, "data-range"):
            c.check(bad, y)
    for bad in (y + 1, y - 1):
        with refuses(DataError, "data-labels"):
            c.check(x, bad)
    with refuses(DataError, "data-empty"):
        c.check(x[:0], y[:0])
    with refuses(DataError, "data-lengths"):
        c.check(x, y[:2])
    with torch.no_grad():
        busy.head.weight[0, 0] = math.nan
    with refuses(ModelError, "model-not-finite"):
        c.check(x, y)


def test_parity():
    world = LinearWorld(n=50, crowd=0.1)
    right = world.logits(world.task.image).argmax(1)
    c = world.classifier()
    assert c.check(world.task.image, right, accuracy=0.99).accuracy == 1
    assert c.check(world.task.image, world.task.label).accuracy == 0
    with pytest.raises(ParityError, match="the normalization was left out") as caught:
        c.check(world.task.image, world.task.label, accuracy=0.97)
    assert caught.value.slug == "parity-accuracy"
    assert "100.0%" not in str(caught.value) and "97.0%" in str(caught.value)
    with pytest.raises(ParityError):
        c.check(world.task.image, right, accuracy=math.nan)  # no score lies near it
    with pytest.raises(ParityError, match="another normalization"):
        world.classifier(mean=[0.5]).check(world.task.image, 1 - right, accuracy=0.9, tolerance=0.01)


def test_a_check_keeps_the_answers_and_asks_once_an_image():
    world = LinearWorld(n=10, dtype=torch.float32)
    classifier, told = world.classifier(), []
    checked = classifier.check(
        world.task.image, world.task.label, batch=4, progress=lambda done, n: told.append((done, n))
    )
    assert torch.equal(checked.predicted, world.logits(world.task.image).argmax(1))
    assert classifier.counts.queries == 10
    assert told == [(0, 10), (4, 10), (8, 10)]


def test_a_check_that_outgrows_the_memory_goes_on_with_fewer_images():
    seen = []

    def network(x):
        seen.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("too many")
        return x.flatten(1)[:, :2]

    images = torch.rand(10, 1, 2, 2)
    labels = images.flatten(1)[:, :2].argmax(1)
    check = Classifier(network).check(images, labels, batch=8)
    assert check.accuracy == 1 and len(check.predicted) == 10
    assert seen[:2] == [8, 4] and max(seen[2:]) <= 3
