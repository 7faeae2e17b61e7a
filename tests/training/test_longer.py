"""Runs that go on for more steps, and runs that are watched: to the same bits."""

from dataclasses import replace

import pytest
import torch

from amiss.errors import CheckpointError, UsageError
from amiss.training import ClassifierLoss, TrainingRecipe, Watch, fit
from tests.training.test_trainer import draw, net, same

torch.set_num_threads(1)

STEADY = TrainingRecipe(steps=8, batch=16, rate=0.01, schedule="constant", ema=0.9, shift=1, seed=5)
LOSS = ClassifierLoss((0.5,), (0.3,))


def trained(recipe, out=None, stop=None, **options):
    """A network after a run, or what it was when the run stopped."""

    def on_step(progress):
        if progress.step == stop:
            raise KeyboardInterrupt

    model = net()
    try:
        fit(model, LOSS, draw(), recipe, out=out, on_step=on_step, **options)
    except KeyboardInterrupt:
        assert stop is not None
    return model


def test_more_steps_of_a_finished_run_are_those_of_a_longer_one(tmp_path):
    whole = trained(replace(STEADY, steps=13))
    trained(STEADY, tmp_path)
    assert same(whole, trained(STEADY, tmp_path, more=5))


def test_more_steps_count_from_what_the_folder_has(tmp_path):
    trained(STEADY, tmp_path, stop=3)
    model = net()
    history = fit(model, LOSS, draw(), STEADY, out=tmp_path, more=4)
    assert (history.resumed, history.steps) == (3, 7)
    assert same(model, trained(replace(STEADY, steps=7)))


def test_a_longer_run_that_is_cut_short_goes_on_to_its_end_without_being_told_again(tmp_path):
    falling = replace(STEADY, schedule="one-cycle")
    for name in ("whole", "parts"):
        trained(falling, tmp_path / name)
    whole = trained(falling, tmp_path / "whole", more=6)
    trained(falling, tmp_path / "parts", stop=10, more=6)
    model = net()
    assert fit(model, LOSS, draw(), falling, out=tmp_path / "parts").steps == 14
    assert same(whole, model)
    rates = []
    again = replace(falling, seed=6)
    trained(again, tmp_path / "rates")
    fit(net(), LOSS, draw(), again, out=tmp_path / "rates", more=8, on_step=lambda p: rates.append(p.rate))
    assert rates == [again.rate_at(step / 16) for step in range(8, 16)]


@pytest.mark.parametrize("more", [0, -3])
def test_more_steps_of_nothing_are_refused(tmp_path, more):
    with pytest.raises(UsageError, match="no state"):
        trained(STEADY, tmp_path, more=4)
    trained(STEADY, tmp_path, stop=3)
    with pytest.raises(UsageError, match=f"more={more}"):
        trained(STEADY, tmp_path, more=more)
    with pytest.raises(CheckpointError, match="--more N"):
        trained(replace(STEADY, steps=20), tmp_path)
    timed = replace(STEADY, seconds=60)
    trained(timed, tmp_path / "timed", stop=3)
    with pytest.raises(UsageError, match="a clock of 60 s"):
        trained(timed, tmp_path / "timed", more=4)


def test_a_run_that_is_watched_ends_at_the_same_bits(tmp_path):
    seen = []

    def look(here):
        assert not here.model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)
        here.model(torch.rand(4, 1, 8, 8))
        seen.append({name: t.clone() for name, t in here.model.state_dict().items()})
        assert len(here.losses["classifier"]) == here.progress.step

    held = draw(n=20, seed=3)
    watched = net()
    trained(STEADY, tmp_path, stop=5, watch=Watch(look, held, every=2))
    history = fit(watched, LOSS, draw(), STEADY, out=tmp_path, watch=Watch(look, held, every=2))
    assert same(watched, trained(STEADY))
    # What is seen is the average, as the finished model is; looks of an earlier sitting are kept.
    assert [step for step, _ in history.held["classifier"]] == [2, 4, 6, 8]
    assert all(torch.equal(t, seen[-1][name]) for name, t in watched.state_dict().items())
    x, y = held["image"] / 255, held["label"]
    by_hand = torch.nn.functional.cross_entropy(watched((x - 0.5) / 0.3), y)
    assert history.held["classifier"][-1][1] == pytest.approx(by_hand.item(), rel=1e-5)


def test_looks_wait_for_the_clock_and_for_their_share():
    watch = Watch(print, rest=10, share=0.05)
    assert not watch.due(1, since=9.9, took=0)
    assert watch.due(1, since=10, took=0.5)
    assert not watch.due(1, since=39, took=2)
    assert watch.due(1, since=40, took=2)
