"""Decoders at the command line that no search can go along: refused by every verb, before anything is written."""

from pathlib import Path

import pytest
import torch

from amiss.models import build
from amiss.training import save_model

torch.set_num_threads(1)
VERBS = [("check",), ("audit",), ("run", "lse")]


def saved(name, size, *, constant=False):
    """A decoder that was never trained; or one whose last layer does not hear what comes before it."""
    recipe = {
        "architecture": "ConvVAE",
        "arguments": {"channels": 1, "size": size, "latent": 2, "width": 4, "hidden": 8},
    }
    network = build(recipe, seed=0)
    if constant:
        with torch.no_grad():
            for part in network.decoder.parameters():
                part.zero_()
    save_model(f"{name}.safetensors", network, recipe, {"kind": "decoder"})
    return f"{name}.safetensors"


@pytest.mark.parametrize("verb", VERBS, ids=[verb[0] for verb in VERBS])
def test_a_decoder_of_another_size_is_refused(amiss, verb):
    lines = amiss(*verb, "nets.py:build", "photos", "--decoder", saved("other", 16)).refused("decoder-shape")
    assert "1, 8, 8]" in lines["Seen"]
    assert "amiss train vae" in lines["Try"]
    assert not Path("runs").exists()


@pytest.mark.parametrize("verb", VERBS, ids=[verb[0] for verb in VERBS])
def test_a_decoder_that_ignores_its_code_is_refused(amiss, verb):
    decoder = saved("constant", 8, constant=True)
    lines = amiss(*verb, "nets.py:build", "photos", "--decoder", decoder).refused("decoder-constant")
    assert "codes, and no pixel that differs by more than 0 among their images" in lines["Seen"]
    assert "amiss train vae" in lines["Try"]
    assert not Path("runs").exists()
