"""A search of your own, and the batteries that say whether to trust it: python examples/third_party_probe.py."""

import torch

import amiss as am
from amiss.testing import LinearWorld, Verdict, check_optimizer, check_probe

torch.set_num_threads(1)


class Wander(am.Optimizer):
    """From the best so far, a step by random signs; all that it wants to know is the loss."""

    wants = "loss"

    def __init__(self, step):
        self.step = step

    def init(self, domain, warm=None):
        return {"p": domain.start(), "turn": 0}

    def ask(self, state, domain):
        everyone = domain.everyone if state["turn"] <= domain.steps else torch.full_like(domain.everyone, -1)
        return am.Query(state["p"], everyone, "loss", draw=state["turn"])

    def tell(self, state, domain, query, answer):
        best, turn = domain.best["p"], state["turn"] + 1
        signs = domain.noise(domain.everyone, turn, tuple(best.shape[1:]), best.dtype).sign()
        return {"p": domain.project(best + self.step * signs, domain.everyone), "turn": turn}


PROBE = am.Probe(am.Pixels(), am.Become(), am.Linf(0.3), Wander(0.1), budget=am.Budget(steps=500))


def main() -> tuple[am.Result, tuple[Verdict, ...]]:
    verdicts = check_optimizer(PROBE.optimizer) + check_probe(PROBE)  # raises where a law breaks, and lists them all
    for verdict in verdicts:
        print("holds  " if verdict.passed else "skipped", verdict.id, verdict.detail)

    world = LinearWorld(crowd=0.15)
    result = PROBE.run(world.classifier(), world.task)
    print(f"{result.met.sum()} of {len(result)} images became their target within 0.3, {result.counts}")
    return result, verdicts


if __name__ == "__main__":
    main()
