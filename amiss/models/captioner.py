"""A captioner: convolutions see an image, and a recurrent network tells what they saw, word by word."""

import re
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.beam import beam
from amiss.models.cells import CELLS, State
from amiss.models.recurrent import CellName
from amiss.models.token_density import TokenDensity
from amiss.models.vocabulary import END, Vocabulary

__all__ = ["Captioner"]

_LARGEST = 256
_SIDE = 4  # the encoder halves its maps until they are no wider
_WORD = re.compile(r"[^\W_]+")


class Captioner(TokenDensity):
    """p(sentence | image): what the encoder makes of the image is the first state of the network that speaks.

    It answers in words, so that a probe can ask it (`answer`, `log_prob`), and its encoder has layers by name, so
    that an image can be made to look like another one to it.

    The encoder's layers: center conv1 norm1 relu1 conv2 ... flatten fc code. Each convolution halves its maps, until
    a side is at most 4; `code` is what the network that speaks is told.

    Args:
        words: The words of all sentences.
        channels: Channels of the images.
        size: Height and width in pixels, 8 to 256.
        length: Words that a sentence may have.
        width: Channels of the encoder's first maps; those behind it have twice, four times and eight times as many.
        code: Numbers that the encoder makes of an image.
        hidden: Numbers in the state of a cell.
        cell: Which cells.

    Raises:
        UsageError: A size that cannot mean anything, or words that make no vocabulary.

    References:
        Vinyals, Toshev, Bengio and Erhan 2015, show and tell, equations 10 to 12; Ioffe and Szegedy 2015 (the norms
        behind convolutions); Ba, Kiros and Hinton 2016 (the code's scale).
    """

    def __init__(
        self,
        words: Sequence[str],
        channels: int = 1,
        size: int = 32,
        length: int = 16,
        width: int = 16,
        code: int = 128,
        hidden: int = 128,
        cell: CellName = "lstm",
    ) -> None:
        if not (8 <= size <= _LARGEST and min(channels, width, code) >= 1 and max(width, code) <= 4096):
            raise UsageError(
                "There is no such captioner.",
                slug="captioner",
                seen=f"channels={channels}, size={size}, width={width}, code={code}",
                needed=f"positive numbers, and a size from 8 to {_LARGEST}",
                hint="Pass, for instance, size=32.",
            )
        vocabulary = Vocabulary((*words, END), words=True)
        super().__init__(len(vocabulary), length, vocabulary.end, embedding=32, hidden=hidden, cell=cell)
        self.vocabulary, self.channels, self.size = vocabulary, channels, size
        self.encoder = _encoder(channels, size, width, code)
        self.begin = nn.Linear(code, hidden * CELLS[cell].states)

    def states(self, n: int, c: Tensor | None) -> list[State]:
        """The states that images `c` [n, C, H, W] in [0, 1] begin with.

        Raises:
            ContractError: There are no images, or others than the encoder sees.
        """
        want = (n, self.channels, self.size, self.size)
        if c is None or tuple(c.shape) != want:
            raise ContractError(
                "A caption needs its image.",
                slug="caption-image",
                seen="none" if c is None else str(tuple(c.shape)),
                needed=str(want),
                why=self._unlike(c, n),
                hint="Pass one image for each sentence, of the captioner's size and channels.",
            )
        return self.told(self.encoder(c))

    def _unlike(self, c: Tensor | None, n: int) -> str:
        """In what images differ from those that are wanted, as far as it can be told."""
        if c is None or c.ndim != 4:
            return ""
        pairs = (
            ("another number of images", len(c), n),
            ("other channels: gray has 1, color 3", c.shape[1], self.channels),
            ("another size", tuple(c.shape[2:]), (self.size, self.size)),
        )
        return "; ".join(what for what, found, wanted in pairs if found != wanted)

    def told(self, code: Tensor) -> list[State]:
        """The states that codes [n, code] of images begin with."""
        begin = self.begin(code).tanh().to(self.begin.weight.dtype)
        return [tuple(begin.chunk(CELLS[self.recurrent.cell].states, 1))]

    def log_prob(self, x: Tensor | str | Sequence[str], c: Tensor | None = None) -> Tensor:
        """Log probability [N], nats, of sentences about images.

        Args:
            x: A sentence for all images, one for each, or their tokens [N, D]. Marks and capitals do not count.
            c: The images [N, C, H, W] in [0, 1].

        Raises:
            ModelError: A word is unknown, or a sentence is too long.
            ContractError: The images have another shape, or `x` holds what are no sentences.
        """
        if not isinstance(x, Tensor):
            if not isinstance(x, Sequence) or not all(isinstance(text, str) for text in x):
                raise ContractError(
                    "These are no sentences.",
                    slug="caption-sentence",
                    seen=f"a {type(x).__name__}" + " that holds other things than text" * isinstance(x, Sequence),
                    needed="a sentence for all images, or a list of one for each",
                    hint='Pass, for instance, log_prob("a small red square", images).',
                )
            n = 0 if c is None else len(c)
            sentences = [self.plain(text) for text in ([x] * n if isinstance(x, str) else x)]
            x = self.vocabulary.rows(sentences, self.length).to(self.readout.weight.device)
        return super().log_prob(x, c)

    def plain(self, sentence: str) -> str:
        """The sentence as the captioner would write it: small letters, no marks."""
        return " ".join(_WORD.findall(sentence.lower()))

    def answer(self, x: Tensor, width: int = 1) -> list[str]:
        """A sentence about each image [N, C, H, W] in [0, 1].

        Args:
            x: The images.
            width: Beginnings that a beam search carries on; 1 takes the likeliest word each time.

        Raises:
            ContractError: The images have another shape, or hold what is not finite. (`log_prob` says NaN of those.)
        """
        if not len(x):
            return []
        if not bool(x.isfinite().all()):
            raise ContractError(
                "An image holds numbers that are not finite.",
                slug="caption-finite",
                seen=f"{int((~x.isfinite().flatten(1).all(1)).sum())} of {len(x)} images",
                needed="finite numbers in [0, 1]",
                why="a division by zero on the way to the image",
                hint="Leave such images out, or fill them: x.nan_to_num().",
            )
        rows = beam(self, len(x), x, width=width)[0]
        return [self.vocabulary.decode(row) for row in rows]


def _encoder(channels: int, size: int, width: int, code: int) -> nn.Sequential:
    """Images in [0, 1] to codes [N, code]."""
    layers: list[tuple[str, nn.Module]] = [("center", _Centered())]
    before, side, i = channels, size, 0
    while side > _SIDE:
        after, kernel = width * 2 ** min(i, 3), 3 if i else 5
        i, side = i + 1, (side + 1) // 2
        layers += [
            (f"conv{i}", nn.Conv2d(before, after, kernel, 2, kernel // 2, bias=False)),
            (f"norm{i}", nn.BatchNorm2d(after)),
            (f"relu{i}", nn.ReLU()),
        ]
        before = after
    layers += [("flatten", nn.Flatten()), ("fc", nn.Linear(before * side**2, code))]
    # A code of fixed scale: a large one would drive the first state into its limits, where nothing is learned.
    return nn.Sequential(OrderedDict([*layers, ("code", nn.LayerNorm(code))]))


class _Centered(nn.Module):
    """Images in [0, 1] as numbers in [-1, 1]: so the encoder can be probed by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """2 x - 1."""
        return 2 * x - 1
