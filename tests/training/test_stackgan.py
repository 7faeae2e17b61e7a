from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from amiss.data.worlds.captions import SCENES
from amiss.data.worlds.scenes import sample_scenes
from amiss.errors import ContractError, DataError, ModelError
from amiss.models import build
from amiss.training import KINDS, load_model, train
from amiss.training.batches import Batch
from amiss.training.losses.stackgan import StackGANLoss, wrong_captions
from amiss.training.measures.sentences import critic_figures, nearly_right
from amiss.training.presets.stackgan import stackgan_for

IMAGES = sample_scenes(40, 10).images()


def short(preset, steps=2):
    return replace(preset, training=replace(preset.training, steps=steps, batch=8, precision="float32"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "model.safetensors"
    train(short(stackgan_for(IMAGES, seed=10, width=4)), IMAGES).save(path)
    return load_model(path)


def batch_of(preset, n=8):
    data = KINDS["stackgan"].data(preset, IMAGES)
    rows = {name: t[:n].float() / 255 if t.dtype == torch.uint8 else t[:n] for name, t in data.items()}
    return Batch(rows, 0, 0.0, 10)


# --- wrong sentences


def test_the_wrong_sentences_of_a_batch_differ_and_the_nearest_come_first():
    labels = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]])
    rows, differs = wrong_captions(labels, 2)
    assert rows.tolist()[0] == [1, 3] and rows[3, 0] == 1
    assert differs.all()
    rows, differs = wrong_captions(labels, 3)
    assert differs.tolist() == [[True, True, False], [True, True, True], [True, True, False], [True, True, True]]
    apart = (labels[:, None] != labels[rows]).any(-1)
    assert torch.equal(apart, differs)


def test_a_nearly_right_sentence_is_wrong_in_one_label():
    labels = sample_scenes(400, 10).labels.tolist()
    sentences = nearly_right(labels, SCENES, 0)
    read = map(SCENES.read, sentences)
    changed = [[a != b for a, b in zip(*rows, strict=True)] for rows in zip(labels, read, strict=True)]
    assert all(sum(row) == 1 for row in changed)
    assert all(any(row[i] for row in changed) for i in range(5))  # every label's turn comes
    assert sentences == nearly_right(labels, SCENES, 0) != nearly_right(labels, SCENES, 1)
    assert sentences[7:9] == [nearly_right(labels[:9], SCENES, 0)[i] for i in (7, 8)]


# --- the game


def test_the_critics_loss_is_its_three_terms():
    preset = stackgan_for(IMAGES, width=4)
    model, batch = build(preset.model, 1).eval(), batch_of(preset)
    value = StackGANLoss(wrong=2).losses(model, batch, ("text", "critic"))
    codes = model.text(batch["tokens"])
    small = F.avg_pool2d(batch["image"], 2)
    rows, _ = wrong_captions(batch["label"], 2)
    real = model.critic(small, codes[:, None]).sigmoid()
    wrong = torch.cat([model.critic(small, codes[rows[:, i], None]) for i in range(2)], 1).sigmoid()
    drawn = model.critic(model.draw(codes, batch.generator(0)).image, codes[:, None]).sigmoid()
    known = -real.log().sum() - ((1 - wrong).log().mean(1).sum() + (1 - drawn).log().sum()) / 2
    torch.testing.assert_close(value["critic"], known, rtol=1e-4, atol=1e-4)
    told = model.text.told(codes)
    nats = sum(F.cross_entropy(part, label) for part, label in zip(told, batch["label"].unbind(1), strict=True))
    torch.testing.assert_close(value["text"], nats * len(batch), rtol=1e-4, atol=1e-4)


def test_the_generators_loss_is_its_two_terms():
    preset = stackgan_for(IMAGES, width=4)
    model, batch = build(preset.model, 1).eval(), batch_of(preset)
    codes = model.text(batch["tokens"])
    drawn = model.draw(codes, batch.generator(1))
    fooled = -model.critic(drawn.image, codes[:, None]).sigmoid().log().sum()
    for kl in (0.0, 0.5):
        value = StackGANLoss(kl=kl).losses(model, batch, ("generator",))["generator"]
        torch.testing.assert_close(value, fooled + kl * drawn.kl.sum(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_players_step_moves_its_own_parameters_alone(stage, first):
    preset = stackgan_for(IMAGES, first=first if stage == 2 else None, width=4)
    model, batch, loss = build(preset.model, 1), batch_of(preset), preset.loss
    owned = {name: {id(p) for p in own} for name, own in loss.players(model).items()}
    assert sum(map(len, owned.values())) == len(set().union(*owned.values()))  # nobody shares
    for turn in loss.turns:
        values = loss.losses(model, batch, turn)
        assert set(values) == set(turn)
        for name in turn:
            model.zero_grad()
            values[name].backward(inputs=list(model.parameters()), retain_graph=True)
            moved = {id(p) for p in model.parameters() if p.grad is not None and bool((p.grad != 0).any())}
            beside = moved - owned[name]
            if name == "generator":  # what flows through the critic is not the generator's to take
                beside -= owned["critic"]
            assert moved & owned[name] and not beside


def test_stage_two_leaves_text_and_stage_one_as_they_were(first):
    preset = short(stackgan_for(IMAGES, first=first, width=4), steps=3)
    done = train(preset, IMAGES).model
    assert preset.model["arguments"]["stages"] == 2 and preset.loss.start
    for name, t in first[0].state_dict().items():
        if not name.startswith("critic"):
            assert torch.equal(done.state_dict()[name], t), name
    assert done.sample(2).shape == (2, 1, 32, 32)


def test_a_run_that_was_broken_off_goes_on_to_the_same_bits(first, tmp_path):
    preset = short(stackgan_for(IMAGES, first=first, width=4), steps=4)

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(preset, IMAGES, out=tmp_path, on_step=stop)
    whole, resumed = train(preset, IMAGES).model, train(preset, IMAGES, out=tmp_path).model
    assert all(torch.equal(t, resumed.state_dict()[name]) for name, t in whole.state_dict().items())


def test_figures_of_a_critic_are_shares(first):
    figures = critic_figures(first[0], IMAGES)
    assert set(figures) == {"text_understood", "accepts_right", "rejects_wrong"}
    assert all(0 <= value <= 1 for value in figures.values())


def test_a_critic_that_knows_rejects_all_wrong_sentences_and_a_blind_one_none(first, monkeypatch):
    model = first[0]
    labels = [SCENES.read(text) for text in IMAGES.captions]
    read = {tuple(model.read([text])[0].tolist()): labels[i] for i, text in enumerate(IMAGES.captions)}

    def knows(image, c):
        right = [read.get(tuple(tokens)) == labels[i % 40] for i, tokens in enumerate(c.tolist())]
        return torch.tensor(right).float() * 2 - 1

    monkeypatch.setattr(type(model), "fits", lambda self, image, c: knows(image, c))
    figures = critic_figures(model, IMAGES)
    assert figures["accepts_right"] == figures["rejects_wrong"] == 1
    monkeypatch.setattr(type(model), "fits", lambda self, image, c: -torch.ones(len(c)))
    blind = critic_figures(model, IMAGES)
    assert blind["rejects_wrong"] == 0  # below 0, but not below the right sentence


# --- refusals


def test_images_without_captions_of_a_world_are_refused():
    for images in (replace(IMAGES, captions=()), replace(IMAGES, captions=("a dog",) * 40)):
        with pytest.raises(DataError) as told:
            stackgan_for(images)
        assert told.value.slug == "data-captions"


def test_a_stage_one_of_something_else_is_refused(first):
    small = sample_scenes(10, 10, size=48).images()
    second = build(stackgan_for(IMAGES, first=first, width=4).model)
    for images, given in ((small, first), (IMAGES, (second, first[1])), (IMAGES, (torch.nn.Linear(1, 1), {}))):
        with pytest.raises(ModelError) as told:
            stackgan_for(images, first=given)
        assert told.value.slug == "stackgan-first"


def test_a_loss_of_another_stage_is_refused(first):
    preset = stackgan_for(IMAGES, width=4)
    with pytest.raises(ContractError) as told:
        StackGANLoss(2).losses(first[0], batch_of(preset), ("critic",))
    assert told.value.slug == "stackgan-model"
