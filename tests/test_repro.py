"""Numbers are a function of their key, distributed as they should be, and content has one name."""

import math

import pytest
import torch
from scipy import stats

from amiss import repro
from amiss.repro import digest, fold, generator, normal, sample_key, uniform, versions

KEYS = fold(torch.arange(400), 7)


@pytest.mark.parametrize("draw", [uniform, normal])
def test_a_rows_numbers_depend_on_its_key_alone(draw):
    together = draw(KEYS, (2, 3))
    assert together.shape == (400, 2, 3)
    assert torch.equal(together[[5, 3, 5]], draw(KEYS[[5, 3, 5]], (2, 3)))
    assert torch.equal(together[9:10], draw(KEYS[9:10], (2, 3)))
    assert len(together.flatten(1).unique(dim=0)) == 400


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    uniform(KEYS, (3,)), normal(KEYS, (3,)), generator(1, 2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("keys", [KEYS, torch.arange(400), KEYS[:1]], ids=["folded", "counting", "one"])
@pytest.mark.parametrize(("draw", "law"), [(uniform, "uniform"), (normal, "norm")])
def test_distribution(keys, draw, law):
    numbers = draw(keys, (20_000 // len(keys),), torch.float64).flatten()
    assert stats.kstest(numbers.numpy(), law).pvalue > 1e-3


def test_neighbors_are_unrelated():
    n = 4000
    a = normal(fold(torch.arange(n), 1), (2,), torch.float64)
    b = normal(fold(torch.arange(n), 2), (2,), torch.float64)
    streams = torch.stack([a[:, 0], a[:, 1], b[:, 0], b[:, 1], a[:, 0].roll(1)])
    off = torch.corrcoef(streams) - torch.eye(5, dtype=torch.float64)
    assert off.abs().max() < 4.5 / math.sqrt(n)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("word", [0, -1], ids=["all bits 0", "all bits 1"])
def test_never_0_or_1_at_either_end(monkeypatch, dtype, word):
    monkeypatch.setattr(repro, "_mix", lambda words: torch.full_like(words, word))
    numbers = uniform(KEYS, (3,), dtype)
    assert 0 < float(numbers.min()) <= float(numbers.max()) < 1
    assert normal(KEYS, (3,), dtype).isfinite().all()


def test_folding():
    assert len(torch.stack([fold(KEYS, word) for word in range(-1, 50)]).unique()) == 51 * 400
    words = torch.arange(400) % 3
    assert torch.equal(fold(KEYS, words), torch.stack([fold(k, int(w)) for k, w in zip(KEYS, words, strict=True)]))
    assert not torch.equal(fold(fold(KEYS, 1), 2), fold(fold(KEYS, 2), 1))
    assert not torch.equal(fold(fold(KEYS, 1), 2), fold(KEYS, 3))
    # A folded key is none of the words that its parent draws numbers from.
    drawn = uniform(KEYS, (50,), torch.float64)
    folded = torch.stack([repro._shift(fold(KEYS, word), 41) for word in range(1, 51)], 1)
    assert not ((folded.double() + 0.5) / (1 << 23) == drawn).any()


def test_words_are_mixed_alike_on_every_device():
    # What runs on other devices is run here on this one; the numbers of NumPy must wrap as theirs do, in silence.
    for words in (KEYS, KEYS[:1], KEYS[0], KEYS[:0], fold(KEYS[:20, None], torch.arange(30))):
        mixed = repro._mix_anywhere(words)
        assert torch.equal(repro._mix(words.clone()), mixed) and mixed.shape == words.shape
    assert repro._mix_anywhere(torch.tensor(1)).item() & (2**64 - 1) == 0x5692161D100B05E5


def test_keys_stay_as_they_were():
    before = KEYS.clone()
    fold(KEYS, 3), fold(KEYS, KEYS), uniform(KEYS, (2,))
    assert torch.equal(KEYS, before)


def test_generators():
    def first(*words):
        return torch.rand(4, generator=generator(*words)).tolist()

    assert first(3, 1, 2) == first(3, 1, 2)
    assert len({str(first(*w)) for w in [(3,), (3, 1), (3, 2), (3, 1, 2), (3, 2, 1), (4, 1, 2), (-3,)]}) == 7


def test_digest_tells_content_apart():
    x = torch.arange(6.0)
    parts = [
        (x,),
        (x.double(),),
        (x.reshape(2, 3),),
        (x.reshape(3, 2),),
        (x.flip(0),),
        (x[:3], x[3:]),
        (x[:0],),
        (torch.tensor(0.0),),
        (torch.tensor(-0.0),),
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("abc", x),
        (x, "abc"),
    ]
    assert len({digest(*p) for p in parts}) == len(parts)
    grid = torch.arange(6.0).reshape(2, 3)
    assert digest(grid.mT) == digest(grid.mT.contiguous())
    assert digest(x.clone().requires_grad_()) == digest(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool], ids=str)
def test_one_element_has_a_digest_whatever_its_strides(dtype):
    x = torch.arange(12).reshape(3, 4).to(dtype)
    for view in (x[1:2, 2:3], x[::3, 2:3], x[:1, 3:].mT, x[2, 3:], x.as_strided((1,), (7,), 6)):
        assert digest(view) == digest(view.clone(memory_format=torch.contiguous_format))
    assert digest(x[1:2, 2:3]) == digest(torch.tensor([[6]]).to(dtype))
    assert digest(x[1, 2:3]) != digest(x[1:2, 2:3])


def test_sample_keys_are_int64_and_never_negative():
    for name in ("0" * 64, "f" * 64, digest("a")):
        key = torch.tensor(sample_key(name))
        assert key.dtype == torch.int64
        assert 0 <= int(key) < 2**60
    assert sample_key(digest("a")) != sample_key(digest("b"))


def test_versions_are_plain():
    found = versions()
    assert found["torch"] == torch.__version__
    assert all(isinstance(v, str) and v for v in found.values())


def test_a_digest_knows_where_its_parts_end():
    assert digest("a\0", "b") != digest("a", "\0b")
    assert digest("ab") != digest("a", "b")


def test_a_seed_may_be_as_large_as_one_likes():
    key = torch.arange(3)
    assert torch.equal(fold(key, 5 + 2**64), fold(key, 5)) and not torch.equal(fold(key, 10**20), fold(key, 0))
    assert generator(10**20).initial_seed() == generator(10**20 - 2**64).initial_seed()
