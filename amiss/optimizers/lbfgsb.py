"""Quasi-Newton steps in a box, a row a sample, each with a line search of its own."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["LBFGSB", "begin", "pair", "select"]

_ARMIJO = 1e-4  # share of the promised fall that must come true
_SHORTER = (0.1, 0.5)  # a rejected step is shortened to a share between these
_TRIES = 6  # steps along one direction
_CURVED = 1e-10  # least s'y of a pair, as a share of y'y
_BLOCK = 2**18  # numbers worked on at once: vectors of that length stay in the cache


class LBFGSB(Optimizer):
    """Projected L-BFGS in a box, for losses whose minimum is near 0.

    Pixels that stand at a bound and are pushed against it are held; the others move along the L-BFGS direction of the
    free ones, and what would leave the box is clipped. The first step of a sample, without pairs to tell a curvature,
    has Polyak's length f / |g|. A step that lowers the loss too little is shortened by quadratic interpolation; each
    sample does so by itself while the others go on, so a turn is one pass whatever it is for. A sample is finished,
    and idle from then on, when its loss fell by less than `fall` in `window` turns, when no step inside the box
    promises that much any more, or when not even steepest descent lowers it.

    It begins where an optimizer before it ended, with the pairs that that one hands over. On codes, without a box, it
    is plain L-BFGS. The randomness of an objective stays pinned to one draw, for losses are compared.

    Args:
        memory: Pairs (s, y) of the last turns that the curvature is told by.
        fall: Least relative fall of the value in a window; 0 goes on until the steps end.
        window: Turns of a window.

    Raises:
        UsageError: No memory or window, or a fall outside [0, 1).

    References:
        Nocedal (1980), updating quasi-Newton matrices with limited storage; Liu and Nocedal (1989), on the limited
        memory BFGS method, algorithm 2.1; Bertsekas (1982), projected Newton methods, eq. 8 and 9 (what is held);
        Byrd, Lu, Nocedal and Zhu (1995), a limited memory algorithm for bound constrained optimization (the problem,
        solved there along the path of Cauchy points); Polyak (1969), minimization of unsmooth functionals (the first
        step).
    """

    def __init__(self, memory: int = 10, fall: float = 1e-6, window: int = 10) -> None:
        if memory < 1 or window < 1 or not 0 <= fall < 1:
            raise UsageError(
                "L-BFGS cannot run like this.",
                slug="lbfgsb-options",
                seen=f"memory={memory}, fall={fall}, window={window}",
                needed="one pair and one turn a window or more, and a fall in [0, 1)",
                hint="LBFGSB(memory=10, fall=1e-6, window=10)",
            )
        self.memory, self.fall, self.window = memory, fall, window

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the start, or where the optimizer before ended, with what it knows."""
        p = begin(domain, warm)
        fresh: State = {"s": [], "y": [], "f": p.new_full((len(p),), torch.inf), "g": torch.zeros_like(p)}
        told: State = warm if warm is not None and len(warm["p"]) == len(p) else {}
        known: State = {name: told.get(name, value) for name, value in fresh.items()}
        none = torch.zeros(len(p), dtype=torch.int64, device=p.device)
        age = min(self.memory, len(known["s"]))
        state = {
            # As many slots from the beginning as there will be, so that the state does not grow.
            **{
                name: [torch.zeros_like(p) for _ in range(self.memory - age)] + known[name][-age:] * (age > 0)
                for name in ("s", "y")
            },
            "p": p,
            "f": known["f"],
            "g": known["g"],
            "trial": p,
            "d": torch.zeros_like(p),
            "pace": torch.ones_like(known["f"]),
            "promise": torch.zeros_like(known["f"]),  # what the step would gain if the loss were linear, below 0
            "tries": none,
            "age": none + age,  # of the last slots of pairs, how many may be used
            "mark": known["f"].clone(),
            "whole": known["f"].abs(),  # the loss that it began with
            "done": none > 0,
            "turn": 0,
        }
        read = known["f"].isfinite()
        return {**state, **self._aim(state, domain, read)} if bool(read.any()) else state

    def ask(self, state: State, domain: Domain) -> Query:
        """The trials of the samples that are not finished; after the last step their loss alone."""
        turn, everyone = state["turn"], domain.everyone
        if turn > domain.steps:
            return Query(state["trial"], torch.full_like(everyone, -1), "met")
        owner = torch.where(state["done"], -1, everyone) if bool(state["done"].any()) else everyone
        weight, last = domain.weight(everyone), turn == domain.steps
        return Query(state["trial"], owner, "loss" if last else "grad", weight, None if last else 0)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Accept the trials that fell enough, shorten the others' steps, and make the next trials."""
        turn = state["turn"] + 1
        if answer.grad is None or answer.value is None or query.owner is None:
            return {**state, "turn": turn}
        asked, value, first = query.owner >= 0, answer.value.to(state["f"]), state["f"].isinf()
        fell = first | (value <= state["f"] + _ARMIJO * state["promise"])
        good = asked & fell & value.isfinite() & answer.grad.flatten(1).isfinite().all(1)
        told = {**state, "turn": turn}
        if not bool(first.all()):
            s, y = pair(state["trial"], state["p"], answer.grad, state["g"], good & ~first)
            told |= {"s": [*state["s"][1:], s], "y": [*state["y"][1:], y]}
            told |= {"age": (state["age"] + 1).clamp_max(self.memory)}
        tries = torch.where(good, 0, state["tries"] + asked.long())
        tired = tries >= _TRIES
        told |= {
            "p": select(good, state["trial"], state["p"]),
            "g": select(good, answer.grad, state["g"]),
            "f": torch.where(good, value, state["f"]),
            "whole": torch.where(good & first, value.abs(), state["whole"]),
            "pace": torch.where(good | tired, 1.0, _shortened(state, value)),
            "tries": torch.where(tired, 0, tries),
            "age": torch.where(tired, 0, told["age"]),
            "done": state["done"] | (tired & (state["age"] == 0)),  # not even the gradient itself leads down
        }
        told |= self._aim(told, domain, good | tired)
        if turn % self.window == 0:
            least = self.fall * told["f"].abs()
            slow = told["mark"].isfinite() & (told["mark"] - told["f"] <= least)
            told |= {"done": told["done"] | slow | (_promised(told, domain) <= least), "mark": told["f"]}
        return told

    def _aim(self, state: State, domain: Domain, renew: Tensor) -> State:
        """The next trials: along a new direction where `renew`, a shorter way along the old one elsewhere."""
        p, g, box = state["p"], state["g"], domain.bounds(domain.everyone)
        free = torch.ones_like(g)
        if box is not None:
            free = (~(((p <= box[0]) & (g > 0)) | ((p >= box[1]) & (g < 0)))).to(g.dtype)
        slope = g * free
        d = select(renew, self._curved(state, slope, free, renew), state["d"])
        trial, promise = _trial(state, domain, d)
        bent = renew & (promise >= 0)  # clipping has turned it uphill
        if bool(bent.any()):
            d = select(bent, _steepest(state["f"], slope), d)
            trial, promise = _trial(state, domain, d)
        nothing = torch.finfo(state["f"].dtype).eps * state["whole"]
        done = state["done"] | (renew & ((promise >= 0) | (state["f"].abs() <= nothing)))
        return {"d": d, "trial": trial, "promise": promise.clamp_max(0), "done": done}

    def _curved(self, state: State, slope: Tensor, free: Tensor, renew: Tensor) -> Tensor:
        """The L-BFGS directions of the free pixels [n, ...]; those of rows that are not renewed mean nothing."""
        most = int(state["age"].max())
        if not most:
            return _steepest(state["f"], slope)
        found, known = [], list(zip(state["s"], state["y"], strict=True))[-most:]
        for rows in _blocks(*slope.flatten(1).shape):
            part = slope[rows]
            if bool(renew[rows].any()):
                slots = [(s[rows].flatten(1), y[rows].flatten(1)) for s, y in known]
                part = _two_loops(part.flatten(1), free[rows].flatten(1), slots, state["age"][rows], state["f"][rows])
            found.append(part.view_as(slope[rows]))
        return torch.cat(found)


def begin(domain: Domain, warm: State | None) -> Tensor:
    """Where a search of one row a sample begins: the start, or where the optimizer before ended, in the set.

    Raises:
        ContractError: The space has no gradients.
    """
    p = domain.start() if warm is None else warm["p"]
    if not isinstance(p, Tensor):
        raise ContractError(
            f"These steps are along gradients, and {type(domain.space).__name__} has none.",
            slug="contract-gradient",
            hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
        )
    if len(p) != len(domain.task):  # the optimizer before had several starts
        p = domain.best["p"]
    found: Tensor = domain.project(p, domain.everyone)
    return found


def pair(new: Tensor, old: Tensor, grad: Tensor, before: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
    """What a step and the gradient changed by [n, ...] each; zeros in rows that are not fresh."""
    s, y = new - old, grad - before
    return select(fresh, s, torch.zeros_like(s)), select(fresh, y, torch.zeros_like(y))


def select(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """`one` in the rows [n] that are true, `other` elsewhere; nothing is copied where all are alike."""
    if bool(rows.all()):
        return one
    return torch.where(_rows(rows, one), one, other) if bool(rows.any()) else other


def _rows(value: Tensor, like: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (like.ndim - 1))


def _blocks(n: int, wide: int) -> list[slice]:
    """Rows that are worked on together, by their width alone."""
    each = max(1, _BLOCK // max(wide, 1))
    return [slice(at, at + each) for at in range(0, n, each)]


def _steepest(f: Tensor, slope: Tensor) -> Tensor:
    """Down the slope to where a linear loss would be 0, f / |slope|; without a loss above 0 a step of length 1."""
    length = slope.flatten(1).square().sum(1).clamp_min(torch.finfo(slope.dtype).tiny)
    return -_rows(torch.where((f > 0) & f.isfinite(), f / length, length.rsqrt()), slope) * slope


def _trial(state: State, domain: Domain, d: Tensor) -> tuple[Tensor, Tensor]:
    """The points at the end of the steps, and what they would gain if the loss were linear."""
    trial = domain.project(state["p"] + _rows(state["pace"], d) * d, domain.everyone)
    return trial, (state["g"] * (trial - state["p"])).flatten(1).sum(1)


def _shortened(state: State, value: Tensor) -> Tensor:
    """Where the parabola through what was read has its minimum, within limits."""
    low, high = _SHORTER
    over = value - state["f"] - state["promise"]
    return state["pace"] * (-state["promise"] / (2 * over)).nan_to_num(low, low, low).clamp(low, high)


def _promised(state: State, domain: Domain) -> Tensor:
    """The most that the loss could fall inside the box, if it were linear [n]; without a box, no end of it."""
    box, p, g = domain.bounds(domain.everyone), state["p"], state["g"]
    if box is None:
        return torch.full_like(state["f"], torch.inf)
    return torch.maximum(g * (p - box[0]), g * (p - box[1])).flatten(1).sum(1)


def _two_loops(slope: Tensor, free: Tensor, slots: list[tuple[Tensor, Tensor]], age: Tensor, f: Tensor) -> Tensor:
    """Minus the inverse Hessian of the pairs, among the free ones, times the slope; steepest where no pair tells."""
    dot, q, seen = torch.linalg.vecdot, slope, []
    scale = torch.zeros_like(slope[:, 0])
    for k, (s, y) in enumerate(reversed(slots)):
        y = y * free
        curve, wide = dot(s, y), dot(y, y)
        live = (k < age) & (curve > _CURVED * wide)
        rho = torch.where(live, 1 / curve, 0)
        a = rho * dot(s, q)
        q = torch.addcmul(q, a[:, None], y, value=-1)
        scale = torch.where((scale == 0) & live, curve / wide, scale)
        seen.append((rho, a))
    q = scale[:, None] * q
    for (s, y), (rho, a) in zip(slots, reversed(seen), strict=True):
        q = torch.addcmul(q, (a - rho * dot(y, q))[:, None], s).mul_(free)
    return -q if bool((scale > 0).all()) else torch.where((scale > 0)[:, None], -q, _steepest(f, slope))
