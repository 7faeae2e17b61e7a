"""One training loop for every model: players, progress, checkpoints, exact resume, and a stop on nonsense."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import CheckpointError, TrainingError, UsageError
from amiss.repro import digest, generator
from amiss.tensorfile import read_tensors, write_tensors
from amiss.training.batches import Batch, Batches, as_pixels
from amiss.training.interrupts import held_interrupt
from amiss.training.losses import TrainingLoss
from amiss.training.processes import Ranks
from amiss.training.progress import History, Look, Progress, Watch
from amiss.training.recipe import TrainingRecipe

__all__ = ["STATE_FILE", "fit"]

STATE_FILE = "state.safetensors"
"""Name of the file that a run in progress keeps in its folder."""

_LAYERS = 4  # stream of randomness for layers that draw, such as dropout


def fit(
    model: nn.Module,
    loss: TrainingLoss,
    data: Mapping[str, Tensor],
    recipe: TrainingRecipe,
    *,
    out: Path | str | None = None,
    on_step: Callable[[Progress], None] | None = None,
    device: torch.device | str = "cpu",
    every: int = 500,
    more: int | None = None,
    watch: Watch | None = None,
) -> History:
    """Train a model in place.

    In a group of processes (torch.distributed) each takes its rows of every batch, and the gradients are summed: the
    result is that of one process up to rounding, but for noise, which each process draws for itself, and for batch
    norms, whose statistics are those of a process's own rows. The first process writes, tells and is watched.

    Args:
        model: The module to train; it ends on `device`, in eval mode, in the usual memory layout.
        loss: What to minimize and who owns which parameters.
        data: Tensors [n, ...] by name; uint8 means pixels and reaches the loss as float32 in [0, 1].
        recipe: How long, how fast, how exactly.
        out: Folder of the run. A state found there is continued, to the same weights as a run in one go.
        on_step: Told after each step; a KeyboardInterrupt from it stops the run like Ctrl-C.
        device: Where to compute.
        every: Steps between checkpoints.
        more: Go on for so many steps more than the state in `out` has done, whatever the recipe says. Schedules are
            those of a run of that length in all, from there on. Without `more` such a run goes on to the same end.
        watch: Who looks at the run while it goes on.

    Returns:
        The loss curve and what it cost.

    Raises:
        TrainingError: A loss or a gradient was not finite. The model, and the file in `out`, are the last
            checkpoint from which a step succeeded.
        CheckpointError: The state in `out` belongs to another run.
        DataError: The data has no rows, or tensors of different lengths.
        UsageError: `more` without a state to go on with, or with a clock; processes that cannot share the work.
        KeyboardInterrupt: Ctrl-C, after a checkpoint at the end of the step.
    """
    run = _Run(model, loss, data, recipe, torch.device(device), None if out is None else Path(out) / STATE_FILE)
    with torch.random.fork_rng(devices=[]), held_interrupt() as interrupted:
        run.resume()
        run.ranks.agree(run.step)
        if more is not None:
            run.lengthen(more)
        while not run.finished:
            keep = run.snapshot() if run.step % every == 0 else None
            values = run.advance()
            if keep is not None:  # a step succeeded from there
                run.keep(keep)
            stop = False
            if run.ranks.rank == 0:
                try:
                    if on_step is not None:
                        on_step(run.progress(values))
                    if watch is not None:
                        run.look(watch, values)
                except KeyboardInterrupt:
                    stop = True
            if any(run.ranks.total(stop or interrupted())):
                run.keep_if_finite(run.snapshot())
                run.ranks.total(0)  # none goes on before the file is written
                raise KeyboardInterrupt
        return run.finish()


@dataclass(frozen=True)
class _Snapshot:
    """Everything that a run is at the start of a step."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]


class _Run:
    """A run's moving parts; between two steps they are `snapshot` and nothing else."""

    def __init__(
        self,
        model: nn.Module,
        loss: TrainingLoss,
        data: Mapping[str, Tensor],
        recipe: TrainingRecipe,
        device: torch.device,
        file: Path | None,
    ) -> None:
        self.batches, self.ranks = Batches(data, recipe, device), Ranks.here(device)
        self.ranks.refuse_unshared(self.batches.size, recipe.seconds)
        self.model, self.loss, self.recipe, self.device, self.file = model, loss, recipe, device, file
        model.to(device).train()
        if recipe.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.players = {name: [p for p in own if p.requires_grad] for name, own in loss.players(model).items()}
        self.optimizers = {name: self._optimizer(own) for name, own in self.players.items()}
        floats = {name: t for name, t in model.state_dict().items() if t.is_floating_point()}
        self.average = {name: t.clone() for name, t in floats.items()} if recipe.ema else {}
        self.total = recipe.total(self.batches.rows)
        self.step, self.before, self.start, self.resumed = 0, 0.0, time.monotonic(), 0
        self.curve: dict[str, list[float]] = {name: [] for name in self.players}
        self.held: dict[str, list[tuple[float, float]]] = {name: [] for name in self.players}
        self.looked, self.looking = time.monotonic(), 0.0
        self.good: _Snapshot | None = None
        self.identity = {
            "recipe": asdict(recipe) | {"betas": list(recipe.betas)},
            "loss": repr(loss),
            "data": digest(*(part for name in sorted(data) for part in (name, data[name]))),
            "model": {name: list(t.shape) for name, t in model.state_dict().items()},
        } | ({} if self.ranks.world == 1 else {"processes": self.ranks.world})

    def _optimizer(self, own: list[nn.Parameter]) -> torch.optim.Optimizer:
        groups = [
            {"params": [p for p in own if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0},
        ]
        fused = self.device.type in ("cpu", "cuda")
        groups = [g for g in groups if g["params"]]
        return torch.optim.AdamW(groups, lr=self.recipe.rate, betas=self.recipe.betas, fused=fused)

    @property
    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.start

    @property
    def fraction(self) -> float:
        return self.recipe.fraction(self.step, self.total, self.elapsed)

    @property
    def finished(self) -> bool:
        return self.fraction >= 1

    def advance(self) -> dict[str, float]:
        """One step of every player, in turns: the losses, a row."""
        fraction = self.fraction
        batch = self.batches.at(self.step, fraction).of(self.ranks.part(self.batches.size), self.ranks.rank)
        # Layers that draw, such as dropout, know only the global generator; fit gives it back as it was.
        words = (_LAYERS, self.step, *([self.ranks.rank] if self.ranks.rank else []))
        torch.default_generator.manual_seed(generator(self.recipe.seed, *words).initial_seed())
        values: dict[str, float] = {}
        for turn in self.loss.turns:
            values |= self._move(turn, batch)
            for name in turn:
                for group in self.optimizers[name].param_groups:
                    group["lr"] = self.recipe.rate_at(fraction)
                self.optimizers[name].step()
        self.ranks.mean_statistics(self.model)
        if self.average:
            self._follow()
        self.step += 1
        for name, value in values.items():
            self.curve[name].append(value)
        return values

    def _move(self, turn: tuple[str, ...], batch: Batch) -> dict[str, float]:
        """Gradients of the players of one turn, each of its own loss alone; refused unless finite."""
        with self._autocast():
            sums = self.loss.losses(self.model, batch, turn)
        values = {}
        for name in turn:
            own, mean = self.players[name], sums[name] / self.batches.size
            (values[name],) = self.ranks.total(float(mean.detach()))
            self.optimizers[name].zero_grad(set_to_none=True)
            if math.isfinite(values[name]):
                torch.autograd.backward(mean, inputs=own, retain_graph=name != turn[-1])
                self.ranks.sum_gradients(own)
            grads = [p.grad for p in own if p.grad is not None]
            norm = float(nn.utils.get_total_norm(grads)) if math.isfinite(values[name]) else math.nan
            if not math.isfinite(norm):
                self._fail(name, values[name], norm)
            if self.recipe.clip and norm > self.recipe.clip:
                torch._foreach_mul_(grads, self.recipe.clip / norm)
        return values

    def _fail(self, player: str, value: float, norm: float) -> None:
        if self.good is not None:
            self._restore(self.good)
        self._settle()
        raise TrainingError(
            f"Training stopped at step {self.step + 1}: a number was not finite.",
            slug="training-not-finite",
            seen=f"{player}: loss {value:.4g}, norm of the gradient {norm:.4g}",
            needed="finite losses and gradients",
            why="a learning rate that is too high, or data with NaN",
            hint=f"Lower rate (now {self.recipe.rate:g}) or set clip=1. The model is the last good one"
            + (f", of step {self.good.about['step']}." if self.good else ", as it began."),
        )

    def _follow(self) -> None:
        """Move the running average; its decay rises with the steps, so early averages are not noise."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [now[name] for name in self.average], 1 - decay)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def look(self, watch: Watch, values: dict[str, float]) -> None:
        """Let a watcher look, where it is time; weights, modes and draws of the run stay as they are."""
        began = time.monotonic()
        if not watch.due(self.step, began - self.looked, self.looking):
            return
        with self._shown():
            if watch.held:
                rows = {name: as_pixels(t.to(self.device)) for name, t in watch.held.items()}
                batch = Batch(rows, self.step, min(self.fraction, 1.0), self.recipe.seed)
                for turn in self.loss.turns:
                    with self._autocast():  # and gradients, which some losses take inside
                        sums = self.loss.losses(self.model, batch, turn)
                    for name in turn:
                        self.held[name].append((float(self.step), float(sums[name].detach()) / len(batch)))
            with torch.no_grad():
                watch.look(Look(self.model, self.progress(values), self.curve, self.held))
        self.looked = time.monotonic()
        self.looking = self.looked - began

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """The model as it would be if the run ended here: its averaged weights, in eval mode."""
        now = {name: t.clone() for name, t in self.model.state_dict().items()} if self.average else {}
        self.model.load_state_dict(self.average, strict=False)
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
            self.model.load_state_dict(now, strict=False)

    def progress(self, values: dict[str, float]) -> Progress:
        """The event that `on_step` is told."""
        fraction, elapsed = self.fraction, self.elapsed
        share = self.step / self.total if self.total else fraction
        remaining = elapsed * (1 - share) / share if share else math.inf
        if self.recipe.seconds:
            remaining = min(remaining, max(0.0, self.recipe.seconds - elapsed))
        rate = next(iter(self.optimizers.values())).param_groups[0]["lr"]
        epoch = self.step / self.batches.per_epoch
        return Progress(self.step, self.total, epoch, min(fraction, 1.0), values, rate, elapsed, remaining)

    def snapshot(self) -> _Snapshot:
        """A copy of everything, at the start of a step."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"average.{name}": t for name, t in self.average.items()}
        for player, own in self.players.items():
            for i, p in enumerate(own):
                state = self.optimizers[player].state.get(p, {})
                tensors |= {f"optimizer.{player}.{i}.{key}": t for key, t in state.items()}
        tensors = {name: t.detach().cpu().clone() for name, t in tensors.items()}
        tensors |= {f"curve.{n}": torch.tensor(v, dtype=torch.float64) for n, v in self.curve.items()}
        tensors |= {f"held.{n}": torch.tensor(v, dtype=torch.float64) for n, v in self.held.items() if v}
        about = {"run": self.identity, "step": self.step, "total": self.total, "seconds": self.elapsed}
        return _Snapshot(tensors, about)

    def keep(self, snapshot: _Snapshot) -> None:
        """Make a snapshot the state to go back to, in memory and on disk."""
        self.good = snapshot
        if self.file is not None and self.ranks.rank == 0:
            write_tensors(self.file, snapshot.tensors, snapshot.about)

    def keep_if_finite(self, snapshot: _Snapshot) -> bool:
        """Keep a snapshot from which no step has been taken yet; False where its weights are not finite."""
        finite = all(bool(t.isfinite().all()) for n, t in snapshot.tensors.items() if n.startswith("model."))
        if finite:
            self.keep(snapshot)
        return finite

    def resume(self) -> None:
        """Go on from the state on disk, where there is one."""
        if self.file is None or not self.file.exists():
            return
        tensors, about = read_tensors(self.file)
        _same_run(about.get("run"), self.identity)
        self.good = _Snapshot(tensors, about)
        self._restore(self.good)
        self.step = self.resumed = int(about["step"])
        self.total = about.get("total", self.total)
        self.before, self.start = float(about["seconds"]), time.monotonic()
        self.curve = {name: tensors[f"curve.{name}"].tolist() for name in self.players}
        kept = {name: tensors.get(f"held.{name}", torch.zeros(0, 2)) for name in self.players}
        self.held = {name: [(a, b) for a, b in t.tolist()] for name, t in kept.items()}

    def lengthen(self, more: int) -> None:
        """Make the run end `more` steps after those that are done."""
        if more < 1 or self.good is None or self.recipe.seconds:
            raise UsageError(
                "There is no run that could go on for more steps.",
                slug="training-more",
                seen=f"more={more}, "
                + ("no state" if self.good is None else f"a state of step {self.step}")
                + (f", a clock of {self.recipe.seconds:g} s" if self.recipe.seconds else ""),
                needed="1 or more steps, a folder with the state of a run, and no clock",
                hint="Train first, to the end or not; then ask for more with the same options.",
            )
        self.total = self.step + more

    def _restore(self, snapshot: _Snapshot) -> None:
        """Copy a snapshot's tensors into the live ones, whose memory layout stays."""
        tensors = snapshot.tensors
        with torch.no_grad():
            for name, t in self.model.state_dict().items():
                t.copy_(tensors[f"model.{name}"])
            for name, t in self.average.items():
                t.copy_(tensors[f"average.{name}"])
            for player, own in self.players.items():
                for i, p in enumerate(own):
                    prefix = f"optimizer.{player}.{i}."
                    saved = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
                    # Moments take the parameter's layout: the fused step reads memory in order.
                    # The count of steps goes where the fused step looks for it: beside the parameter.
                    self.optimizers[player].state[p] = {
                        k: torch.empty_like(p).copy_(t) if t.shape == p.shape else t.to(p.device)
                        for k, t in saved.items()
                    }

    def finish(self) -> History:
        """Keep the last state, hand the average to the model, and settle it."""
        if not self.keep_if_finite(self.snapshot()):
            name = next(iter(self.players))
            self._fail(name, self.curve[name][-1], math.inf)
        if self.average:
            self.model.load_state_dict(self.average, strict=False)
        self._settle()
        clocked = self.total is None or self.step < self.total
        epochs = self.step / self.batches.per_epoch
        return History(self.step, epochs, self.elapsed, self.curve, self.resumed, clocked, self.held)

    def _settle(self) -> None:
        self.model.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]


def _same_run(there: Any, here: dict[str, Any]) -> None:
    """Refuse to go on with another run's state, and say what differs."""
    there = there if isinstance(there, dict) else {}
    differ = [
        f"{part}.{name}: {(old or {}).get(name)!r} there, {(new or {}).get(name)!r} here"
        for part in ("recipe", "model")
        for old, new in [(there.get(part), here[part])]
        for name in sorted({*(old or {}), *new})
        if (old or {}).get(name) != new.get(name)
    ]
    there, here = ({"processes": 1} | run for run in (there, here))  # one process alone does not say so
    differ += [f"{part}: {there.get(part)} there, {here[part]} here" for part in ("loss", "data", "processes")
               if there.get(part) != here[part]]  # fmt: skip
    if differ:
        raise CheckpointError(
            "The folder holds the state of another run.",
            slug="checkpoint-other-run",
            seen="; ".join(differ[:4]) + (f"; and {len(differ) - 4} more" if len(differ) > 4 else ""),
            needed="the same recipe, loss, data and model",
            hint="Use the same options to go on with it (more=N, or --more N, for N more steps), or another folder.",
        )
