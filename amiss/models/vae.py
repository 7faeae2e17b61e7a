"""A convolutional variational autoencoder: the decoder that latent searches walk on."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import Bound
from amiss.models.likelihoods import Bernoulli, Likelihood, Normal

__all__ = ["ELBO", "ConvVAE"]


@dataclass(frozen=True)
class ELBO:
    """The two parts of the bound, row by row.

    Attributes:
        reconstruction: log p(x | z) of one drawn code [N], nats.
        kl: KL(q(z | x) || p(z)) [N], nats, never negative.
    """

    reconstruction: Tensor
    kl: Tensor

    @property
    def total(self) -> Tensor:
        """The bound [N], nats."""
        return self.reconstruction - self.kl


def _conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.SiLU())


class ConvVAE(nn.Module):
    """A strided encoder, a normal code, and a decoder that grows images by pixel shuffles.

    Images are [N, channels, size, size] in [0, 1]; where the size is no multiple of 4 (of 8 from 48 on) the
    decoder makes a few pixels more and crops them. There is no layer that looks across rows and none that draws, so
    `encode` and `decode` are deterministic and a row's answer does not depend on its batch.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels, 8 or more.
        latent: Dimensions of the code.
        width: Channels of the first convolution; each later stage has twice as many.
        hidden: Units of the dense layer on each side of the code.
        likelihood: "bernoulli" or "normal".
        sigma: Standard deviation of the normal likelihood; None learns one for each pixel.

    Raises:
        UsageError: An argument that cannot mean anything.

    References:
        Kingma and Welling 2014, equations 2 and 10 (the bound), 3 (the reparameterization);
        Shi et al. 2016, equation 4 (the pixel shuffle); Elfwing et al. 2018, equation 1 (SiLU: a smooth decoder
        is a smooth landscape for the searches over its codes); He et al. 2015, equation 10 (initial weights).
    """

    bound: Bound = "lower"

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        latent: int = 16,
        width: int = 16,
        hidden: int = 256,
        likelihood: Literal["bernoulli", "normal"] = "bernoulli",
        sigma: float | None = None,
    ) -> None:
        super().__init__()
        if min(channels, latent, width, hidden) < 1 or size < 8 or likelihood not in ("bernoulli", "normal"):
            raise UsageError(
                "This autoencoder cannot be built.",
                slug="vae-arguments",
                seen=f"channels={channels}, size={size}, latent={latent}, width={width}, hidden={hidden}, "
                f"likelihood={likelihood!r}",
                needed="positive counts, size >= 8, likelihood 'bernoulli' or 'normal'",
                hint="Pass, for instance, ConvVAE(channels=1, size=28, latent=16).",
            )
        self.channels, self.size, self.latent = channels, size, latent
        self.likelihood: Likelihood = Bernoulli() if likelihood == "bernoulli" else Normal(sigma)
        stages = 2 if size < 48 else 3
        self._inner = -(-size // 2**stages)  # side of the smallest map
        widths = [width * 2**i for i in range(stages)]
        top = widths[-1]

        self.encoder = nn.Sequential(
            *(_conv(a, b, stride=2) for a, b in pairwise([channels, *widths])),
            nn.Flatten(),
            nn.Linear(top * self._inner**2, hidden),
            nn.SiLU(),
        )
        self.code = nn.Linear(hidden, 2 * latent)
        grow: list[nn.Module] = []
        narrower = [*reversed(widths[:-1]), channels * self.likelihood.outputs]
        for before, after in zip(reversed(widths), narrower, strict=True):
            shuffle = [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]
            grow += [_conv(before, before), *shuffle]
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, top * self._inner**2),
            nn.SiLU(),
            nn.Unflatten(1, (top, self._inner, self._inner)),
            *grow[:-1],  # the output may have either sign
        )
        # With torch's own, smaller weights the code's signal fades on its way through the decoder, and the
        # first epochs are spent on growing it.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance [N, latent] of the code of images `x` [N, C, H, W] in [0, 1]."""
        self._check(x)
        code: Tensor = self.code(self.encoder(x))
        # Reduced precision ends here; float64 stays what it is.
        mean, log_variance = code.to(torch.promote_types(code.dtype, torch.float32)).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def encode(self, x: Tensor) -> Tensor:
        """Posterior mean [N, latent] of images `x` [N, C, H, W] in [0, 1]."""
        return self.posterior(x)[0]

    def output(self, z: Tensor) -> Tensor:
        """What the likelihood reads [N, C * likelihood.outputs, H, W], for codes `z` [N, latent]."""
        grown: Tensor = self.decoder(z)
        return grown[..., : self.size, : self.size]

    def decode(self, z: Tensor) -> Tensor:
        """Mean image [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        return self.likelihood.mean(self.output(z))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of images `x`: decode(encode(x))."""
        return self.decode(self.encode(x))

    def elbo_parts(self, x: Tensor, generator: torch.Generator | None = None) -> ELBO:
        """Both parts of the bound on log p(x), with one drawn code a row.

        Args:
            x: Images [N, C, H, W] in [0, 1].
            generator: Where the codes are drawn from, on the CPU. None draws the same noise at every call.
        """
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator or torch.Generator().manual_seed(0))
        z = mean + (0.5 * log_variance).exp() * noise.to(mean.device)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return ELBO(self.likelihood.log_prob(self.output(z), x), kl)

    def elbo(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The bound on log p(x) [N], nats (see `elbo_parts`)."""
        return self.elbo_parts(x, generator).total

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """A lower bound on log p(x) [N], nats, from the same noise at every call."""
        self._unconditional(c)
        return self.elbo(x)

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] from the normal prior, its standard deviation times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        return temperature * torch.randn(n, self.latent, generator=generator).to(self.code.weight.device)

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Mean images [n, C, H, W] of `n` codes from the prior.

        Raises:
            ContractError: `c`, `given` or `mask` was passed: there is no condition, and no completion.
        """
        self._unconditional(c, given, mask)
        return self.decode(self.prior(n, temperature=temperature, generator=generator))

    def _unconditional(self, *conditions: Tensor | None) -> None:
        if any(c is not None for c in conditions):
            raise ContractError(
                "ConvVAE draws from its prior alone.",
                slug="vae-condition",
                seen="a condition, given pixels or a mask",
                needed="none of them",
                hint="To repair or complete an image search its codes with a Probe over Latent(vae).",
            )

    def _check(self, x: Tensor) -> None:
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "The images do not fit this autoencoder.",
                slug="vae-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or train an autoencoder for their size.",
            )
