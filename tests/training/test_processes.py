"""Two processes that train one model together: what they make is what one makes, and one of them writes it."""

import os
import subprocess
import sys

import pytest
import torch

from amiss.errors import CheckpointError, UsageError
from amiss.tensorfile import read_tensors
from amiss.training import ClassifierLoss, TrainingRecipe, fit, joined, rank_here
from amiss.training.batches import Batches
from amiss.training.processes import MEETING, Ranks
from tests.training.test_trainer import draw, regression

torch.set_num_threads(1)

RECIPE = TrainingRecipe(steps=9, batch=15, rate=0.01, clip=0.5, ema=0.9, weight_decay=0.01, seed=5)
CHILD = """
import sys
import torch
torch.set_num_threads(1)
from amiss.tensorfile import write_tensors
from amiss.training import ClassifierLoss, fit, joined, rank_here
from tests.training.test_processes import RECIPE, model
from tests.training.test_trainer import draw
out, rank = sys.argv[1], rank_here()[0]
def told(progress):
    open(f"{out}/told-{rank}", "a").write(".")
def stop(progress):
    told(progress)
    if progress.step == 6:
        raise KeyboardInterrupt
with joined() as device:
    try:
        fit(model(), ClassifierLoss(), draw(), RECIPE, out=out, on_step=stop, device=device)
    except KeyboardInterrupt:
        open(f"{out}/stopped-{rank}", "w")
    net = model(seed=9)  # other weights: all must come from the file
    history = fit(net, ClassifierLoss(), draw(), RECIPE, out=out, on_step=told, device=device)
    assert history.resumed == 6
write_tensors(f"{out}/rank-{rank}.safetensors", net.state_dict(), {})
"""


def model(seed=0):
    """A network without noise, with one weight that no loss reaches."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    net.spare = torch.nn.Parameter(torch.ones(2, 2))
    return net


def test_two_processes_make_what_one_makes_and_go_on_where_they_were_stopped(tmp_path):
    alone = model()
    fit(alone, ClassifierLoss(), draw(), RECIPE)
    place = {"WORLD_SIZE": "2", MEETING: str(tmp_path / "meeting"), "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            env={**os.environ, **place, "RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    # The first was told to stop, and both stopped; it alone is told of steps.
    assert all((tmp_path / f"stopped-{rank}").exists() for rank in range(2))
    assert (tmp_path / "told-0").read_text() == "." * 9
    assert not (tmp_path / "told-1").exists()
    first, second = (read_tensors(tmp_path / f"rank-{rank}.safetensors")[0] for rank in range(2))
    for name, t in alone.state_dict().items():
        torch.testing.assert_close(first[name], t, rtol=0, atol=1e-5)
        assert torch.equal(first[name], second[name])
    # Weights moved by far more than that.
    assert max(float((t - model().state_dict()[n]).abs().max()) for n, t in first.items()) > 1e-2
    # One process does not go on with what two began: the bits would be others.
    with pytest.raises(CheckpointError, match="processes: 2 there, 1 here"):
        fit(model(), ClassifierLoss(), draw(), RECIPE, out=tmp_path)


def test_rows_are_shared_without_gap_or_overlap():
    whole = Batches(draw(), RECIPE).at(0, 0.0)
    for world in (2, 3, 7, 15):
        parts = [whole.of(Ranks(rank, world).part(15), rank) for rank in range(world)]
        assert torch.equal(torch.cat([part["image"] for part in parts]), whole["image"])
        assert min(map(len, parts)) >= 1
        noise = [torch.rand(3, generator=part.generator()) for part in parts]
        assert len({tuple(t.tolist()) for t in noise}) == world
    assert torch.equal(torch.rand(3, generator=whole.generator()), noise[0])


def test_work_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(Ranks, "here", classmethod(lambda cls, device: cls(0, 4, device)))
    for recipe in (TrainingRecipe(steps=3, batch=3), TrainingRecipe(steps=3, batch=8, seconds=5)):
        with pytest.raises(UsageError, match="4 processes"):
            fit(torch.nn.Linear(3, 1), ClassifierLoss(), regression(), recipe)


def test_processes_that_found_different_states_do_not_begin(monkeypatch):
    ranks = Ranks(1, 3)
    for steps in ([7, 7, 7], [0, 0, 0], [0, 7, 7], [3, 6, 0]):
        sums = (float(sum(steps)), float(sum(step**2 for step in steps)))
        monkeypatch.setattr(Ranks, "total", lambda _, *numbers, sums=sums: sums)
        if len(set(steps)) == 1:
            ranks.agree(steps[0])
            continue
        for step in steps:
            with pytest.raises(UsageError, match=f"step {step} in one of 3"):
                ranks.agree(step)


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("-1", "2"), ("zero", "2"), ("0", "0")])
def test_a_place_that_means_nothing_is_refused(monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        rank_here()


def test_without_an_environment_a_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with joined("cpu") as device:
        assert device == "cpu"
        assert Ranks.here(torch.device(device)) == Ranks()
