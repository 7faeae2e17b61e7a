"""Learned acquisition through the trainer: killed and resumed to the same bits, saved, and told what it records."""

from dataclasses import replace

import pytest
import torch

from amiss.analysis.findings.statistics import auc
from amiss.data import Images, open_data
from amiss.data.sequence_sources import open_sequences
from amiss.errors import DataError, ModelError, UsageError
from amiss.loading import open_classifier
from amiss.models import Illumination, LitCaptioner, LitClassifier, PickedClassifier, build
from amiss.training import KINDS, evaluate, load_model, train
from amiss.training.losses import ClassifierLoss
from amiss.training.patterns import evidence, patterns_for_class, patterns_for_sentence

torch.set_num_threads(1)

STEPS, KILLED = 12, 7


def killed_and_whole(kind, data, test, tmp_path, **options):
    """The same run in one go, and in two."""
    preset = KINDS[kind].preset(data, seed=3, **options)
    preset = replace(preset, training=replace(preset.training, steps=STEPS, epochs=None, batch=16))
    whole = train(preset, data, test)

    def kill(progress):
        if progress.step == KILLED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(preset, data, test, out=tmp_path, on_step=kill)
    again = train(preset, data, test, out=tmp_path)
    assert again.history.resumed == KILLED
    there = again.model.state_dict()
    assert all(torch.equal(t, there[name]) for name, t in whole.model.state_dict().items())
    assert again.history.losses == whole.history.losses
    assert again.facts["figures"] == whole.facts["figures"] == evaluate(whole.model, preset, test)
    again.save(tmp_path / "model.safetensors")
    model, facts = load_model(tmp_path / "model.safetensors")
    assert all(torch.equal(t, there[name]) for name, t in model.state_dict().items())
    assert facts["figures"] == whole.facts["figures"]
    return model, facts["figures"]


@pytest.mark.parametrize("world", ["digit-movies", "signals"])
def test_a_picker_is_cooled_and_goes_on_with_the_same_bits(world, tmp_path):
    data, test = (open_sequences(world, split=split, limit=40) for split in ("train", "test"))
    model, figures = killed_and_whole("sequence-classifier", data, test, tmp_path, keep=3, hidden=4, width=2)
    assert isinstance(model, PickedClassifier)
    assert figures["frames_kept"] == 3
    kept = {name for name in figures if name.startswith("kept:")}
    assert kept == {f"kept:{t}" for t in model.picker.hard().nonzero().flatten().tolist()}
    last = 5 * 0.06 ** ((STEPS - 1) / STEPS)
    assert model.picker.temperature.item() == pytest.approx(last)
    assert bool(model.picker.raw.any()), "no score has moved"


def test_a_light_is_learned_and_goes_on_with_the_same_bits(tmp_path):
    data, test = (open_data("digits", split=split, limit=96) for split in ("train", "test"))
    model, figures = killed_and_whole("classifier", data, test, tmp_path, patterns=5, noise=0.05)
    assert isinstance(model, LitClassifier)
    assert figures["patterns"] == 5
    classifier = open_classifier(str(tmp_path / "model.safetensors"))
    assert classifier.outputs(test.images()[:3])["answer"].shape == (3, 10)
    preset = KINDS["classifier"].preset(data, seed=3, patterns=5, noise=0.05)
    first = build(preset.model, seed=3)
    assert not torch.equal(first.light.scores, model.light.scores), "no pattern was learned"


def test_more_frames_than_a_movie_has_or_noise_without_patterns_are_refused():
    data = open_sequences("digit-movies", limit=20)
    with pytest.raises(UsageError) as caught:
        train(KINDS["sequence-classifier"].preset(data, keep=10), data)
    assert caught.value.slug == "picker-frames"
    images = open_data("digits", limit=50)
    with pytest.raises(UsageError) as caught:
        train(KINDS["classifier"].preset(images, noise=0.1), images)
    assert caught.value.slug == "illumination"
    assert KINDS["classifier"].preset(images, patterns=2).loss == ClassifierLoss()


def bars(n, seed=0):
    """Gray noise of 6 x 6 pixels, brighter in the left half where it shows what is wanted."""
    lots = torch.Generator().manual_seed(seed)
    wanted = torch.randint(2, (n,), generator=lots) > 0
    x = 0.4 + 0.1 * torch.rand(n, 1, 6, 6, generator=lots)
    x[wanted, :, :, :3] += 0.1
    return x, wanted


def test_the_best_pattern_is_light_where_what_is_wanted_is():
    """The matched filter: half the pixels differ, so the best signs are theirs; the others only add noise."""
    x, wanted = bars(400)
    light = patterns_for_class(x, wanted, noise=0.01, steps=150)
    assert light.hard()[0, :, :3].mean() == 1
    asked, true = bars(200, seed=1)
    best = auc(evidence(light, asked), true)
    assert best > 0.99
    assert best > auc(evidence(Illumination(1, 6, 1).eval(), asked), true)
    again = patterns_for_class(x, wanted, noise=0.01, steps=150)
    assert torch.equal(light.scores, again.scores)
    with pytest.raises(DataError) as caught:
        patterns_for_class(x, torch.ones(400) > 0)
    assert caught.value.slug == "patterns-wanted"


def test_several_readings_are_no_evidence():
    """Of colors or patterns, readings for an image and against it would cancel in a sum."""
    x, wanted = bars(40)
    colors = torch.cat([x, 1 - x, x], 1)  # what is brighter in one channel is darker in another
    with pytest.raises(UsageError, match="patterns-one"):
        patterns_for_class(colors, wanted, steps=1)
    with pytest.raises(UsageError, match="patterns-one"):
        evidence(Illumination(3, 6, 1), colors)
    with pytest.raises(UsageError, match="patterns-one"):
        evidence(Illumination(1, 6, 2), x)


def test_a_sentence_gets_a_light_of_its_own_before_a_captioner_whose_voice_stays():
    x, wanted = bars(200)
    x = torch.nn.functional.pad(x, (1, 1, 1, 1))
    captions = ["long hair" if one else "short hair" for one in wanted.tolist()]
    images = Images.of((x * 255).to(torch.uint8), captions=captions)
    preset = KINDS["captioner"].preset(images, hidden=8)
    told = {name: preset.model["arguments"][name] for name in ("words", "size", "length", "hidden")}
    preset = replace(
        preset,
        model={"architecture": "LitCaptioner", "arguments": {**told, "patterns": 4, "code": 16, "units": 8}},
        training=replace(preset.training, steps=40, epochs=None, rate=1e-2, precision="float32"),
    )
    captioner = train(preset, images).model
    assert isinstance(captioner, LitCaptioner)
    before = {name: t.clone() for name, t in captioner.state_dict().items()}
    lit, dim = (
        patterns_for_sentence(
            captioner, x, wanted, "long hair", patterns=1, noise=0.005, steps=60, seed=1, learned=learned
        )
        for learned in (True, False)
    )
    assert all(torch.equal(t, before[name]) for name, t in captioner.state_dict().items())
    voice = {name for name in before if not name.startswith("encoder")}
    for one in (lit, dim):
        assert all(torch.equal(one.state_dict()[name], before[name]) for name in voice)
        assert one.light.hard().shape == (1, 8, 8) and not one.training
        still = {name for name, p in one.named_parameters() if not p.requires_grad}
        assert still == (set() if one is lit else {"encoder.0.light.scores"})
    assert not torch.equal(lit.light.hard(), dim.light.hard())
    areas = [auc(evidence(model.train(), x, "long hair"), wanted) for model in (lit, dim)]
    assert areas[0] > 0.95 and areas[0] > areas[1] + 0.02
    with pytest.raises(ModelError):
        patterns_for_sentence(captioner, x, wanted, "a green hat", steps=1)
    with pytest.raises(DataError):
        patterns_for_sentence(captioner, x, wanted[:10], "long hair", steps=1)
