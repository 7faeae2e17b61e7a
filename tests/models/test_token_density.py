"""Densities of tokens: the chain rule, the end of a text, continuation, and vocabularies."""

from itertools import product

import pytest
import torch

from amiss.errors import ContractError, ModelError, UsageError
from amiss.models import Recurrent, TextModel
from amiss.models.token_density import TokenDensity, most_likely
from amiss.models.vocabulary import END, Vocabulary

CELLS = ["rnn", "lstm", "lstm-sigmoid", "gru"]


class Beside(TokenDensity):
    """Reads a number beside each token, and begins at a state that is told too."""

    def states(self, n, c):
        return [tuple(t + c[:, :1] for t in state) for state in super().states(n, c)]

    def beside(self, n, length, c):
        return c[:, :length, None]


def model(symbols=3, length=4, conditional=False, **kwargs):
    torch.manual_seed(0)
    made = Beside if conditional else TokenDensity
    net = made(symbols, length, hidden=6, extra=int(conditional), **kwargs).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)  # far from uniform
    return net.requires_grad_(False)


@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_probabilities_of_all_rows_sum_to_1(cell, end):
    net = model(cell=cell, end=end, embedding=2)
    rows = torch.tensor(list(product(range(3), repeat=4)))
    total = net.log_prob(rows).exp().sum()
    assert abs(float(total) - 1) < 1e-10


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_steps_replay_the_parallel_pass_and_look_at_nothing_later(cell, end, conditional):
    net = model(cell=cell, end=end, conditional=conditional, layers=2)
    c = torch.randn(5, 4, dtype=torch.float64) if conditional else None
    x = torch.randint(3, (5, 4))
    whole, cache = net(x, c), net.init_cache(5, c)
    for t in range(4):
        one = net.step(x[:, t - 1] if t else None, t, cache)
        assert torch.equal(one.isneginf(), whole[:, :, t].isneginf())
        assert torch.allclose(one.exp(), whole[:, :, t].exp(), rtol=0, atol=1e-12)
        later = x.clone()
        later[:, t:] = torch.randint(3, later[:, t:].shape)
        assert torch.equal(net(later, c)[:, :, : t + 1], whole[:, :, : t + 1])


@pytest.mark.parametrize("words", [{}, {"temperature": 0.7}, {"c": torch.tensor([[0.5, -1, 2, 0]]).expand(64, 4)}])
def test_cached_draws_equal_naive_ones(words):
    net = model(conditional="c" in words, end=1, layers=2)
    words = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in words.items()}
    assert torch.equal(net.sample(64, **words), net.sample_naive(64, **words))


def test_draws_come_as_often_as_the_density_says():
    net, rows = model(symbols=2, length=3), torch.tensor(list(product(range(2), repeat=3)))
    drawn = net.sample(20_000, generator=torch.Generator().manual_seed(1))
    shares = torch.stack([(drawn == row).all(1).double().mean() for row in rows])
    chances = net.log_prob(rows).exp().detach()
    assert bool(((shares - chances).abs() < 4 * (chances * (1 - chances) / 20_000).sqrt()).all())


def test_after_an_end_comes_nothing_but_ends():
    net = model(length=12, end=1)
    drawn = net.sample(200)
    ended = (drawn == 1).cumsum(1) > 0
    assert bool((drawn[ended] == 1).all())
    assert bool(ended.any())
    row = torch.tensor([[0, 1, 2, 0]])
    assert net.log_prob(row).item() == -torch.inf


def test_a_text_is_continued_where_it_stops():
    net = model(length=4)
    given = torch.tensor([[2, 0, 1, 0, 0, 0, 0]])
    drawn = net.sample(50, given=given, mask=torch.arange(7) < 3, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 7)
    assert bool((drawn[:, :3] == given[:, :3]).all())
    assert len(drawn[:, 3:].unique(dim=0)) > 1


def test_greedy_draws_take_the_likeliest_token_each_time():
    net = model(length=6)
    drawn = net.sample(5, top_k=1)
    assert bool((drawn == drawn[:1]).all())
    assert torch.equal(net(drawn).argmax(1), drawn)
    two = net.sample(400, top_k=2, generator=torch.Generator().manual_seed(0))
    ranks = net(two).argsort(1, descending=True).argsort(1).gather(1, two[:, None])[:, 0]
    assert set(ranks.unique().tolist()) == {0, 1}
    assert bool((most_likely(torch.zeros(1, 4), 2).isfinite().sum(1) == 2).all())  # ties: still exactly so many


def test_rows_cut_in_two_cost_what_whole_ones_do():
    net, x = model(length=9, cell="lstm"), torch.randint(3, (4, 9))
    first, states = net.continued(x[:, :5], net.states(4, None))
    second, _ = net.continued(x[:, 5:], states, before=x[:, 4])
    assert torch.allclose(torch.cat([first, second], 2), net(x), rtol=0, atol=1e-12)
    assert torch.allclose(net.log_probs(x).sum(1), net.log_prob(x))


def test_a_cache_can_be_shared_out_among_other_rows():
    net, x = model(length=4, end=2), torch.tensor([[0, 1], [1, 2], [2, 2]])
    cache = net.init_cache(3)
    for t in range(2):
        net.step(x[:, t - 1] if t else None, t, cache)
    chosen = torch.tensor([2, 0, 0])
    twice = net.step(x[chosen, 1], 2, cache.pick(chosen))
    assert torch.allclose(twice.exp(), net(torch.cat([x, x[:, :1]], 1))[chosen, :, 2].exp(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "x", [torch.zeros(2, 4), torch.zeros(4, dtype=torch.int64), torch.full((2, 4), 3), torch.full((2, 4), -1),
          torch.zeros(2, 0, dtype=torch.int64)]
)  # fmt: skip
def test_what_are_no_tokens_is_refused(x):
    with pytest.raises(ContractError, match="tokens"):
        model().log_prob(x)


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_leaves_out_numbers_while_training_and_no_step_of_the_way(layers):
    net, x = model(length=6, layers=layers, dropout=0.5), torch.randint(3, (4, 6))
    whole = model(length=6, layers=layers)
    assert torch.equal(net.eval()(x), whole(x))
    net.train()
    torch.manual_seed(0)
    first = net(x)
    assert not torch.equal(first, net(x))
    # What the state of a single layer is does not depend on what is left out above it.
    ends = [net.continued(x, net.states(4, None))[1] for _ in range(2)]
    assert torch.equal(ends[0][0][0], ends[1][0][0])
    if layers == 1:  # the readout is linear: on average nothing is missing
        assert torch.allclose(net(x[:1].expand(4000, -1)).mean(0), whole(x)[0], atol=0.1)


def test_only_a_model_of_texts_is_computed_in_reduced_precision_and_keeps_float32():
    torch.manual_seed(0)
    x = torch.randint(3, (2, 9))
    for net, same in ((TokenDensity(3, 9, hidden=32), True), (TextModel("abc", hidden=32), False)):
        exact = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            logits, states = net.continued(x, net.states(2, None))
        assert torch.equal(logits, exact) is same
        assert torch.allclose(logits, exact, atol=0.05)
        assert all(t.dtype == torch.float32 for t in (logits, *states[0]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"symbols": 0},
        {"length": 0},
        {"end": 5},
        {"embedding": -1},
        {"extra": -1},
        {"dropout": 1.0},
        {"dropout": -0.1},
    ],
)
def test_densities_that_there_are_not_are_refused(arguments):
    with pytest.raises(UsageError, match="token-density"):
        TokenDensity(**{"symbols": 3, "length": 4, **arguments})
    with pytest.raises(UsageError, match="sample-top-k"):
        model().sample(1, top_k=0)


def test_a_recurrent_network_cannot_leave_out_everything():
    with pytest.raises(UsageError, match="recurrent-network"):
        Recurrent(2, dropout=1.0)


@pytest.mark.parametrize("length", [0, 2**16 + 1])
def test_texts_of_no_length_and_endless_ones_are_refused(length):
    with pytest.raises(UsageError, match="text-more"):
        TextModel("ab", hidden=2).write("a", length=length)


def test_texts_become_tokens_and_come_back():
    letters = Vocabulary.of(["hello"])
    assert letters.symbols == ("e", "h", "l", "o")
    assert letters.decode(letters.encode("hello")) == "hello"
    words = Vocabulary.of(["a two", "a seven above a two"], words=True, end=True)
    assert words.symbols == ("a", "above", "seven", "two", END)
    rows = words.rows(["a two", "two"], 4)
    assert [words.decode(row) for row in rows] == ["a two", "two"]
    assert rows[1].tolist() == [3, 4, 4, 4]


@pytest.mark.parametrize(
    ("wrong", "slug"),
    [
        (lambda: Vocabulary.of(["hello"]).encode("help"), "text-symbol"),
        (lambda: Vocabulary.of(["a seven"], words=True).encode("a sevn"), "text-symbol"),
        (lambda: Vocabulary.of(["ab"], end=True).rows(["abab"], 3), "text-length"),
        (lambda: Vocabulary.of(["ab"]).rows(["ab"], 3), "vocabulary-end"),
        (lambda: Vocabulary(()), "vocabulary"),
        (lambda: Vocabulary(("a", "a")), "vocabulary"),
        (lambda: Vocabulary(("ab",)), "vocabulary"),
        (lambda: Vocabulary(("a b",), words=True), "vocabulary"),
        (lambda: Vocabulary((END, "a")), "vocabulary"),
    ],
)
def test_texts_and_symbols_that_there_are_not_are_refused(wrong, slug):
    with pytest.raises((ModelError, UsageError)) as caught:
        wrong()
    assert caught.value.slug == slug


def test_a_word_that_is_nearly_right_is_guessed():
    with pytest.raises(ModelError, match="Did you mean seven"):
        Vocabulary.of(["a seven above"], words=True).encode("a sevn")
