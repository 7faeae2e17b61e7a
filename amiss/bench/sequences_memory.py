"""Memory: what is left of a symbol after a hundred frames of noise, by cell; and the cells against torch's own."""

from itertools import product
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.data.worlds.tasks import Labeled, recall
from amiss.models import Recurrent, SequenceClassifier, build
from amiss.models.cells import CELLS
from amiss.repro import generator
from amiss.training import TrainingRecipe, fit
from amiss.training.losses import SequenceLoss

__all__ = ["cells", "memory"]

_LAG, _SYMBOLS = 100, 4
_RATES = (2e-2, 5e-3, 1e-3)
_LEARN, _TUNE, _TEST, _START = 1, 2, 3, 4  # streams of randomness


def memory(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Accuracy of an LSTM and of a vanilla network on a symbol shown 100 frames ago or more; chance is 1/4.

    Both have 32 units and are tuned alike: of three learning rates the one counts that does best on rows of its own.
    The vanilla network is tried with torch's weights and with an orthogonal matrix, through which gradients do not
    vanish at first, and the better counts.

    References:
        Le, Jaitly and Hinton 2015; Arjovsky, Shah and Bengio 2016 (vanilla networks that begin orthogonally).
    """
    torch.set_num_threads(1)
    lag = 10 if run.quick else _LAG
    learn, tune, test = (
        recall(n, lag, generator(run.seed, stream), _SYMBOLS)
        for n, stream in ((200 if run.quick else 10_000, _LEARN), (500, _TUNE), (2000, _TEST))
    )
    figures, raw = {}, {}
    for cell, starts in {"lstm": ("gates",), "rnn": ("torch", "orthogonal")}.items():
        tried = []
        for start, rate in product(starts, _RATES[:1] if run.quick else _RATES):
            model = recaller(learn, cell, rate, 5 if run.quick else 1000, run.seed, start == "orthogonal")
            tried.append((_right(model, tune.frames, tune.labels), f"{start}, {rate}", model))
        best = max(tried, key=lambda row: row[0])
        figures[f"{cell}_recall"] = _right(best[2], test.frames, test.labels)
        raw[cell] = {"tried": {name: right for right, name, _ in tried}, "taken": best[1]}
    return figures, raw


def recaller(learn: Labeled, cell: str, rate: float, steps: int, seed: int, orthogonal: bool) -> SequenceClassifier:
    """A network of one layer, trained to recall."""
    length = learn.frames.shape[1]
    arguments = {"inputs": learn.frames.shape[2], "classes": learn.classes, "cell": cell, "memory": length}
    model = build({"architecture": "SequenceClassifier", "arguments": arguments}, seed=seed)
    assert isinstance(model, SequenceClassifier)  # noqa: S101 - the recipe names it
    if orthogonal:
        torch.nn.init.orthogonal_(model.recurrent.weights(0).back, generator=generator(seed, _START))
    data = {"frames": learn.frames, "lengths": torch.full((len(learn.labels),), length), "label": learn.labels}
    fit(model, SequenceLoss(), data, TrainingRecipe(
        steps=steps, batch=64, rate=rate, clip=1.0, schedule="constant", seed=seed))  # fmt: skip
    return model.eval()


def cells(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """How far the formulas are from torch's cells, and analytic gradients from finite differences; the worst of all.

    In float64, over a sequence of 20 frames and two layers, where torch has such a cell; of the one with a sigmoid
    candidate, which torch has not, the gradients alone are compared.
    """
    lots = generator(run.seed, _TEST)
    apart: dict[str, float] = {}
    slopes: dict[str, float] = {}
    for name, cell in CELLS.items():
        net = _layers(name, run.seed)
        x = torch.randn(3, 20, 4, generator=lots, dtype=torch.float64)
        if cell.fused:
            theirs = cell.holder(4, 6, num_layers=2, batch_first=True).double()
            ours = {f"{key[:-1]}{i}": t for i, row in enumerate(net.rows) for key, t in row.state_dict().items()}
            theirs.load_state_dict(ours)
            states, out = net.start(3), []
            for frame in x.unbind(1):
                h, states = net.step(frame, states)
                out.append(h)
            apart[name] = float((torch.stack(out, 1) - theirs(x)[0]).detach().abs().max())
        slopes[name] = _gradient_error(net, x[:1, :3])
    return {"cells_apart": max(apart.values()), "gradient_error": max(slopes.values())}, {
        "apart": apart, "gradients": slopes,
    }  # fmt: skip


def _layers(cell: Any, seed: int) -> Recurrent:
    """Two layers of six cells, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Recurrent(4, 6, cell, layers=2).double()


def _gradient_error(net: Recurrent, x: torch.Tensor, step: float = 1e-6) -> float:
    """Largest relative difference of a weight's gradient from the quotient of differences, over all weights."""

    def loss() -> torch.Tensor:
        return net(x)[0].square().sum()

    slopes = torch.autograd.grad(loss(), list(net.parameters()))
    worst = 0.0
    with torch.no_grad():
        for p, slope in zip(net.parameters(), slopes, strict=True):
            flat, by = p.view(-1), slope.reshape(-1)
            numeric = torch.empty_like(by)
            for i in range(len(flat)):
                kept = float(flat[i])
                flat[i] = kept + step
                up = float(loss())
                flat[i] = kept - step
                numeric[i] = (up - float(loss())) / (2 * step)
                flat[i] = kept
            worst = max(worst, float((numeric - by).norm() / (numeric.norm() + by.norm()).clamp_min(1e-12)))
    return worst


def _right(model: SequenceClassifier, frames: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(frames).argmax(1) == labels).double().mean())
