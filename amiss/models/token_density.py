"""Densities of rows of tokens by a recurrent network: what it feeds on is what it said before."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.autoregressive import Autoregressive
from amiss.models.cells import State
from amiss.models.likelihoods import Tokens
from amiss.models.recurrent import CellName, Recurrent

__all__ = ["LONGEST", "TokenCache", "TokenDensity", "most_likely", "only"]

LONGEST = 2**16
"""Tokens of a draw, at most."""


@dataclass
class TokenCache:
    """What `TokenDensity.step` knows of n rows.

    Attributes:
        states: Of the recurrent network.
        beside: What the network reads beside the tokens [n, D, extra]; None: nothing.
        ended: Which rows are over [n], bool.
        lengths: How many tokens of each row count [n], where that is known beforehand.
    """

    states: list[State]
    beside: Tensor | None
    ended: Tensor
    lengths: Tensor | None = None

    def pick(self, rows: Tensor) -> "TokenCache":
        """The cache of some of its rows, or of some of them twice."""
        states = [tuple(t[rows] for t in state) for state in self.states]
        beside = None if self.beside is None else self.beside[rows]
        return TokenCache(states, beside, self.ended[rows], None if self.lengths is None else self.lengths[rows])


class TokenDensity(Autoregressive):
    """p(x_t | x_0, ..., x_{t-1}) by a recurrent network that reads one token after the other.

    Before the first token it reads a symbol of its own, which stands for the beginning. Where texts end, nothing but
    ends follows the first end: with a probability of 1.

    Args:
        symbols: How many tokens there are.
        length: Tokens that a draw has, where nothing longer is given to go on with.
        end: The token that ends a row; None: rows do not end.
        embedding: Numbers that a token becomes; 0: as many as symbols, one for each.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.
        extra: Numbers that the network reads beside each token.
        memory: Steps that a cell should be able to remember at first; of lstm and lstm-sigmoid alone (see
            `Recurrent`).
        dropout: Share of the numbers that are left out while training: of what the uppermost cells put out, and of
            what is passed from layer to layer. The way from step to step is left whole.

    Raises:
        UsageError: A size that cannot mean anything.

    References:
        Graves 2013, generating sequences with recurrent neural networks, section 2; Williams and Zipser 1989
        (teacher forcing); Zaremba, Sutskever and Vinyals 2014, recurrent neural network regularization (dropout).
    """

    likelihood: Tokens
    reduced = False  # whether autocast reaches the recurrent network too

    def __init__(
        self,
        symbols: int,
        length: int,
        end: int | None = None,
        embedding: int = 0,
        hidden: int = 64,
        cell: CellName = "lstm",
        layers: int = 1,
        extra: int = 0,
        memory: int = 0,
        dropout: float = 0.0,
    ) -> None:
        fits = symbols >= 1 and 1 <= length <= LONGEST and min(embedding, extra) >= 0 and 0 <= dropout < 1
        if not (fits and -1 < (end or 0) < symbols):
            raise UsageError(
                "There is no such density of tokens.",
                slug="token-density",
                seen=f"symbols={symbols}, length={length}, end={end}, embedding={embedding}, extra={extra}"
                + f", dropout={dropout:g}" * (dropout != 0),
                needed=f"at least one symbol, a length from 1 to {LONGEST}, an end among the symbols, "
                "and a dropout below 1",
                hint="Pass, for instance, TokenDensity(symbols=65, length=100, hidden=256).",
            )
        super().__init__(Tokens(symbols))
        self.symbols, self.length, self.end, self.extra = symbols, length, end, extra
        self.embedding = nn.Embedding(symbols + 1, embedding or symbols)
        if not embedding:  # one number a symbol, to begin with
            self.embedding.weight.data.copy_(torch.eye(symbols + 1, symbols))
        self.recurrent = Recurrent(
            (embedding or symbols) + extra, hidden, cell, layers, memory=memory, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, symbols)

    def states(self, n: int, c: Tensor | None) -> list[State]:
        """States before the first token; a conditional model may begin elsewhere than at zero."""
        return self.recurrent.start(n)

    def beside(self, n: int, length: int, c: Tensor | None) -> Tensor | None:
        """What is read beside the tokens [n, length, extra]; None: nothing."""
        return None

    def embed(self, said: Tensor) -> Tensor:
        """What the network reads of tokens that were said before [..., embedding]."""
        read: Tensor = self.embedding(said)
        return read

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Logits [N, symbols, D] of rows of tokens `x` [N, D], int64."""
        return self.continued(x, self.states(len(x), c), c)[0]

    def continued(
        self, x: Tensor, states: list[State], c: Tensor | None = None, before: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """Logits of rows that go on where others ended, and the states after them.

        Args:
            x: Tokens [N, D].
            states: Those after what stands before.
            c: What the rows depend on.
            before: The last token of each row before these [N]; None: these begin.
        """
        start = torch.full_like(x[:, :1], self.symbols) if before is None else before[:, None]
        seen = self.embed(torch.cat([start, x[:, :-1]], 1))
        if (beside := self.beside(len(x), x.shape[1], c)) is not None:
            seen = torch.cat([seen, beside], 2)
        exact, device = self.readout.weight.dtype, x.device.type
        # No cache: weights that were cast without a gradient, before a window, would be used again within it.
        with torch.autocast(device, enabled=self.reduced and torch.is_autocast_enabled(device), cache_enabled=False):
            h, states = self.recurrent(seen.to(exact), states=states)
        # Sums over many symbols, and states that are kept, are not computed in reduced precision.
        with torch.autocast(device, enabled=False):
            states = [tuple(t.to(exact) for t in state) for state in states]
            logits = self.readout(self.dropout(h.to(exact))).transpose(1, 2)
        if self.end is not None:
            over = (x == self.end).cumsum(1)
            logits = self._after_end(logits, torch.cat([torch.zeros_like(over[:, :1]), over[:, :-1]], 1) > 0)
        return logits, states

    def log_probs(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Log probability of each token given those before it [N, D], nats.

        Raises:
            ContractError: `x` holds what are no tokens.
        """
        self.check(x)
        return self.likelihood.log_probs(self(x, c), x)

    def init_cache(self, n: int, c: Tensor | None = None) -> TokenCache:
        """Nothing is said yet."""
        states = self.states(n, c)
        return TokenCache(states, self.beside(n, self.length, c), states[0][0].new_zeros(n, dtype=torch.bool))

    def step(self, previous: Tensor | None, t: int, cache: TokenCache) -> Tensor:
        """Logits [n, symbols] of token `t`, after token t - 1 was `previous` [n]."""
        if previous is None:
            previous = torch.full_like(cache.ended, self.symbols, dtype=torch.int64)
        elif self.end is not None:
            cache.ended = cache.ended | (previous == self.end)
        seen = self.embed(previous)
        if cache.beside is not None:
            seen = torch.cat([seen, cache.beside[:, t].to(seen)], 1)
        h, cache.states = self.recurrent.step(seen, cache.states)
        logits: Tensor = self.readout(h)
        return logits if self.end is None else self._after_end(logits, cache.ended)

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        top_k: int | None = None,
    ) -> Tensor:
        """Draw `n` rows of tokens, one token after the other (see `Autoregressive.sample`).

        To continue a text, pass it at the beginning of `given` [n or 1, D], and a `mask` [D] that is true there.

        Args:
            n: How many.
            c: What the rows depend on [n, ...], for a conditional model.
            given: Rows to complete; they say how long the draws are.
            mask: Where `given` is kept.
            temperature: Below 1 the likelier tokens are drawn more often, above 1 less.
            generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.
            top_k: Draw among the so many likeliest tokens alone; 1 takes the likeliest (greedy).

        Returns:
            Tokens [n, D], int64.

        Raises:
            UsageError: `n`, `temperature` or `top_k` is not positive, or `given` or `mask` was passed alone.
            ContractError: They do not fit.

        References:
            Fan, Lewis and Dauphin 2018, hierarchical neural story generation, section 5.4 (top k).
        """
        if top_k is not None and top_k < 1:
            raise UsageError(
                "Nothing can be drawn among so few tokens.",
                slug="sample-top-k",
                seen=f"top_k={top_k}",
                needed="1 or more, or None for all",
                hint="top_k=1 takes the likeliest token each time.",
            )
        one = self._stepwise(n, c)
        if top_k is None:
            return self._draw(n, given, mask, temperature, generator, one)
        return self._draw(n, given, mask, temperature, generator, lambda known, t: most_likely(one(known, t), top_k))

    def flat(self, x: Tensor) -> Tensor:
        """Rows as they are."""
        return x

    def shaped(self, rows: Tensor) -> Tensor:
        """Rows as they are."""
        return rows

    def blank(self, n: int, given: Tensor | None) -> Tensor:
        """Rows [n, D] of token 0, as long as what is given."""
        length = self.length if given is None else given.shape[-1]
        return torch.zeros(n, length, dtype=torch.int64, device=self.readout.weight.device)

    def check(self, x: Tensor) -> None:
        """Refuse what are no rows of tokens.

        Raises:
            ContractError: Another shape or type, or numbers that are no tokens.
        """
        fits = x.ndim == 2 and x.dtype == torch.int64 and x.shape[1] > 0
        if not fits or bool((x < 0).any()) or bool((x >= self.symbols).any()):
            raise ContractError(
                "These are no tokens of this model.",
                slug="tokens",
                seen=f"{tuple(x.shape)}, {x.dtype}" + (f", {x.min()} to {x.max()}" if x.numel() else ""),
                needed=f"int64 [N, D] from 0 to {self.symbols - 1}, D of 1 or more",
                hint="Encode a text by the model's own vocabulary.",
            )

    def _after_end(self, logits: Tensor, ended: Tensor) -> Tensor:
        """Logits [N, symbols, ...] of which only the end is left where a row is over [N, ...]."""
        return only(logits, self.end or 0, ended)


def only(logits: Tensor, symbol: int, where: Tensor) -> Tensor:
    """Logits [N, symbols, ...] of which one symbol alone is left at some places [N, ...]: its probability is 1."""
    sure = torch.full_like(logits[:1], -torch.inf)
    sure[:, symbol] = 0
    return torch.where(where.unsqueeze(1), sure, logits)


def most_likely(logits: Tensor, k: int) -> Tensor:
    """Logits [n, symbols] of the `k` likeliest symbols, exactly so many; the others are -inf."""
    values, places = logits.topk(min(k, logits.shape[1]), 1)
    return torch.full_like(logits, -torch.inf).scatter_(1, places, values)
