"""StackGAN: a small picture drawn from a sentence, and a second generator that redraws it at full size."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound
from amiss.models.text import TextEncoder

__all__ = ["ConditioningAugmentation", "Drawn", "StackGAN"]

_SLOPE = 0.2  # of leaky ReLUs
_WIDEST, _LARGEST, _MOST_EXAMPLES = 256, 128, 64
_CHUNK = 256  # images that are drawn at once


class ConditioningAugmentation(nn.Module):
    """A code of a sentence as a normal distribution to draw from: mean and log variance [N, size] each.

    Sentences that are near each other then share drawings, and a sentence is drawn in more than one way.

    Args:
        width: Numbers in a code of text.
        size: Numbers in a draw.

    References:
        Zhang et al. 2017, section 3.2 and equation 2.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, 2 * size)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, the latter kept in [-8, 4]."""
        mean, log_variance = self.dense(codes).float().chunk(2, 1)
        return mean, log_variance.clamp(-8, 4)

    @staticmethod
    def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
        """Divergence from the standard normal distribution: [N], nats, at least 0."""
        return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


class StackGAN(nn.Module):
    """Images of sentences, drawn in two stages; a model of one stage has half the side, and is what the second needs.

    A text encoder reads a sentence; stage I draws a picture of half the side from noise and a draw of the sentence's
    code; stage II draws it anew at the full side, from that picture and a draw of its own, without noise. A critic
    looks at image and sentence together. In a model of two stages the text and stage I stay as they are.

    Args:
        words: The vocabulary.
        levels: How many values each label has that sentences tell of (see `TextEncoder`).
        channels: Channels of the images, 1 or 3.
        size: Side of the images of stage II in pixels, a multiple of 8 from 16 to 128.
        stages: 1 or 2.
        width: Channels at half the side, even; there are half as many at the full side and up to four times as many
            at lower ones.
        text: Numbers in a sentence's code.
        draw: Numbers in a draw of it.
        noise: Numbers of noise that stage I gets beside it.
        examples: Sentences that are drawn where none is asked for.

    Raises:
        UsageError: An argument cannot mean anything.

    References:
        Zhang et al. 2017, section 3; Reed et al. 2016, algorithm 1 (a critic that is shown wrong sentences too);
        Miyato and Koyama 2018, section 3 (how the critic joins image and sentence: by a product).
    """

    bound: Bound = "none"

    def __init__(
        self,
        words: Sequence[str],
        levels: Sequence[int],
        channels: int = 1,
        size: int = 32,
        stages: int = 1,
        width: int = 32,
        text: int = 64,
        draw: int = 64,
        noise: int = 16,
        examples: Sequence[str] = (),
    ) -> None:
        super().__init__()
        rules = {
            f"channels={channels}": channels in (1, 3),
            f"size={size}": 16 <= size <= _LARGEST and size % 8 == 0,
            f"stages={stages}": stages in (1, 2),
            f"width={width}": 2 <= width <= _WIDEST and width % 2 == 0,
            f"draw={draw}": 1 <= draw <= _WIDEST,
            f"noise={noise}": 1 <= noise <= _WIDEST,
            f"{len(examples)} examples": len(examples) <= _MOST_EXAMPLES,
        }
        wrong = [text for text, holds in rules.items() if not holds]
        if wrong:
            raise UsageError(
                "A StackGAN cannot be made like this.",
                slug="stackgan-arguments",
                seen=", ".join(wrong),
                needed="1 or 3 channels, a side of 16, 24, ... 128 pixels, 1 or 2 stages",
                hint="See help(amiss.models.StackGAN); open the images with size=32, for instance.",
            )
        self.stages, self.noise, self.side = stages, noise, size // 2 * stages
        self.text = TextEncoder(words, levels, text)
        self.examples = tuple(examples)
        self.text.read(self.examples)  # refuses what it cannot read
        self.first = nn.ModuleDict(
            {
                "augment": ConditioningAugmentation(text, draw),
                "generator": _First(channels, size // 2, noise + draw, width),
            }
        )
        self.second = nn.ModuleDict()
        if stages == 2:
            self.second["augment"] = ConditioningAugmentation(text, draw)
            self.second["generator"] = _Second(channels, draw, width)
        self.critic = _Critic(channels, self.side, text, width // stages, halvings=1 + stages)

    def train(self, mode: bool = True) -> "StackGAN":
        """As for any module, but what stays as it is stays in eval mode too."""
        super().train(mode)
        if self.stages == 2:
            self.text.eval()
            self.first.eval()
        return self

    def read(self, captions: Sequence[str]) -> Tensor:
        """The tokens of sentences [N, length], which `sample` takes.

        Raises:
            ModelError: A word is not in the vocabulary, or a sentence is empty or too long.
        """
        return self.text.read(captions)

    def draw(self, codes: Tensor, generator: torch.Generator, temperature: float = 1.0) -> "Drawn":
        """Images of the last stage for codes of sentences [N, text], each from draws of its own.

        Args:
            codes: What the text encoder gives.
            generator: Of the draws, on the CPU.
            temperature: Factor on the deviation of all draws.
        """
        mean, log_variance, c = self._draw(self.first, codes, generator, temperature)
        z = temperature * torch.randn(len(codes), self.noise, generator=generator).to(codes.device)
        small: Tensor = self.first["generator"](torch.cat([z, c], 1))
        if self.stages == 1:
            return Drawn(small, small, ConditioningAugmentation.kl(mean, log_variance))
        small = small.detach()
        mean, log_variance, c = self._draw(self.second, codes, generator, temperature)
        return Drawn(self.second["generator"](small, c), small, ConditioningAugmentation.kl(mean, log_variance))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Images [n, channels, side, side] in [0, 1] of sentences.

        Args:
            n: How many.
            c: Their tokens, as `read` gives them: [n, length], or [1, length] for one sentence for all. By default
                the examples, in turn.
            temperature: Factor on the deviation of noise and draws.
            generator: Of the draws; by default a fresh one of seed 0.

        Raises:
            ContractError: There are not as many sentences as images, or no examples to take instead.
        """
        generator = generator or torch.Generator().manual_seed(0)
        if c is None and self.examples:
            c = self.read([self.examples[i % len(self.examples)] for i in range(n)])
        if c is None or c.ndim != 2 or c.shape[0] not in (1, n):
            raise ContractError(
                "A StackGAN draws sentences: one for each image, or one for all.",
                slug="caption-count",
                seen="no sentence" if c is None else f"tokens of shape {tuple(c.shape)} for {n} images",
                needed=f"tokens [{n}, {self.text.length}] or [1, {self.text.length}]",
                hint="Pass c=model.read(['a two above a large seven']).",
            )
        codes = self.text(c.to(self.critic.real.weight.device)).expand(n, -1)
        parts = [self.draw(part, generator, temperature).image for part in codes.split(_CHUNK)]
        return torch.cat(parts)

    @torch.no_grad()
    def fits(self, image: Tensor, c: Tensor) -> Tensor:
        """Whether the critic finds an image real and its sentence right: logits [N], above 0 is yes.

        Args:
            image: Images [N, channels, side, side] in [0, 1].
            c: Tokens [N, length].
        """
        codes = self.text(c)[:, None]
        parts = zip(image.split(_CHUNK), codes.split(_CHUNK), strict=True)
        return torch.cat([self.critic(*part)[:, 0] for part in parts])

    @staticmethod
    def _draw(
        stage: nn.ModuleDict, codes: Tensor, generator: torch.Generator, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = stage["augment"](codes)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        return mean, log_variance, mean + temperature * (log_variance / 2).exp() * noise


class Drawn(NamedTuple):
    """Images, what stage I drew of them, and the divergence of the last stage's draws [N], nats."""

    image: Tensor
    small: Tensor
    kl: Tensor


class _First(nn.Module):
    """Stage I: images [N, C, side, side] from noise and a draw of the sentence."""

    def __init__(self, channels: int, side: int, inputs: int, width: int) -> None:
        super().__init__()
        start = side // 4
        self.dense = nn.Linear(inputs, 4 * width * start * start, bias=False)
        self.shape = (4 * width, start, start)
        self.body = nn.Sequential(
            nn.BatchNorm2d(4 * width), nn.ReLU(), *_up(4 * width, 2 * width), *_up(2 * width, width),
            nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self.dense(z).unflatten(1, self.shape)).float().sigmoid()


class _Second(nn.Module):
    """Stage II: images of twice the side from those of stage I and a draw of the sentence."""

    def __init__(self, channels: int, inputs: int, width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width // 2, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip
        self.join = nn.Sequential(
            nn.Conv2d(width + inputs, 2 * width, 3, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()
        )
        self.residual = nn.ModuleList([_Residual(2 * width) for _ in range(2)])
        self.up = nn.Sequential(
            *_up(2 * width, width), *_up(width, width // 2), nn.Conv2d(width // 2, channels, 3, padding=1)
        )

    def forward(self, image: Tensor, c: Tensor) -> Tensor:
        h = self.down(image)
        h = self.join(torch.cat([h, c.to(h.dtype)[:, :, None, None].expand(-1, -1, *h.shape[2:])], 1))
        for block in self.residual:
            h = block(h)
        return self.up(h).float().sigmoid()


class _Residual(nn.Module):
    """Two convolutions, whose result is added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class _Critic(nn.Module):
    """How real an image is and how well a sentence fits it, as one logit: features once, a product a sentence."""

    def __init__(self, channels: int, side: int, text: int, width: int, halvings: int, features: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(halvings):
            before = channels if i == 0 else width * 2 ** (i - 1)
            layers += [nn.Conv2d(before, width * 2**i, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        side >>= halvings
        layers += [nn.Flatten(), nn.Linear(width * 2 ** (halvings - 1) * side * side, features), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers)
        self.real, self.match = nn.Linear(features, 1), nn.Linear(text, features)

    def forward(self, image: Tensor, codes: Tensor) -> Tensor:
        """Logits [N, M] of images [N, C, side, side] each with M codes [N, M, text]."""
        h = self.body(image * 2 - 1)
        keys = self.match(codes.to(h.dtype))
        return (self.real(h) + (h[:, None] * keys).sum(-1) / keys.shape[-1] ** 0.5).float()


def _up(before: int, after: int) -> list[nn.Module]:
    """Twice the side: each pixel four times, and a convolution."""
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(after), nn.ReLU()]
