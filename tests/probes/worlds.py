"""What the catalog needs beside the linear world: graph genomes, a captioner stub, a gate."""

import torch
from torch import nn

from amiss.objectives import Objective
from amiss.repro import uniform
from amiss.spaces import Space


class Gate(Objective):
    """A detector's logit must stay under its threshold: u . (x - 1/2) <= 0 on the layer "flatten"."""

    layers = ("flatten",)

    def __init__(self, normal):
        self.normal = normal

    def score(self, y, task):
        over = (y["flatten"] - 0.5) @ self.normal
        return over.clamp_min(0), over <= 0


class Captioner(nn.Module):
    """Two words out of three, each by a linear map of the image."""

    gives = "jacobian"
    words = ("cat", "dog", "owl")

    def __init__(self, weight):
        super().__init__()
        self.weight = weight  # [2, 3, pixels]

    def scores(self, x):
        return torch.einsum("kwp,np->nkw", self.weight, x.flatten(1) - 0.5).log_softmax(-1)

    def log_prob(self, answer, x):
        places = torch.tensor([self.words.index(word) for word in answer.split()])
        return self.scores(x)[:, torch.arange(2), places].sum(1)

    def answer(self, x):
        return [" ".join(self.words[i] for i in row) for row in self.scores(x).argmax(-1).tolist()]


class Finder(nn.Module):
    """Finds any of three things, each by a linear map of the image."""

    gives = "jacobian"
    words = ("cat", "dog", "owl")

    def __init__(self, weight):
        super().__init__()
        self.weight = weight  # [3, pixels]

    def odds(self, x):
        return 5 * (x.flatten(1) - 0.5) @ self.weight.T

    def log_prob(self, answer, x):
        odds = self.odds(x)[:, self.words.index(answer.removeprefix("not "))]
        return torch.nn.functional.logsigmoid(-odds if answer.startswith("not ") else odds)

    def answer(self, x):
        return [
            tuple(w for w, odds in zip(self.words, row, strict=True) if odds > 0) for row in self.odds(x).tolist()
        ]


class Graphs(Space):
    """Genomes as plain lists: [node, from, weight] edges over coordinates, each node a sine of what comes in."""

    gives = "loss"

    def __init__(self, side=8):
        self.side = side

    def start(self, task, k=1):
        return [[[2, 0, 1.0], [2, 1, 0.5]] for _ in range(len(task) * k)]

    def decode(self, task, p):
        axis = torch.linspace(-1, 1, self.side, dtype=torch.float64)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))
        images = []
        for genome in p:
            values = {0: grid[0], 1: grid[1]}
            for node in sorted({edge[0] for edge in genome}):
                values[node] = torch.sin(sum(w * values[source] for to, source, w in genome if to == node))
            images.append(0.5 + 0.5 * values[max(values)])
        return torch.stack(images)[:, None]

    def vary(self, parents, key, turn=0):
        luck = uniform(key, (4,), torch.float64).tolist()
        children = []
        for parent, (kind, which, far, where) in zip(parents, luck, strict=True):
            child = [list(edge) for edge in parent]
            edge = child[int(which * len(child))]
            edge[2] += 4 * far - 2
            last = max(e[0] for e in child)
            if kind < 0.3:  # a new node over an old one and a coordinate
                child += [[last + 1, last, 2 * far], [last + 1, int(2 * where), 3 * where]]
            children.append(child)
        return children
