"""For each law of each battery, a noun that breaks it: (kind, id, what the check is given)."""

from dataclasses import replace

import torch

from amiss.constraints import Constraint, Linf
from amiss.objectives import Become
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.task import Query

__all__ = ["SABOTEURS"]


# Spaces


class Dimmed(Pixels):
    def start(self, task, k=1):
        return 0.9 * super().start(task, k)


class Tiled(Pixels):
    def start(self, task, k=1):
        return task.image.repeat(k, 1, 1, 1)


class Rooted(Pixels):
    images = False

    def decode(self, task, p):
        return p.sqrt()  # NaN below 0


class HalfGradient(Pixels):
    def decode(self, task, p):
        return 0.5 * p + 0.5 * p.detach()


class Mixing(Pixels):
    def decode(self, task, p):
        return p - 0.01 * p.mean(0)


class Noisy(Pixels):
    def decode(self, task, p):
        return p + 1e-3 * torch.rand_like(p)


class Overwriting(Pixels):
    def decode(self, task, p):
        return p.clamp_(0, 1)


class Moody(Pixels):
    def vary(self, parents, key):
        return parents + torch.rand_like(parents)


class Wearing(Pixels):
    """Writes into the very images it starts from."""

    def decode(self, task, p):
        p.detach().mul_(0.999)
        return p


# Objectives


class Reducing(Become):
    def score(self, y, task):
        loss, met = super().score(y, task)
        return loss.mean(), met


class Crowded(Become):
    def score(self, y, task):
        loss, met = super().score(y, task)
        return loss * loss.ndim, met


class Hopeful(Become):
    """Sees itself met in a search, and only there."""

    def read(self, classifier, x, task, draw):
        y = super().read(classifier, x, task, draw)
        return {**y, "answer": y["answer"] * (1 if draw is None else -1), "first": 1 - y["first"]}


class Lucky(Become):
    def view(self, outputs):
        return super().view({"answer": outputs["answer"] + torch.randn_like(outputs["answer"])})


class Unscaled(Become):
    def __rmul__(self, factor):
        return self


class Centered(Become):
    def view(self, outputs):
        return super().view({"answer": outputs["answer"] - outputs["answer"].mean(0)})


class Ranked(Become):
    def score(self, y, task):
        loss, met = super().score(y, task)
        return loss + torch.arange(len(loss)), met


class Shifted(Become):
    def margins(self, y, task):
        return super().margins(y, task) + 1


class Generous(Become):
    def slack(self, y, task):
        return super().slack(y, task) + self.margin


class Dear(Become):
    def cost(self, draw):
        return 2


class Scribbling(Become):
    def score(self, y, task):
        y["high"].add_(1)
        return super().score(y, task)


class Stopping(Become):
    """Puts the network into evaluation mode, and forgets it there."""

    def prepare(self, classifier, task):
        classifier.network.eval()
        return super().prepare(classifier, task)


class Squeezing(Become):
    def view(self, outputs):
        return super().view({"answer": outputs["answer"].squeeze(0)})


class LookingTwice(Become):
    def read(self, classifier, x, task, draw):
        classifier.outputs(x)
        return super().read(classifier, x, task, draw)


# Constraints


class Hesitant(Linf):
    def project(self, v, task):
        return task.image + 0.5 * (v - task.image)


class Toothless(Linf):
    def project(self, v, task):
        return v


class Boastful(Linf):
    def bounds(self, task):
        return task.image - 2 * self.eps, task.image + 2 * self.eps


class Balanced(Constraint):
    """What is added must be taken away elsewhere: a set that a mask leads out of."""

    def project(self, v, task):
        change = v - task.image
        return v - change.flatten(1).mean(1).reshape(-1, 1, 1, 1)


class Offset(Linf):
    def size(self, v, task):
        return super().size(v, task) + 1


class Secretive(Linf):
    """Has a penalty that it does not admit."""

    def penalty(self, v, task):
        return self.size(v, task)


class Averaging(Constraint):
    def project(self, v, task):
        return v.mean(0, keepdim=True).expand_as(v)


class Inking(Constraint):
    def project(self, v, task):
        return v.clamp_(-1, 2)


# Optimizers


class Restless(Sign):
    def __init__(self, step):
        super().__init__(step)
        self.asked = 0

    def ask(self, state, domain):
        self.asked += 1
        query = super().ask(state, domain)
        return replace(query, p=query.p + 1e-3 * self.asked)


class Eager(Sign):
    def tell(self, state, domain, query, answer):
        told = super().tell(state, domain, query, answer)
        state["p"].copy_(told["p"])
        return told


class Hoarding(Sign):
    def tell(self, state, domain, query, answer):
        return {**super().tell(state, domain, query, answer), "seen": {state["step"]}}


class Forgetful(Sign):
    """Keeps its count in itself, where no file sees it."""

    def __init__(self, step):
        super().__init__(step)
        self.turns = 0

    def tell(self, state, domain, query, answer):
        self.turns += 1
        told = super().tell(state, domain, query, answer)
        return {**told, "p": told["p"] - 1e-4 * self.turns}


class Greedy(Sign):
    wants = "loss"


class Endless(Sign):
    def ask(self, state, domain):
        return Query(state["p"], domain.everyone, "grad", draw=0)


class Gossiping(Sign):
    def tell(self, state, domain, query, answer):
        told = super().tell(state, domain, query, answer)
        return {**told, "p": told["p"] - 1e-3 * answer.loss.mean()}


class Dividing(Sign):
    def tell(self, state, domain, query, answer):
        told = super().tell(state, domain, query, answer)
        if answer.grad is None:
            return told
        length = answer.grad.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
        return {**told, "p": state["p"] - self.step * answer.grad / length}  # 0 / 0 where a row is idle


class Placed(Sign):
    """Steps by the place in the batch."""

    def tell(self, state, domain, query, answer):
        told = super().tell(state, domain, query, answer)
        return {**told, "p": told["p"] + 1e-3 * domain.everyone.reshape(-1, 1, 1, 1)}


class Swelling(Sign):
    def init(self, domain, warm=None):
        return {**super().init(domain, warm), "path": []}

    def tell(self, state, domain, query, answer):
        told = super().tell(state, domain, query, answer)
        return {**told, "path": [*state["path"], query.p.clone()]}


# Probes


class Losing(Probe):
    def run(self, classifier, task, **options):
        result = super().run(classifier, task, **options)
        return replace(result, outcomes=result.outcomes[:-1])


class Careless(Probe):
    """Switches modes, and switches back only where all goes well."""

    def run(self, classifier, task, **options):
        classifier.network.eval()
        result = super().run(classifier, task, **options)
        classifier.network.train()
        return result


class AlmostCareful(Probe):
    """Switches back after errors, but not where Ctrl-C comes."""

    def run(self, classifier, task, **options):
        classifier.network.eval()
        try:
            result = super().run(classifier, task, **options)
        except Exception:
            classifier.network.train()
            raise
        classifier.network.train()
        return result


class Renaming(Probe):
    def run(self, classifier, task, **options):
        result = super().run(classifier, task, **options)
        named = (replace(o, status="met") if o.status == "already-met" else o for o in result.outcomes)
        return replace(result, outcomes=tuple(named))


class Worsening(Probe):
    def walk(self, classifier, task, state=None, **options):
        for step in super().walk(classifier, task, state, **options):
            best = step.state["best"]
            yield replace(step, state={**step.state, "best": {**best, "size": best["size"] + step.turn}})


class Bragging(Probe):
    def run(self, classifier, task, **options):
        result = super().run(classifier, task, **options)
        return replace(result, outcomes=tuple(replace(o, status="met") for o in result.outcomes))


class Straying(Probe):
    def run(self, classifier, task, **options):
        result = super().run(classifier, task, **options)
        return replace(result, images=(result.images + 0.1).clamp(0, 1))


def probe(kind=Probe, *, space=None, objective=None, optimizer=None, eps=0.05):
    return kind(space or Pixels(), objective or Become(), Linf(eps), optimizer or Sign(0.01), budget=Budget(10))


SABOTEURS = [
    ("space", "start-is-the-image", Dimmed),
    ("space", "start-lays-rows-side-by-side", Tiled),
    ("space", "images-in-range", Rooted),
    ("space", "gradient-is-true", HalfGradient),
    ("space", "rows-are-independent", Mixing),
    ("space", "decoding-repeats", Noisy),
    ("space", "nothing-is-written-to", Overwriting),
    ("space", "children-are-their-keys", Moody),
    ("objective", "rows-are-scored", Reducing),
    ("objective", "competing-rows-score-alike", Crowded),
    ("objective", "success-is-the-images-own", Hopeful),
    ("objective", "reading-repeats", Lucky),
    ("objective", "sums-add-and-hold-both", Unscaled),
    ("objective", "gradients-stay-in-their-row", Centered),
    ("objective", "rows-are-independent", Ranked),
    ("objective", "margins-are-zero-at-their-boundary", Shifted),
    ("objective", "slack-is-signed-as-met", lambda: Generous(margin=0.5)),
    ("objective", "cost-is-what-it-asks", Dear),
    ("objective", "nothing-is-written-to", Scribbling),
    ("constraint", "projecting-twice-is-projecting-once", lambda: Hesitant(0.05)),
    ("constraint", "size-is-within-the-bound", lambda: Toothless(0.05)),
    ("constraint", "bounds-agree-with-projection", lambda: Boastful(0.05)),
    ("constraint", "order-does-not-matter", Balanced),
    ("constraint", "size-begins-at-zero", lambda: Offset(0.05)),
    ("constraint", "penalty-is-of-its-row", lambda: Secretive(0.05)),
    ("constraint", "rows-are-independent", Averaging),
    ("constraint", "only-what-it-binds-is-touched", Inking),
    ("optimizer", "asking-changes-nothing", lambda: Restless(0.01)),
    ("optimizer", "telling-writes-to-nothing", lambda: Eager(0.01)),
    ("optimizer", "states-can-be-saved", lambda: Hoarding(0.01)),
    ("optimizer", "resuming-is-going-on", lambda: Forgetful(0.01)),
    ("optimizer", "it-asks-what-it-wants", lambda: Greedy(0.01)),
    ("optimizer", "it-ends", lambda: Endless(0.01)),
    ("optimizer", "nan-never-becomes-best", lambda: Gossiping(0.01)),
    ("optimizer", "idle-rows-cost-nothing", lambda: Dividing(0.01)),
    ("probe", "every-sample-has-an-outcome", lambda: probe(Losing)),
    ("probe", "samples-are-left-alone", lambda: probe(space=Wearing())),
    ("probe", "model-is-left-alone", lambda: probe(objective=Stopping())),
    ("probe", "model-is-left-alone-after-an-error", lambda: probe(Careless)),
    ("probe", "model-is-left-alone-after-an-interrupt", lambda: probe(AlmostCareful)),
    ("probe", "runs-repeat", lambda: probe(objective=Lucky())),
    ("probe", "batch-does-not-matter", lambda: probe(objective=Centered())),
    ("probe", "order-does-not-matter", lambda: probe(optimizer=Placed(0.01))),
    ("probe", "any-number-of-samples", lambda: probe(objective=Squeezing())),
    ("probe", "what-is-met-already-stays", lambda: probe(Renaming, eps=0.2)),
    ("probe", "queries-stay-in-the-budget", lambda: probe(objective=LookingTwice())),
    ("probe", "best-never-gets-worse", lambda: probe(Worsening)),
    ("probe", "success-is-judged-again", lambda: probe(Bragging, eps=1e-4)),
    ("probe", "the-constraint-holds", lambda: probe(Straying)),
    ("probe", "resuming-is-going-on", lambda: probe(optimizer=Forgetful(0.01))),
    ("probe", "memory-stays-flat", lambda: probe(optimizer=Swelling(0.01))),
]
