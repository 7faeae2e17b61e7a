"""The captioner's parts run in small, and what they rest on holds."""

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.sequences_captions import _others, _unseen, captions
from amiss.bench.sequences_hijack import hijack
from amiss.data.worlds.scenes import sample_scenes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("place"))


def test_sentences_are_held_out_whole_and_no_image_keeps_its_place(run):
    labels = sample_scenes(3000, 1).labels
    held = _unseen(labels, run)
    assert 0.07 < float(held.double().mean()) < 0.13
    apart = {tuple(row) for row in labels[held].tolist()} & {tuple(row) for row in labels[~held].tolist()}
    assert not apart
    others = _others(50, run)
    assert sorted(others.tolist()) == list(range(50))
    assert not bool((others == torch.arange(50)).any())


def test_the_parts_run_in_small(run):
    figures, raw = captions(run)
    assert figures["caption_over_prior"] == figures["caption_exact_shuffled"] - figures["caption_prior_exact"]
    assert raw["scenes"] == 200
    figures, raw = hijack(run)
    assert figures["caption_hijack_linf"] <= 25 / 255 + 1e-6
    assert set(raw) == {"faces", "scenes"}
    for world in raw.values():
        assert world["mimic"]["both"] <= min(world["mimic"]["said"], world["mimic"]["kept"])
