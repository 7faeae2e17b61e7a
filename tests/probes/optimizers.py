"""The optimizers that prove the contract: each a known method in a few lines, with states that can be saved."""

import torch

from amiss.optimizers import Optimizer
from amiss.task import ALL, Query


def _unit(v):
    return v / v.flatten(1).norm(dim=1).clamp_min(1e-300).reshape(-1, *[1] * (v.ndim - 1))


def _rows(scale, like):
    return scale.reshape(-1, *[1] * (like.ndim - 1))


class DDN(Optimizer):
    """Rony et al. (2019): the direction by gradient, the norm shrunk after a success and grown after a failure."""

    def __init__(self, step=1.0, gamma=0.05):
        self.step, self.gamma = step, gamma

    def init(self, domain, warm=None):
        p = domain.start()
        return {"p": p, "origin": p, "radius": p.new_ones(len(p)), "t": 0}

    def ask(self, state, domain):
        done = state["t"] > domain.steps
        return Query(state["p"], torch.full_like(domain.everyone, -1) if done else domain.everyone)

    def tell(self, state, domain, query, answer):
        pace = self.step * (1 - state["t"] / (domain.steps + 1))
        change = state["p"] - pace * _unit(answer.grad) - state["origin"]
        radius = state["radius"] * torch.where(answer.met, 1 - self.gamma * pace, 1 + self.gamma * pace)
        p = domain.project(state["origin"] + _rows(radius, change) * _unit(change), domain.everyone)
        return {**state, "p": p, "radius": radius, "t": state["t"] + 1}


class DeepFool(Optimizer):
    """Moosavi-Dezfooli et al. (2016): step over the nearest of the linearized boundaries."""

    wants = "jacobian"

    def __init__(self, overshoot=0.02):
        self.overshoot = overshoot

    def init(self, domain, warm=None):
        return {"p": domain.start(), "t": 0}

    def ask(self, state, domain):
        done = state["t"] > domain.steps
        return Query(
            state["p"], torch.full_like(domain.everyone, -1) if done else domain.everyone, "jacobian", draw=state["t"]
        )

    def tell(self, state, domain, query, answer):
        slope = answer.grad.flatten(2)
        length = slope.norm(dim=2).clamp_min(1e-300)
        near = (answer.margins.abs() / length).argmin(1)
        at = torch.arange(len(near))
        step = (answer.margins[at, near].abs() / length[at, near] ** 2)[:, None] * slope[at, near]
        p = domain.project(state["p"] + (1 + self.overshoot) * step.view_as(state["p"]), domain.everyone)
        return {"p": p, "t": state["t"] + 1}


class HopSkipJump(Optimizer):
    """Chen et al. (2020): from labels alone; bisect to the boundary, estimate its normal, step, and again."""

    wants = "met"

    def __init__(self, rows=60, bisections=14):
        self.rows, self.bisections = rows, bisections

    def init(self, domain, warm=None):
        p = domain.start()
        far = domain.noise(domain.everyone.repeat_interleave(self.rows), -2, tuple(p.shape[1:]), p.dtype)
        return {"origin": p, "out": p, "trial": 0.5 + 0.2 * far, "phase": "begin", "k": 0, "t": 0}

    def ask(self, state, domain):
        each = len(state["trial"]) // len(state["origin"])
        owner = domain.everyone if each == 1 else domain.everyone.repeat_interleave(each)
        done = state["t"] > domain.steps
        return Query(domain.project(state["trial"], owner), torch.full_like(owner, -1) if done else owner, "met")

    def tell(self, state, domain, query, answer):
        n, best, origin = len(state["origin"]), domain.best["p"], state["origin"]
        state = {**state, "t": state["t"] + 1}
        if state["phase"] == "bisect" and state["k"] < self.bisections:
            inn = torch.where(_rows(answer.met, best), state["inn"], query.p)
            out = torch.where(_rows(answer.met, best), query.p, state["out"])
            return {**state, "inn": inn, "out": out, "trial": (inn + out) / 2, "k": state["k"] + 1}
        if state["phase"] == "bisect":  # on the boundary: look around
            shape, owner = tuple(origin.shape[1:]), domain.everyone.repeat_interleave(self.rows)
            look = _unit(domain.noise(owner, state["t"], shape, origin.dtype))
            reach = _rows((best - origin).flatten(1).norm(dim=1) / 10, best).repeat_interleave(self.rows, 0)
            return {**state, "phase": "look", "trial": state["out"].repeat_interleave(self.rows, 0) + reach * look}
        if state["phase"] == "look":  # the normal is where the successes lie; try eight lengths along it
            sign = (answer.met.double() * 2 - 1).view(n, -1)
            sign = sign - sign.mean(1, keepdim=True) * (sign.abs().amax(1, keepdim=True) > 0)
            around = (query.p - state["out"].repeat_interleave(self.rows, 0)).view(n, self.rows, -1)
            normal = _unit((sign[..., None] * around).mean(1)).view_as(origin)
            far = (state["out"] - origin).flatten(1).norm(dim=1)
            length = far[:, None] * 0.5 ** torch.arange(8) * 2 / (1 + state["t"] / 50)
            along = normal[:, None] * length.view(n, 8, *[1] * (origin.ndim - 1))
            return {**state, "phase": "step", "trial": (state["out"][:, None] + along).flatten(0, 1)}
        first = answer.met.view(n, -1).to(torch.int8).argmax(1)  # the longest that is still a success
        trial = query.p.view(n, -1, *origin.shape[1:])[torch.arange(n), first]
        out = torch.where(_rows(answer.met.view(n, -1).any(1), trial), trial, state["out"])
        return {**state, "phase": "bisect", "k": 0, "inn": origin, "out": out, "trial": (origin + out) / 2}


class MapElites(Optimizer):
    """Mouret and Clune (2015): children of random elites, every child in every cell; the archive is the best."""

    wants, competes = "loss", True

    def __init__(self, children=20):
        self.children = children

    def init(self, domain, warm=None):
        return {"t": 0}

    def ask(self, state, domain):
        luck = domain.noise(torch.zeros(self.children, dtype=torch.int64), state["t"], (1,), torch.float64)
        cells = ((luck[:, 0].erf() / 2 + 0.5) * len(domain.task)).long().clamp_max(len(domain.task) - 1).tolist()
        return Query(domain.vary([domain.best["p"][c] for c in cells], state["t"]), ALL, "loss")

    def tell(self, state, domain, query, answer):
        return {"t": state["t"] + 1}
