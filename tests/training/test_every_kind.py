"""Every kind of model: twenty steps, killed, resumed to the same bits, saved, sampled, evaluated."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from amiss.data import Images, open_data
from amiss.data.sequence_sources import open_sequences
from amiss.data.sequences import Sequences
from amiss.data.text import Text, open_text
from amiss.errors import UsageError
from amiss.models import Density, Implicit, LatentVariable, build
from amiss.repro import generator
from amiss.training import KINDS, Watch, evaluate, load_model, train
from amiss.training.pictures import condition_of, pictures_of, samples, shrunk

torch.set_num_threads(1)

STEPS, KILLED = 20, 13  # between two checkpoints, and in the middle of an epoch of six steps


@functools.cache
def of(source: str, **options: Any) -> tuple[Images, Images]:
    """Some images to learn from, and some others."""
    return tuple(open_data(source, split=split, limit=n, **options) for split, n in (("train", 96), ("test", 24)))


def digits() -> tuple[Images, Images]:
    """Handwriting of 8 x 8 pixels."""
    return of("digits")


def tabled() -> tuple[Images, Images]:
    """The same, and whether each is odd, and whether it is above four."""
    pairs = []
    for part in digits():
        table = {"odd": part.truth % 2, "large": part.truth > 4}
        pairs.append(replace(part, table={name: column.float() for name, column in table.items()}))
    return pairs[0], pairs[1]


def scenes() -> tuple[Images, Images]:
    """Drawn digits with a sentence each."""
    return of("scenes:n=120")


def texts() -> tuple[Text, Text]:
    """The smallest text, and the same again."""
    return open_text("hello"), open_text("hello")


def movies() -> tuple[Sequences, Sequences]:
    """Digits behind noise."""
    return tuple(open_sequences("digit-movies", split=split, limit=n) for split, n in (("train", 96), ("test", 24)))


def labeled() -> tuple[Sequences, Sequences]:
    """Rows of labels, of different lengths, seen through noise."""
    parts = []
    for split, n in (("train", 96), ("test", 24)):
        x = open_sequences("chained", split=split, limit=n)
        parts.append(replace(x, lengths=12 - torch.arange(n) % 5))
    return parts[0], parts[1]


@dataclass(frozen=True)
class Tiny:
    """A kind at its smallest."""

    images: Callable[[], tuple[Any, Any]] = digits
    options: dict[str, Any] = field(default_factory=dict)
    first: dict[str, Any] | None = None  # the recipe of a model that it begins with
    batch: int = 16


VAE = {"architecture": "ConvVAE", "arguments": {"size": 8, "latent": 2, "width": 4, "hidden": 8}}
DCGAN = {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 4, "width": 4}}
TINY = {
    "classifier": Tiny(),
    "attributes": Tiny(tabled),
    "vae": Tiny(options={"latent": 2}),
    "conditional-vae": Tiny(options={"latent": 2}),
    "autoencoder": Tiny(options={"latent": 4}),
    "conv-autoencoder": Tiny(options={"latent": 4, "noise": 0.1}),
    "denoiser": Tiny(options={"width": 4}),
    "flow": Tiny(first=VAE),
    "fvbn": Tiny(options={"levels": 2}),
    "made": Tiny(options={"levels": 2, "hidden": 16}),
    "pixelcnn": Tiny(options={"levels": 256, "width": 4, "blocks": 1}),
    "gated-pixelcnn": Tiny(options={"levels": 2, "width": 4, "blocks": 1, "given": "label"}),
    "row-lstm": Tiny(options={"levels": 2, "state": 4}),
    "diagonal-bilstm": Tiny(options={"levels": 2, "state": 4}),
    "raster-lstm": Tiny(options={"levels": 2, "state": 4, "given": "low", "low": 2}),
    "codec": Tiny(options={"width": 8, "code": 16}),
    "gan": Tiny(options={"latent": 8}),
    "dcgan": Tiny(options={"latent": 8, "width": 4}),
    "inverter": Tiny(first=DCGAN),
    "stackgan": Tiny(scenes, {"width": 4}),
    "sequence-classifier": Tiny(movies, {"width": 2, "hidden": 4}),
    "captioner": Tiny(scenes, {"width": 4, "hidden": 8}),
    "label-sequence": Tiny(labeled, {"hidden": 4, "feedback": True, "bidirectional": True, "sampled": 0.5}),
    # So wide that it is trained in reduced precision, where the processor has it.
    "text": Tiny(texts, {"hidden": 128, "window": 2, "warm": 1, "layers": 2, "dropout": 0.2}),
}
"""How each kind is made small; a kind that is not here has no test, which is an error."""


def preset_of(name: str, images: Images, **given: Any) -> Any:
    """The kind's own preset, but for twenty steps of few images."""
    tiny = TINY[name]
    if tiny.first is not None:
        given["codes"] = (build(tiny.first).eval(), {"recipe": tiny.first})
    preset = KINDS[name].preset(images, seed=3, **tiny.options, **given)
    short = replace(preset.training, steps=STEPS, epochs=None, seconds=None, batch=tiny.batch)
    return replace(preset, training=short)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two models have the same bits."""
    there = b.state_dict()
    return all(torch.equal(t, there[name]) for name, t in a.state_dict().items())


def test_no_kind_is_left_out():
    assert set(TINY) == set(KINDS)
    assert all(kind.name == name for name, kind in KINDS.items())


@pytest.mark.parametrize("name", list(KINDS))
def test_no_passes_are_refused_and_not_taken_for_the_presets_own(name):
    with pytest.raises(UsageError) as caught:
        preset_of(name, TINY[name].images()[0], epochs=0.0)
    assert caught.value.slug == "training-recipe"


@pytest.mark.parametrize("name", list(KINDS))
def test_a_kind_learns_stops_goes_on_is_saved_and_draws(name, tmp_path):
    kind, (images, test) = KINDS[name], TINY[name].images()
    preset = preset_of(name, images)
    assert preset.kind == name
    whole = train(preset, images, test)

    def kill(progress):
        if progress.step == KILLED:
            raise KeyboardInterrupt

    # The run in parts is looked at as well, which must leave no trace in it.
    x = test.images() if isinstance(test, Images) else None
    watch = Watch(lambda look: pictures_of(look.model, x, n=2) and None, kind.data(preset, test), every=5)
    with pytest.raises(KeyboardInterrupt):
        train(preset, images, test, out=tmp_path, on_step=kill, watch=watch)
    again = train(preset_of(name, images), images, test, out=tmp_path, watch=watch)
    for points in again.history.held.values():
        assert [step for step, _ in points] == [5, 10, 15, 20]
        assert all(math.isfinite(loss) for _, loss in points)
    assert (again.history.resumed, again.history.steps) == (KILLED, STEPS)
    assert same(whole.model, again.model)
    assert again.history.losses == whole.history.losses
    assert not same(whole.model, build(preset.model, seed=preset.training.seed)), "nothing was learned"

    again.save(tmp_path / "model.safetensors")
    model, facts = load_model(tmp_path / "model.safetensors")
    assert same(model, whole.model)
    assert facts["kind"] == name
    figures = facts["figures"]
    assert figures == evaluate(model, preset, test) == whole.facts["figures"]
    assert figures[kind.counts] == len(test) and len(figures) > 1
    assert all(math.isfinite(value) for value in figures.values())

    if kind.bound is None:
        assert not isinstance(model, Density | Implicit)
        assert "samples" not in pictures_of(model, x)
        return
    if name == "label-sequence":
        assert samples(model, 3) is None  # it draws labels, of frames
        said = model.label(test.frames, test.lengths)
        assert said.shape == (len(test), 12) and bool((said[~test.counts] == 0).all())
        assert figures["accuracy"] == pytest.approx(float((said == test.labels)[test.counts].double().mean()))
        nats = model.log_prob(test.labels, test.frames, test.lengths)
        assert -float(nats.detach().sum()) / int(test.lengths.sum()) == pytest.approx(figures["nats"])
        return
    if x is None:
        first, again_, other = (model.write(n=3, length=9, generator=generator(seed)) for seed in (1, 1, 2))
        assert first == again_ != other
        assert {len(text) for text in first} == {9}
        assert bool(model.log_prob(model.vocabulary.encode(first[0])[None]).isfinite())
        return
    if name == "captioner":
        assert samples(model, 3, x) is None  # it draws sentences
        said = model.answer(x[:3])
        assert len(said) == 3
        nats = model.log_prob(said, x[:3])
        assert nats.shape == (3,) and bool((nats < 0).all())
        return
    drawn = samples(model, 3, x, seed=1)
    side = x.shape[-1] // (2 if name == "stackgan" else 1)  # its first stage draws half the side
    assert drawn.shape == (3, x.shape[1], side, side)
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
    assert torch.equal(drawn, samples(again.model, 3, x, seed=1))
    assert not torch.equal(drawn, samples(model, 3, x, seed=2))
    assert model.bound == kind.bound or name == "flow"  # a flow on codes bounds what one on pixels knows
    asked = condition_of(model)
    c = None if asked is None else {"class": test.truth, "image": shrunk(x, asked.size)}.get(asked.kind)
    if model.bound != "none":
        levels = getattr(model.likelihood, "levels", None) if hasattr(model, "likelihood") else None
        shown = (x * (levels - 1)).round() / (levels - 1) if levels else x
        nats = model.log_prob(shown, c)
        assert nats.shape == (len(x),) and bool(nats.isfinite().all())
    if isinstance(model, LatentVariable) and c is None:
        assert model.decode(model.encode(x)).shape == x.shape
        assert set(pictures_of(model, x)) == {"samples", "reconstructions"}
