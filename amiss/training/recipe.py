"""How long, how fast and how exactly a model is trained, as one frozen record."""

import math
from dataclasses import dataclass
from typing import Literal

from amiss.errors import UsageError

__all__ = ["TrainingRecipe"]


@dataclass(frozen=True)
class TrainingRecipe:
    """How to train, and nothing about what.

    `epochs` or `steps` bound the work, `seconds` bounds the wait; give at least one. As long as the clock
    does not bite, equal recipes give equal weights, bit for bit; a run that the clock shortened says so in
    its history.

    Attributes:
        epochs: Passes over the data; a fraction is allowed.
        steps: Steps in all, instead of epochs.
        seconds: Wall-clock limit; the schedule shrinks to end there.
        batch: Rows a step; the last, incomplete batch of an epoch is left out.
        rate: Highest learning rate, for a loss averaged over the batch's rows.
        schedule: "one-cycle" (linear rise over `warm`, cosine fall to 0), "cosine" (no rise), "constant".
        warm: Share of the run in which a one-cycle rises.
        weight_decay: Decoupled decay of weights with two or more dimensions; biases are left alone.
        betas: Adam's two decay rates.
        clip: Largest norm of a player's gradient; 0 does not clip.
        ema: Decay of the running average of the weights, which the finished model gets; 0 keeps no average.
        precision: "bf16" computes under autocast and keeps weights and losses in float32.
        channels_last: Keep images and convolutions in that memory layout while training.
        shift: Each image is moved by up to this many pixels each way, its border repeated.
        seed: Of the order of rows, the shifts, and the noise of the loss.

    Raises:
        UsageError: A field that cannot mean anything.

    References:
        Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2 (AdamW); Smith and Topin
        2019, section 3 (one cycle).
    """

    epochs: float | None = None
    steps: int | None = None
    seconds: float | None = None
    batch: int = 128
    rate: float = 1e-3
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warm: float = 0.1
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    ema: float = 0.0
    precision: Literal["float32", "bf16"] = "float32"
    channels_last: bool = False
    shift: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = {"epochs": self.epochs, "steps": self.steps, "seconds": self.seconds}
        given = {name: n for name, n in lengths.items() if n is not None}
        wrong = [f"{name}={n}" for name, n in given.items() if not (math.isfinite(n) and n > 0)]
        rules = {
            f"batch={self.batch}": self.batch >= 1,
            f"rate={self.rate}": math.isfinite(self.rate) and self.rate > 0,
            f"schedule={self.schedule!r}": self.schedule in ("one-cycle", "cosine", "constant"),
            f"warm={self.warm}": 0 <= self.warm < 1,
            f"weight_decay={self.weight_decay}": self.weight_decay >= 0,
            f"betas={self.betas}": len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas),
            f"clip={self.clip}": self.clip >= 0,
            f"ema={self.ema}": 0 <= self.ema < 1,
            f"precision={self.precision!r}": self.precision in ("float32", "bf16"),
            f"shift={self.shift}": self.shift >= 0,
        }
        wrong += [text for text, holds in rules.items() if not holds]
        if not given or (self.epochs and self.steps):
            wrong.append("no length" if not given else "epochs and steps")
        if wrong:
            raise UsageError(
                "The training recipe cannot be followed.",
                slug="training-recipe",
                seen=", ".join(wrong),
                needed="epochs or steps, or seconds, all positive; rates and sizes in their ranges",
                hint="See help(amiss.training.TrainingRecipe) for the range of each field.",
            )

    def per_epoch(self, rows: int) -> int:
        """Steps in one pass over `rows` rows."""
        return max(1, rows // self.batch)

    def total(self, rows: int) -> int | None:
        """Steps in all; None where the clock alone decides."""
        if self.epochs is not None:
            return max(1, round(self.epochs * self.per_epoch(rows)))
        return self.steps

    def fraction(self, step: int, total: int | None, elapsed: float) -> float:
        """How much of the run lies behind at `step`, in [0, 1); it is what schedules read.

        The clock overrules the count of steps once a fifth of the time is spent and the steps lag behind.
        """
        spent = elapsed / self.seconds if self.seconds else 0.0
        if total is None:
            return min(spent, 1.0)
        done = step / total
        return min(spent, 1.0) if spent > 0.2 and done < spent else done

    def rate_at(self, fraction: float) -> float:
        """The learning rate when `fraction` of the run lies behind."""
        if self.schedule == "constant":
            return self.rate
        warm = self.warm if self.schedule == "one-cycle" else 0.0
        if fraction < warm:
            return self.rate * (0.04 + 0.96 * fraction / warm)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (fraction - warm) / (1 - warm)))
