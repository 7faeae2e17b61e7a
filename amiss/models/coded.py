"""What models with codes share: reconstructions, a normal prior, samples of it, and a word on what they cannot do."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.models.density import Bound

__all__ = ["Coded"]


class Coded(nn.Module, ABC):
    """A latent variable model: images have codes, and codes have images.

    Its codes are standard normal under the prior, and it gives no probability of an image, unless a member says
    otherwise.

    Attributes:
        bound: What `log_prob` is.
        latent: Dimensions of the codes.
    """

    bound: Bound = "none"
    latent: int

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, latent] of images `x` [N, C, H, W] in [0, 1]."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of images `x`: decode(encode(x))."""
        return self.decode(self.encode(x))

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] from the normal prior, its standard deviation times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        return temperature * torch.randn(n, self.latent, generator=generator).to(next(self.parameters()).device)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Refused: there is no likelihood.

        Raises:
            ContractError: Always.
        """
        raise ContractError(
            "This model gives no probability of an image.",
            slug="density-none",
            seen=f'a {type(self).__name__}, whose bound is "none"',
            needed='a density with bound "exact" or "lower"',
            hint="Score images with an autoregressive model, a flow or a VAE.",
        )

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
        """Images [n, C, H, W] in [0, 1] of `n` codes from the prior.

        Raises:
            ContractError: `c`, `given` or `mask` was passed: there is no condition, and no completion.
        """
        self.refuse(c, given, mask)
        return self.decode(self.prior(n, temperature=temperature, generator=generator))

    def refuse(self, *conditions: Tensor | None) -> None:
        """Refuse conditions, where any is given.

        Raises:
            ContractError: One is.
        """
        if any(c is not None for c in conditions):
            raise ContractError(
                f"{type(self).__name__} draws from its prior alone.",
                slug="codes-condition",
                seen="a condition, given pixels or a mask",
                needed="none of them",
                why="the model was trained without a condition, and has codes for whole images",
                hint="To repair or complete an image search its codes with a Probe over Latent(model).",
            )
