import pytest
import torch

from amiss.data.worlds.captions import FACES, SCENES
from amiss.errors import ContractError, ModelError, UsageError
from amiss.models import Implicit, TextEncoder, build
from amiss.models.stackgan import ConditioningAugmentation

LEVELS = [len(names) for names in SCENES.values]
TWO = ["a two above a large seven", "a large one on the left"]


def made(seed=0, **more):
    arguments = {"words": SCENES.words, "levels": LEVELS, "size": 16, "width": 4, "text": 8, "draw": 6, "noise": 3}
    return build({"architecture": "StackGAN", "arguments": arguments | more}, seed).eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- the text


def test_tokens_are_places_of_words_and_zeros_at_the_end():
    encoder = TextEncoder(("a", "two", "above"), (2, 3), length=4)
    assert encoder.read(["A two,", "above"]).tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]
    assert encoder.read([]).shape == (0, 4)


def test_a_code_reads_every_word_in_its_order_and_nothing_after_them():
    torch.manual_seed(0)
    encoder = TextEncoder(SCENES.words, LEVELS, width=8)
    tokens = encoder.read(["a two above a large seven", "a large seven above a two", "a two above a large one"])
    codes = encoder(tokens)
    assert not torch.allclose(codes[0], codes[1]) and not torch.allclose(codes[0], codes[2])
    short = TextEncoder(SCENES.words, LEVELS, width=8, length=6)
    short.load_state_dict(encoder.state_dict())
    assert torch.equal(short(short.read([TWO[0]])), encoder(encoder.read([TWO[0]])))  # 0s at the end are not read
    assert [told.shape for told in encoder.told(codes)] == [(3, n) for n in LEVELS]


def test_an_unknown_word_is_named_with_those_near_it():
    with pytest.raises(ModelError) as told:
        made().read(["a two abov a seven"])
    assert told.value.slug == "caption-word" and "'abov'" in told.value.what and "above" in told.value.hint
    with pytest.raises(ModelError) as told:
        made().read(["y" * 10_000])
    assert told.value.slug == "caption-word" and len(str(told.value)) < 600


@pytest.mark.parametrize("text", ["", "!?", "a " * 17])
def test_sentences_that_are_none_or_too_long_are_refused(text):
    with pytest.raises(ModelError) as told:
        made().read([text])
    assert told.value.slug == "caption-length"


@pytest.mark.parametrize(
    "arguments",
    [
        ((), (2,)),
        (("a",), ()),
        (("two words",), (2,)),
        (("A",), (2,)),
        (("\x1b",), (2,)),
        (("a" * 61,), (2,)),
        (("a",), (1,)),
        (("a",), (2,), 2000),
        (("a",), (2,), 8, 65),
    ],
)
def test_a_text_encoder_that_cannot_be_made(arguments):
    with pytest.raises(UsageError) as told:
        TextEncoder(*arguments)
    assert told.value.slug == "text-encoder"


# --- conditioning augmentation


def test_the_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(5, 7, generator=seeded()), torch.randn(5, 7, generator=seeded(1))
    there = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    known = torch.distributions.kl_divergence(there, standard).sum(1)
    torch.testing.assert_close(ConditioningAugmentation.kl(mean, log_variance), known)
    assert ConditioningAugmentation.kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_draws_have_the_mean_and_deviation_of_the_sentence():
    model = made()
    codes = model.text(model.read(TWO[:1]))
    mean, log_variance = model.first["augment"](codes)
    draws = model._draw(model.first, codes.expand(20_000, -1), seeded(), 1.0)[2]
    spread = (log_variance[0] / 2).exp()
    assert ((draws.mean(0) - mean[0]).abs() < 5 * spread / 20_000**0.5).all()
    assert ((draws.std(0) / spread - 1).abs() < 0.03).all()


# --- the two stages


@pytest.mark.parametrize(("stages", "side"), [(1, 8), (2, 16)])
def test_samples_are_images_of_the_stage_and_follow_from_the_seed(stages, side):
    model = made(stages=stages, channels=3)
    assert isinstance(model, Implicit) and model.bound == "none"
    tokens = model.read(TWO)
    images = model.sample(2, tokens, generator=seeded(3))
    assert images.shape == (2, 3, side, side) and images.min() >= 0 and images.max() <= 1
    assert torch.equal(images, model.sample(2, tokens, generator=seeded(3)))
    assert not torch.equal(images, model.sample(2, tokens, generator=seeded(4)))
    assert torch.equal(images[:1], model.sample(2, tokens, generator=seeded(3))[:1])


def test_another_sentence_is_another_image_and_one_sentence_will_do_for_all():
    model = made(stages=2)
    one = model.sample(3, model.read(TWO[:1]), generator=seeded())
    torch.testing.assert_close(one, model.sample(3, model.read(TWO[:1] * 3), generator=seeded()))
    other = model.sample(3, model.read(TWO[1:]), generator=seeded())
    assert not torch.allclose(one, other, atol=1e-4)
    # Without a deviation a sentence has one image, whatever the draws.
    still = model.sample(3, model.read(TWO[:1]), temperature=0.0, generator=seeded())
    torch.testing.assert_close(still[0], still[2])


def test_the_second_stage_depends_on_the_picture_of_the_first():
    model = made(stages=2)
    codes = model.text(model.read(TWO))
    drawn = model.draw(codes, seeded())
    assert drawn.image.shape == (2, 1, 16, 16) and drawn.small.shape == (2, 1, 8, 8) and drawn.kl.shape == (2,)
    with torch.no_grad():
        model.first["generator"].body[-1].bias += 1  # another picture, and the same draws
    after = model.draw(codes, seeded())
    assert not torch.equal(after.small, drawn.small) and not torch.equal(after.image, drawn.image)
    assert not drawn.small.requires_grad  # nothing flows back into stage I


def test_what_is_done_stays_in_eval_mode():
    model = made(stages=2).train()
    assert model.second.training and model.critic.training
    assert not model.first.training and not any(part.training for part in model.first.modules())
    assert made(stages=1).train().first.training


def test_examples_are_drawn_where_nothing_is_asked_for():
    model = made(examples=TWO)
    as_told = model.sample(3, model.read([*TWO, TWO[0]]), generator=seeded())
    assert torch.equal(model.sample(3, generator=seeded()), as_told)
    with pytest.raises(ContractError) as told:
        made().sample(2)
    assert told.value.slug == "caption-count"
    with pytest.raises(ContractError):
        model.sample(3, model.read(TWO))


def test_the_critic_weighs_image_and_sentence():
    model = made()
    image = torch.rand(2, 1, 8, 8, generator=seeded())
    tokens = model.read(TWO)
    right, other = model.fits(image, tokens), model.fits(image, tokens.flip(0))
    assert right.shape == (2,) and not torch.allclose(right, other)
    assert not torch.allclose(right, model.fits(image.flip(0), tokens))
    both = model.critic(image, torch.stack([model.text(tokens), model.text(tokens.flip(0))], 1))
    torch.testing.assert_close(both, torch.stack([right, other], 1))  # features once, a product a sentence


@pytest.mark.parametrize(
    "arguments",
    [{"size": 20}, {"size": 8}, {"size": 4096}, {"stages": 3}, {"channels": 2}, {"width": 0}, {"width": 10_000},
     {"noise": 0}, {"draw": 10_000}, {"examples": [TWO[0]] * 65}],
)  # fmt: skip
def test_a_stackgan_that_cannot_be_made(arguments):
    with pytest.raises(UsageError) as told:
        made(**arguments)
    assert told.value.slug == "stackgan-arguments"


def test_the_vocabulary_of_faces_will_do_as_well():
    arguments = {"words": FACES.words, "levels": [2] * 5, "channels": 3, "size": 48, "width": 4}
    model = build({"architecture": "StackGAN", "arguments": arguments})
    assert model.eval().sample(1, model.read([FACES.example])).shape == (1, 3, 24, 24)
