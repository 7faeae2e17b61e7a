"""The detector: boxes and overlaps by known answers, probabilities that add up, and a sign that it learns to find."""

import math

import pytest
import torch
from torch import nn

from amiss.constraints import Linf
from amiss.data.worlds.signs import sample_signs
from amiss.errors import ContractError, UsageError
from amiss.models.detector import Detection, Detector, overlaps
from amiss.objectives import Hides
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.training import DetectionLoss, TrainingRecipe, fit
from amiss.training.batches import Batch
from amiss.transforms import homography

torch.set_num_threads(1)


class Saying(Detector):
    """A detector whose cells say what they are told: {(row, column): values}, and nothing elsewhere."""

    def __init__(self, cells, labels=("ant", "bee"), size=64):
        super().__init__(labels, size=size, width=1)
        out = torch.zeros(5 + len(labels), self.cells, self.cells)
        out[0] = -20
        for (row, column), values in cells.items():
            out[:, row, column] = torch.tensor(values)
        self.said = nn.Parameter(out)

    def forward(self, x):
        return self.said.expand(len(x), -1, -1, -1) + 0 * x.mean()


def box(left, top, right, bottom):
    """What a cell says of a box, its middle in the middle of the cell (row 3, column 4)."""
    width, height = (right - left) / 8, (bottom - top) / 8
    return [0.0, 0.0, math.log(width / 8), math.log(height / 8)]


BLANK = torch.zeros(1, 3, 64, 64)


def test_a_cell_tells_what_and_where():
    net = Saying({(3, 4): [3.0, *box(26, 16, 46, 40), 0.0, 5.0]})
    found = net.detect(BLANK)
    assert [len(image) for image in found] == [1]
    one = found[0][0]
    assert isinstance(one, Detection) and one.label == "bee"
    assert one.box == pytest.approx((26, 16, 46, 40), abs=1e-4)
    assert one.score == pytest.approx(1 / (1 + math.exp(-3)) / (1 + math.exp(-5)), abs=1e-6)
    assert net.answer(BLANK) == [("bee",)]


def test_overlaps_are_known():
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 0, 6, 4], [4, 4, 8, 8], [0, 0, 2, 2], [1, 1, 1, 1]])
    assert overlaps(boxes[0], boxes).tolist() == pytest.approx([1, 1 / 3, 0, 0.25, 0])


def test_of_boxes_of_one_class_that_overlap_the_best_is_kept():
    near = {
        (3, 4): [3.0, *box(26, 16, 46, 40), 0.0, 5.0],
        (3, 3): [2.0, 4.0, 0.0, *box(26, 16, 46, 40)[2:], 0.0, 5.0],
        (3, 5): [1.0, -4.0, 0.0, *box(26, 16, 46, 40)[2:], 5.0, 0.0],
        (7, 0): [1.5, *box(26, 16, 46, 40), 0.0, 5.0],
    }
    found = Saying(near).detect(BLANK)[0]
    assert [(one.label, round(one.score, 2)) for one in found] == [("bee", 0.95), ("bee", 0.81), ("ant", 0.73)]
    assert Saying(near).answer(BLANK) == [("bee", "ant")]


@pytest.mark.parametrize("cells", [{}, {(0, 0): [1.0, 0, 0, 0, 0, 0.5, -1.0], (5, 2): [-2.0, 0, 0, 0, 0, 3.0, 0.0]}])
def test_probabilities_are_those_of_independent_cells(cells):
    net = Saying(cells).double()
    grid = net.grid(BLANK.double())
    shown = grid.there.sigmoid()[0] * grid.kinds.softmax(-1)[0, :, 0]
    missing = (1 - shown).prod()
    assert net.log_prob("not ant", BLANK.double()).exp().item() == pytest.approx(missing.item(), rel=1e-9)
    assert net.log_prob("ant", BLANK.double()).exp().item() == pytest.approx(1 - missing.item(), rel=1e-4)


def test_what_is_certain_keeps_its_slope():
    """Log-odds of 40: one minus the probability is lost to float32, its logarithm is not."""
    net = Saying({(3, 4): [40.0, 0, 0, 0, 0, 40.0, 0.0]})
    log_p = net.log_prob("not ant", BLANK)
    assert log_p.isfinite().all() and log_p < -30
    log_p.sum().backward()
    assert net.said.grad[0, 3, 4].abs() > 0.1


def test_the_loss_has_its_least_where_cells_tell_the_truth():
    truth = {"label": torch.tensor([1]), "box": torch.tensor([[26.0, 16, 46, 40]]), "image": BLANK}
    batch = Batch(truth, 0, 0.0, 0)

    def loss(cells):
        return DetectionLoss().losses(Saying(cells), batch, ("detector",))["detector"].item()

    told = [20.0, *box(26, 16, 46, 40), 0.0, 20.0]
    assert loss({(3, 4): told}) < 1e-4
    assert loss({(3, 4): [20.0, *box(26, 16, 46, 40), 20.0, 0.0]}) == pytest.approx(20, rel=1e-3)  # the other class
    assert loss({(3, 4): [20.0, *box(26, 16, 36, 40), 0.0, 20.0]}) == pytest.approx(2 * (1 - 10 / 20), rel=1e-3)
    assert loss({(3, 4): told, (0, 0): [3.0, *told[1:]]}) == pytest.approx(math.log1p(math.exp(3)), rel=1e-3)
    assert loss({(3, 4): told, (4, 4): [3.0, *told[1:]]}) < 1e-4  # a cell beside the right one may say so too


def small_signs(n, seed):
    """Stop signs and blue arrows of 32 pixels, near the middle."""
    places = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) * 0.3 - 0.15
    poses = homography(torch.full((n,), 0.8), torch.zeros(n), torch.zeros(n), None, places)
    return sample_signs(n, seed, poses, 32, kinds=[0 if i % 2 else 7 for i in range(n)])


@pytest.fixture(scope="module")
def trained():
    signs = small_signs(120, 1)
    net = Detector(("stop", "turn"), size=32, width=8)
    data = {"image": signs.draw(), "label": (signs.kinds == 7).long(), "box": signs.boxes()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Detector(("stop", "turn"), size=32, width=8)
        fit(net, DetectionLoss(), data, TrainingRecipe(epochs=30, batch=20, rate=3e-3))
    return net


def test_it_learns_to_find_signs(trained):
    signs = small_signs(40, 2)
    x, right = signs.draw().float() / 255, 0
    for found, kind, true in zip(trained.detect(x), signs.kinds.tolist(), signs.boxes(), strict=True):
        name = "stop" if kind == 0 else "turn"
        right += any(one.label == name and overlaps(torch.tensor(one.box), true) >= 0.5 for one in found)
    assert right >= 36


def test_a_probe_hides_a_sign_from_it(trained):
    signs = small_signs(40, 3)
    x = signs.draw().float()[signs.kinds == 0] / 255
    x = x[[("stop" in said) for said in trained.answer(x)]][:6]
    probe = Probe(Pixels(), Hides("stop"), Linf(0.2), Sign(0.02), budget=Budget(20))
    result = probe.run(trained, Task(torch.arange(len(x)), x))
    assert len(x) == 6 and result.met.sum() >= 4
    for image, met in zip(result.images, result.met.tolist(), strict=True):
        assert ("stop" not in trained.answer(image[None])[0]) == met
    assert (result.images - x).abs().max() <= 0.2 + 1e-6


def test_refusals(refuses):
    for wrong in ({"size": 30}, {"size": 24}, {"labels": ()}, {"threshold": 0.0}, {"overlap": 1.0}):
        with refuses(UsageError, "detector-options"):
            Detector(**{"labels": ("ant",), **wrong})
    with refuses(UsageError, "detector-size"):
        Detector(("ant",), width=2)(torch.zeros(1, 3, 32, 32))
    for word in ("cat", "not cat"):
        with refuses(UsageError, "class-unknown"):
            Detector(("ant",), width=2).log_prob(word, BLANK)
    with refuses(ContractError, "detector-model"):
        DetectionLoss().losses(nn.Linear(1, 1), Batch({"image": BLANK}, 0, 0.0, 0), ("detector",))
