"""How far back a recurrent network can learn from: norms of gradients through time."""

import math

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models import Recurrent

__all__ = ["gradients_back", "growth", "linear_network", "spectral_matrix", "weight_gradient"]

_SMALL = 1e-12  # of inputs to a network that is to stay linear
_PROJECTIONS = 8  # directions of the last state whose gradients are averaged


def spectral_matrix(size: int, radius: float, generator: torch.Generator | None = None) -> Tensor:
    """A symmetric matrix Q L Q^T [size, size], float64, whose largest eigenvalue is `radius`.

    The eigenvectors Q are drawn evenly; the other eigenvalues lie evenly between 0 and 0.8 `radius`. A linear network
    h_t = W h_{t-1} with this matrix is Q L^t Q^T h_0: its eigenvectors stay, and its gradients through t steps grow
    or vanish as radius^t.

    Args:
        size: Rows and columns.
        radius: Largest eigenvalue, 0 or more.
        generator: Where the eigenvectors are drawn from. None draws the same ones at every call.

    Raises:
        UsageError: There is no such matrix.

    References:
        Goodfellow, Bengio and Courville 2016, equations 10.36 to 10.39.
    """
    if size < 1 or not 0 <= radius < math.inf:
        raise UsageError(
            "There is no such matrix.",
            slug="spectral-matrix",
            seen=f"size={size}, radius={radius}",
            needed="a size of 1 or more, and a finite radius of 0 or more",
            hint="Pass, for instance, spectral_matrix(32, 0.9).",
        )
    generator = generator or torch.Generator().manual_seed(0)
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()  # evenly distributed, not only orthogonal
    values = torch.linspace(0, 0.8, size, dtype=torch.float64)
    values[-1] = 1
    return q @ torch.diag(radius * values) @ q.T


def linear_network(size: int, radius: float, seed: int = 0) -> Recurrent:
    """A vanilla network in float64 that is linear near its state of zeros, with the matrix of `spectral_matrix`.

    Its biases are 0, and its inputs are read through small random weights: tanh bends nothing there.

    Args:
        size: Numbers in its state.
        radius: The largest eigenvalue of its matrix.
        seed: Of its eigenvectors and of what it reads.

    Raises:
        UsageError: There is no such matrix.
    """
    lots = torch.Generator().manual_seed(seed)
    net = Recurrent(1, size, "rnn").double()
    weights = net.weights(0)
    with torch.no_grad():
        weights.back.copy_(spectral_matrix(size, radius, lots))
        weights.into.copy_(_SMALL * torch.randn(weights.into.shape, generator=lots, dtype=torch.float64))
        weights.bias.zero_()
        weights.bias_back.zero_()
    return net


def gradients_back(net: Recurrent, x: Tensor, seed: int = 0) -> Tensor:
    """Norm of the gradient of the last output with respect to the state t steps before it [T], t = 0 to T - 1.

    Root mean square over random unit directions of the last output and over the sequences. The state of an LSTM is
    its output and its memory.

    Args:
        net: One layer in one direction.
        x: Sequences [N, T, inputs].
        seed: Of the directions.

    References:
        Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, section 2.
    """
    states = [tuple(t.clone().requires_grad_() for t in state) for state in net.start(len(x))]
    seen = []
    for frame in x.unbind(1):
        _, states = net.step(frame, states)
        seen.append(states[0])
    last = states[0][0]
    lots = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(seen), dtype=torch.float64)
    for _ in range(_PROJECTIONS):
        direction = torch.randn(last.shape, generator=lots).to(last)
        direction = direction / direction.norm(dim=1, keepdim=True)
        wanted = [t for state in reversed(seen) for t in state]
        slopes = torch.autograd.grad((last * direction).sum(), wanted, retain_graph=True, allow_unused=True)
        per = len(seen[0])
        for t in range(len(seen)):
            parts = [g for g in slopes[t * per : (t + 1) * per] if g is not None]
            total[t] += sum(float(g.double().square().sum()) for g in parts) / len(x)
    return (total / _PROJECTIONS).sqrt()


def weight_gradient(net: Recurrent, x: Tensor, clip: float | None = None) -> float:
    """Norm of the gradient of the mean of the last output, over rows and numbers, with respect to all weights.

    Args:
        net: One layer in one direction.
        x: Sequences [N, T, inputs].
        clip: Norms above it are scaled to it, as a `TrainingRecipe` with this `clip` does; None: as it is.

    References:
        Pascanu, Mikolov and Bengio 2013, algorithm 1.
    """
    net.zero_grad()
    net(x)[0][:, -1].mean().backward()
    weights = list(net.parameters())
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(weights, clip)
    norm = torch.cat([p.grad.flatten() for p in weights if p.grad is not None]).norm()
    net.zero_grad()
    return float(norm)


def growth(norms: Tensor) -> float:
    """Slope of log norm a step, fitted to the second half of norms [T]: the logarithm of the spectral radius.

    The first half is left out: there, smaller eigenvalues have not vanished yet.

    Raises:
        UsageError: Fewer than four norms, or one that is not positive.
    """
    if len(norms) < 4 or not bool((norms > 0).all()):
        raise UsageError(
            "No growth can be fitted to these norms.",
            slug="growth-norms",
            seen=f"{len(norms)} norms, the least of them {float(norms.min()) if len(norms) else float('nan'):g}",
            needed="four or more, all above 0",
            why="a gradient that has vanished altogether" if len(norms) >= 4 else "",
            hint="Take longer sequences, or float64.",
        )
    late = norms.double().log()[len(norms) // 2 :]
    t = torch.arange(len(late), dtype=torch.float64)
    t = t - t.mean()
    return float((t * (late - late.mean())).sum() / t.square().sum())
