"""Search by labels alone: along the boundary of what the network calls a success, ever nearer to the image."""

import math
from typing import Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Left, Optimizer
from amiss.task import Answer, Level, Query, State

__all__ = ["HopSkipJump"]

_BEGIN, _SEEK, _BISECT, _LOOK, _STEP, _DONE = range(6)
_ROWS = 25  # of a look in one turn, so that a batch of large images fits into memory
_LENGTHS = (1.0, 1.5, 0.67, 2.5, 0.4)  # steps along the normal that are tried, in lengths of the last that helped
_SHORTER = 0.125  # where none of them helped
_STRIDE = 0.02  # by what share a trial must be smaller than the best; doubled while it is
_RESERVE = 15  # queries kept back for the step after a look
_EVEN = 0.5  # width of the bracket around the boundary, in lengths of a look's component along the normal


class HopSkipJump(Optimizer):
    """From labels alone: bisect to the boundary, estimate its normal by random looks, step along it, and again.

    A search begins at the task's guide where it has one (an image of the wanted class), else at uniform noise, fine
    and coarse in turn, until one is a success. It is bisected toward the image. Then, in rounds t = 1, 2, ...:

    1. `rows` sqrt(t) images around the boundary are asked, of random directions u and one length, `reach` times the
       distance. The normal is the mean of (s - mean s) u, where s is 1 for a success and -1 for none. `carry` times
       the normal of the round before is added.
    2. Steps of a few lengths along the normal (by its sign for "linf") are brought nearer to the image than the best
       by 2, 6, 14, ... percent, each as long as it stays a success.
    3. The best is bisected toward the image.

    One query is a step of the budget: the search spends `Budget(steps)` queries a sample at the most. The last look
    takes what is left. Samples are searched each in its own phase, and none waits for another.

    Args:
        norm: "l2" brings an image nearer on a straight line, "linf" by clipping its change.
        rows: Queries of the first look, two or more.
        reach: How far a look reaches, as a share of the change's length, in (0, 1].
        carry: Weight of the normal before, 0 or more.

    Raises:
        UsageError: A number outside its range.

    References:
        Chen, Jordan and Wainwright (2020), HopSkipJumpAttack: a query-efficient decision-based attack, algorithms 1
        and 2, eq. 9 and 16. Theirs looks 1 / d of the distance far, which a file of 256 levels cannot show, forgets
        the normals before, and takes the first length that is a success.
    """

    wants: Level = "met"

    def __init__(
        self, norm: Literal["l2", "linf"] = "l2", rows: int = 100, reach: float = 0.1, carry: float = 0.5
    ) -> None:
        if norm not in ("l2", "linf") or rows < 2 or not 0 < reach <= 1 or not carry >= 0:
            raise UsageError(
                "A boundary cannot be followed like this.",
                slug="hop-skip-jump-options",
                seen=f"norm={norm!r}, rows={rows}, reach={reach}, carry={carry}",
                needed="norm 'l2' or 'linf', two rows or more, reach in (0, 1], carry of 0 or more",
                hint="HopSkipJump('l2', rows=100)",
            )
        self.norm, self.rows, self.reach, self.carry = norm, rows, reach, carry

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the image; after another optimizer, at its best success."""
        if not domain.space.images:
            raise ContractError(
                f"HopSkipJump draws images, and the parameters of {type(domain.space).__name__} are none.",
                slug="contract-pixels",
                seen=f"HopSkipJump with {type(domain.space).__name__}",
                needed="a space whose parameters are the images themselves",
                hint="Search in Pixels(), or use an optimizer for codes or genomes.",
            )
        start = _start(domain)
        zero, count = start.new_zeros(len(start)), torch.zeros_like(domain.everyone)
        phase, base = count + _BEGIN, start
        if warm is not None and bool(domain.best["met"].any()):
            base = domain.best["p"]
            phase = torch.where(domain.best["met"], _BISECT, phase)
        return {
            "turn": 0,
            "phase": phase,
            "spent": count,
            "round": count + 1,
            "tried": count,  # of the images to begin with, or of the lengths of a step
            "base": base,  # the best success and the ray or box toward the image on which it lies
            "high": self._size(base - start),  # its size
            "low": zero,  # and the size of a failure
            "anchor": start,  # where the steps begin
            "normal": torch.zeros_like(start),
            "length": zero,  # of a step, the first that is tried
            "took": zero,  # of the one that helped in this round, if any did
            "gain": zero + _STRIDE,  # by how much the next trial of this step must be smaller
            "helped": zero > 0,  # whether the step that is tried was a success already
            "need": count,  # queries of this look
            "seen": count,  # and how many it has made
            "votes": zero,
            "around": torch.zeros_like(start),  # sums of u and of s u
            "lean": torch.zeros_like(start),
        }

    def ask(self, state: State, domain: Domain) -> Query:
        """One image of each sample, or a part of its look."""
        each = self._each(state, domain)
        done = each == 0
        owner = domain.everyone.repeat_interleave(each.clamp_min(1))
        p = self._point(state, domain)[owner]
        look = (state["phase"] == _LOOK)[owner] & ~done[owner]
        if bool(look.any()):
            mine = owner[look]
            u = domain.noise(mine, state["turn"], tuple(p.shape[1:]), p.dtype)
            p = p.index_put(
                (look.nonzero().flatten(),), p[look] + _like(self._far(state, domain)[mine], u) * _unit(u)
            )
        return Query(domain.project(p, owner), torch.where(done[owner], -1, owner), "met", draw=0)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Every sample moves on in its own phase."""
        assert query.owner is not None and isinstance(query.p, Tensor)  # noqa: S101, PT018 - as `ask` made them
        each = self._each(state, domain).clamp_min(1)
        first = each.cumsum(0) - each
        asked, met = query.owner[first] >= 0, answer.met[first]
        told = {**state, "turn": state["turn"] + 1, "spent": state["spent"] + torch.where(asked, each, 0)}
        told["phase"] = torch.where(asked, state["phase"], _DONE)  # refused once: its queries are spent
        phase = torch.where(asked, state["phase"], _DONE + 1)  # who was not asked is in no phase that moves on
        told = self._begun(told, phase, met, query.p[first], domain)
        told = self._bisected(told, phase, met)
        told = self._looked(told, phase, query, answer, domain)
        told = self._stepped(told, phase, met, domain)
        return self._settled(told, phase, domain)

    def left(self, state: State) -> Left | None:
        """Samples that found no success to begin with."""
        return (
            (state["tried"] > 0) & (state["high"] == 0),
            "unreachable",
            "No success to begin with was found among images of noise: give each sample a guide of the wanted class.",
        )

    def _each(self, state: State, domain: Domain) -> Tensor:
        """Queries of each sample in this turn [n]."""
        left = (domain.steps - state["spent"]).clamp_min(0)
        look = (state["need"] - state["seen"]).clamp_max(_ROWS)
        each = torch.where(state["phase"] == _LOOK, look, 1)
        return torch.where(state["phase"] == _DONE, 0, torch.minimum(each, left))

    def _point(self, state: State, domain: Domain) -> Tensor:
        """The image that each sample asks for, or looks around [n, C, H, W]."""
        phase, start = state["phase"], _start(domain)
        middle, goal = (state["low"] + state["high"]) / 2, state["high"] * (1 - state["gain"])
        stepping = phase == _STEP
        base = torch.where(_like(stepping, start), self._trial(state), state["base"])
        p = self._shrunk(base - start, torch.where(stepping, goal, middle)) + start
        if bool((phase == _SEEK).any()):
            p = torch.where(_like(phase == _SEEK, p), self._sought(state, domain), p)
        return torch.where(_like(phase == _BEGIN, p), start, p)

    def _sought(self, state: State, domain: Domain) -> Tensor:
        """Images to begin with: the guide, then noise in cells of 1, 2, 4, ... pixels, then finer again."""
        start, guide, tried = _start(domain), domain.task.guide, state["tried"]
        height, width = start.shape[2:]
        tried = tried if guide is None else tried - 1
        cell = 2 ** (tried.clamp_min(0) % max(1, int(math.log2(min(height, width))) - 1))
        noise = torch.special.ndtr(domain.noise(domain.everyone, state["turn"], tuple(start.shape[1:]), start.dtype))
        down, across = (torch.arange(side, device=start.device) // cell[:, None] for side in (height, width))
        noise = noise.gather(2, down[:, None, :, None].expand_as(noise))
        noise = noise.gather(3, across[:, None, None, :].expand_as(noise))
        return noise if guide is None else torch.where(_like(tried < 0, start), guide.to(start.dtype), noise)

    def _begun(self, state: State, phase: Tensor, met: Tensor, p: Tensor, domain: Domain) -> State:
        """Who is a success as it is has finished; others seek one to begin with."""
        begins, seeks = phase == _BEGIN, phase == _SEEK
        found = seeks & met
        now = torch.where(begins, torch.where(met, _DONE, _SEEK), torch.where(found, _BISECT, state["phase"]))
        return {
            **state,
            "phase": now,
            "tried": torch.where(seeks, state["tried"] + 1, state["tried"]),
            "base": torch.where(_like(found, p), p, state["base"]),
            "high": torch.where(found, self._size(p - _start(domain)), state["high"]),
            "low": torch.where(found, 0, state["low"]),
        }

    def _bisected(self, state: State, phase: Tensor, met: Tensor) -> State:
        """Half of the bracket is left."""
        middle, bisects = (state["low"] + state["high"]) / 2, phase == _BISECT
        return {
            **state,
            "high": torch.where(bisects & met, middle, state["high"]),
            "low": torch.where(bisects & ~met, middle, state["low"]),
        }

    def _looked(self, state: State, phase: Tensor, query: Query, answer: Answer, domain: Domain) -> State:
        """What was seen around the boundary is summed up; when it is enough, the normal is known."""
        looks = phase == _LOOK
        if not bool(looks.any()):
            return state
        assert query.owner is not None and isinstance(query.p, Tensor)  # noqa: S101, PT018 - as `ask` made them
        rows = ((query.owner >= 0) & looks[query.owner.clamp_min(0)]).nonzero().flatten()
        owner, s = query.owner[rows], answer.met[rows].to(query.p.dtype) * 2 - 1
        center = self._point(state, domain)
        u = (query.p[rows] - center[owner]) / _like(self._far(state, domain)[owner], center)
        sums = {
            "seen": state["seen"].index_add(0, owner, torch.ones_like(owner)),
            "votes": state["votes"].index_add(0, owner, s),
            "around": state["around"].index_add(0, owner, u),
            "lean": state["lean"].index_add(0, owner, _like(s, u) * u),
        }
        ready = looks & (sums["seen"] >= state["need"])
        if not bool(ready.any()):
            return {**state, **sums}
        seen = sums["seen"].clamp_min(1).to(center.dtype)
        mean = sums["votes"] / seen
        mean = torch.where(mean.abs() < 1, mean, 0)  # where all agree, their own mean is all there is to go by
        normal = _unit(_unit(sums["lean"] - _like(mean, center) * sums["around"]) + self.carry * state["normal"])
        told = {**state, **sums, "phase": torch.where(ready, _STEP, state["phase"])}
        told["normal"] = torch.where(_like(ready, normal), normal, state["normal"])
        told["anchor"] = torch.where(_like(ready, center), center, state["anchor"])
        fresh = ready & (state["round"] == 1)
        told["length"] = torch.where(fresh, self._size(center - _start(domain)), state["length"])
        told["took"] = torch.where(ready, 0, state["took"])
        told["tried"] = torch.where(ready, 0, state["tried"])
        told["gain"] = torch.where(ready, _STRIDE, state["gain"])
        told["helped"] = state["helped"] & ~ready
        return told

    def _stepped(self, state: State, phase: Tensor, met: Tensor, domain: Domain) -> State:
        """A step that is a success is brought nearer still; after a failure comes the next length."""
        steps = phase == _STEP
        if not bool(steps.any()):
            return state
        good, bad = steps & met, steps & ~met
        goal = state["high"] * (1 - state["gain"])
        told = {**state}
        told["base"] = torch.where(_like(good, state["base"]), self._trial(state), state["base"])
        told["took"] = torch.where(good, self._length(state), state["took"])
        told["high"] = torch.where(good, goal, state["high"])
        told["low"] = torch.where(good, 0, torch.where(bad & state["helped"], goal, state["low"]))
        told["helped"] = (state["helped"] | good) & ~bad
        told["tried"] = torch.where(bad, state["tried"] + 1, state["tried"])
        told["gain"] = torch.where(good, (2 * state["gain"]).clamp_max(0.5), torch.where(bad, _STRIDE, state["gain"]))
        return told

    def _settled(self, state: State, phase: Tensor, domain: Domain) -> State:
        """Who has a narrow bracket looks around, if there are queries left for a look; the others bisect."""
        over = (phase == _STEP) & (state["tried"] == len(_LENGTHS))
        told = {**state, "round": torch.where(over, state["round"] + 1, state["round"])}
        length = torch.where(state["took"] > 0, state["took"], state["length"] * _SHORTER)
        told["length"] = torch.where(over, length, state["length"])
        narrow = state["high"] - state["low"] <= self._tolerance(domain) * state["high"]
        turns = over | (phase == _BISECT)
        left = domain.steps - state["spent"] - _RESERVE
        need = (self.rows * told["round"].to(torch.float64).sqrt()).round().long()
        need = torch.where(left < 2 * need, left, need)
        looks = turns & narrow & (need >= self.rows // 2)
        now = torch.where(looks, _LOOK, torch.where(turns, torch.where(narrow, _DONE, _BISECT), state["phase"]))
        told["phase"] = torch.where(state["spent"] >= domain.steps, _DONE, now)
        told["need"] = torch.where(looks, need, state["need"])
        for name in ("seen", "votes", "around", "lean"):
            told[name] = torch.where(_like(looks, state[name]), torch.zeros_like(state[name]), state[name])
        return told

    def _trial(self, state: State) -> Tensor:
        """The step along the normal that is tried, from the anchor [n, C, H, W]."""
        normal = state["normal"] if self.norm == "l2" else state["normal"].sign()
        return state["anchor"] + _like(self._length(state), normal) * normal

    def _length(self, state: State) -> Tensor:
        """How long it is [n]."""
        lengths = state["length"].new_tensor(_LENGTHS)
        return state["length"] * lengths[state["tried"].clamp_max(len(_LENGTHS) - 1)]

    def _far(self, state: State, domain: Domain) -> Tensor:
        """How far a look reaches [n], in the Euclidean norm."""
        return self.reach * (self._point(state, domain) - _start(domain)).flatten(1).norm(dim=1)

    def _tolerance(self, domain: Domain) -> float:
        """Width of the bracket, as a share of the size: a little less than a look is spread along the normal."""
        return _EVEN * self.reach / math.prod(_start(domain).shape[1:]) ** 0.5

    def _size(self, change: Tensor) -> Tensor:
        flat = change.flatten(1)
        return flat.norm(dim=1) if self.norm == "l2" else flat.abs().amax(1)

    def _shrunk(self, change: Tensor, size: Tensor) -> Tensor:
        """Changes brought to a size."""
        if self.norm == "linf":
            return change.clamp(-_like(size, change), _like(size, change))
        return change * _like(size / self._size(change).clamp_min(torch.finfo(change.dtype).tiny), change)


def _start(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - images are tensors
    return start


def _unit(v: Tensor) -> Tensor:
    """Rows [n, ...] of length 1; a row of zeros stays one."""
    return v / _like(v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny), v)


def _like(value: Tensor, p: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (p.ndim - 1))
