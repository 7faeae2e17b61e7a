"""A convolutional variational autoencoder: the decoder that latent searches walk on."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.code_prior import CodePrior
from amiss.models.coded import Coded
from amiss.models.density import Bound
from amiss.models.likelihoods import Bernoulli, Likelihood, Normal
from amiss.models.pyramid import check_images, down, he_start, stages, up

__all__ = ["ELBO", "ConvVAE"]

_MOST = {
    "channels": 64,
    "size": 1024,
    "latent": 2**14,
    "width": 2**10,
    "hidden": 2**14,
    "classes": 10_000,
    "couplings": 64,
}


@dataclass(frozen=True)
class ELBO:
    """The two parts of the bound, row by row.

    Attributes:
        reconstruction: log p(x | z) of one drawn code [N], nats.
        kl: KL(q(z | x) || p(z)) [N], nats, never negative; with a learned prior log q(z | x) - log p(z) of the drawn
            code, whose mean it is.
    """

    reconstruction: Tensor
    kl: Tensor

    @property
    def total(self) -> Tensor:
        """The bound [N], nats."""
        return self.reconstruction - self.kl


class ConvVAE(Coded):
    """A strided encoder, a normal code, and a decoder that grows images by pixel shuffles.

    Images are [N, channels, size, size] in [0, 1]; where the size is no multiple of 4 (of 8 from 48 on) the
    decoder makes a few pixels more and crops them. There is no layer that looks across rows and none that draws, so
    `encode` and `decode` are deterministic and a row's answer does not depend on its batch.

    With `classes` the model is conditional: encoder and decoder are told the class of each image, `c` [N], int64.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels, 8 or more.
        latent: Dimensions of the code.
        width: Channels of the first convolution; each later stage has twice as many.
        hidden: Units of the dense layer on each side of the code.
        likelihood: "bernoulli" or "normal".
        sigma: Standard deviation of the normal likelihood; None learns one for each pixel.
        classes: How many classes an image can be of; 0 asks for none.
        couplings: Affine couplings of a prior that is learned beside the autoencoder (see `CodePrior`); 0 keeps the
            standard normal.

    Raises:
        UsageError: An argument that cannot mean anything.

    References:
        Kingma and Welling 2014, equations 2 and 10 (the bound), 3 (the reparameterization); Kingma et al. 2014,
        section 2.1 (conditional); Chen et al. 2017, section 3.2 (a learned prior); Shi et al. 2016, equation 4 (the
        pixel shuffle); Elfwing et al. 2018, equation 1 (SiLU: a smooth decoder is a smooth landscape for the searches
        over its codes); He et al. 2015, equation 10 (initial weights).
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
        classes: int = 0,
        couplings: int = 0,
    ) -> None:
        super().__init__()
        counts = {"channels": channels, "size": size, "latent": latent, "width": width, "hidden": hidden,
                  "classes": classes, "couplings": couplings}  # fmt: skip
        wrong = min(channels, latent, width, hidden) < 1 or size < 8 or min(classes, couplings) < 0
        wrong |= any(count > _MOST[name] for name, count in counts.items()) or (couplings > 0 and latent < 2)
        if wrong or likelihood not in ("bernoulli", "normal"):
            raise UsageError(
                "This autoencoder cannot be built.",
                slug="vae-arguments",
                seen=", ".join(f"{name}={count}" for name, count in counts.items()) + f", likelihood={likelihood!r}",
                needed="positive counts that fit a small machine, size >= 8, likelihood 'bernoulli' or 'normal', and "
                "two dimensions of the code for couplings",
                hint="Pass, for instance, ConvVAE(channels=1, size=28, latent=16).",
            )
        self.channels, self.size, self.latent, self.classes = channels, size, latent, classes
        self.likelihood: Likelihood = Bernoulli() if likelihood == "bernoulli" else Normal(sigma)
        widths = stages(size, width)
        self.encoder = down(channels, size, widths, hidden)
        self.code = nn.Linear(hidden + classes, 2 * latent)
        self.decoder = up(latent + classes, channels * self.likelihood.outputs, size, widths, hidden)
        he_start(self)
        self.learned = CodePrior(latent, couplings) if couplings else None

    def posterior(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance [N, latent] of the code of images `x` [N, C, H, W] in [0, 1]."""
        check_images(x, self.channels, self.size)
        code: Tensor = self.code(self._told(self.encoder(x), c))
        # Reduced precision ends here; float64 stays what it is.
        mean, log_variance = code.to(torch.promote_types(code.dtype, torch.float32)).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Posterior mean [N, latent] of images `x` [N, C, H, W] in [0, 1]."""
        return self.posterior(x, c)[0]

    def output(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """What the likelihood reads [N, C * likelihood.outputs, H, W], for codes `z` [N, latent]."""
        grown: Tensor = self.decoder(self._told(z, c))
        return grown[..., : self.size, : self.size]

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Mean image [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        return self.likelihood.mean(self.output(z, c))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The reconstruction of images `x`: decode(encode(x))."""
        return self.decode(self.encode(x, c), c)

    def log_prior(self, z: Tensor) -> Tensor:
        """Log density of codes [N, latent] under the prior: [N], nats."""
        u, log_scale = (z, 0.0) if self.learned is None else self.learned.to_normal(z)
        return -0.5 * (u**2).sum(1) - 0.5 * self.latent * math.log(2 * math.pi) + log_scale

    def elbo_parts(self, x: Tensor, generator: torch.Generator | None = None, c: Tensor | None = None) -> ELBO:
        """Both parts of the bound on log p(x), with one drawn code a row.

        Args:
            x: Images [N, C, H, W] in [0, 1].
            generator: Where the codes are drawn from, on the CPU. None draws the same noise at every call.
            c: Classes [N] of the images, for a conditional model.
        """
        mean, log_variance = self.posterior(x, c)
        noise = torch.randn(mean.shape, generator=generator or torch.Generator().manual_seed(0)).to(mean.device)
        z = mean + (0.5 * log_variance).exp() * noise
        if self.learned is None:
            kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        else:
            kl = -0.5 * (noise**2 + log_variance + math.log(2 * math.pi)).sum(1) - self.log_prior(z)
        return ELBO(self.likelihood.log_prob(self.output(z, c), x), kl)

    def elbo(self, x: Tensor, generator: torch.Generator | None = None, c: Tensor | None = None) -> Tensor:
        """The bound on log p(x) [N], nats (see `elbo_parts`)."""
        return self.elbo_parts(x, generator, c).total

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """A lower bound on log p(x | c) [N], nats, from the same noise at every call."""
        return self.elbo(x, c=c)

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] from the prior, the standard deviation of its normal numbers times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        u = temperature * torch.randn(n, self.latent, generator=generator).to(self.code.weight)
        return u if self.learned is None else self.learned.to_codes(u)

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
        """Mean images [n, C, H, W] of `n` codes from the prior, of the classes `c` [n] for a conditional model.

        Raises:
            ContractError: `given` or `mask` was passed: there is no completion.
        """
        self.refuse(given, mask)
        return self.decode(self.prior(n, temperature=temperature, generator=generator), c)

    def _told(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Rows [N, k], with their classes behind them for a conditional model [N, k + classes]."""
        if self.classes == 0:
            if c is not None:
                raise _condition("a condition", "none: this ConvVAE has no classes")
            return x
        if c is None or c.shape != x.shape[:1] or c.is_floating_point():
            seen = "no classes" if c is None else f"{c.dtype} of shape {tuple(c.shape)}"
            raise _condition(seen, f"one class from 0 to {self.classes - 1} for each of {len(x)} rows, int64")
        if bool(((c < 0) | (c >= self.classes)).any()):
            raise _condition(
                f"classes from {int(c.min())} to {int(c.max())}", f"classes from 0 to {self.classes - 1}"
            )
        return torch.cat([x, F.one_hot(c, self.classes).to(x)], 1)


def _condition(seen: str, needed: str) -> ContractError:
    return ContractError(
        "The autoencoder cannot be asked for this.",
        slug="vae-condition",
        seen=seen,
        needed=needed,
        why="the model was trained without classes, or needs one for each row",
        hint="To repair or complete an image search its codes with a Probe over Latent(vae).",
    )
