"""Files that claim absurd sizes: every architecture is refused before memory or time is spent on it."""

import inspect
import time

import pytest
import torch

from amiss.errors import CheckpointError
from amiss.models import ARCHITECTURES
from amiss.tensorfile import write_tensors
from amiss.training import load_model
from tests.models.test_models import NEEDED

ABSURD = {int: (10**9, 10**5, -1), float: (float("1e300"), -1.0), tuple: ([10**9] * 3, [1] * 10**5)}


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_file_that_claims_an_absurd_size_is_refused_at_once(name, tmp_path):
    path, began, tried = tmp_path / "model.safetensors", time.process_time(), 0
    for parameter in inspect.signature(ARCHITECTURES[name]).parameters.values():
        kind = parameter.annotation if parameter.default is parameter.empty else type(parameter.default)
        for value in ABSURD.get(kind, ()):
            arguments = {**NEEDED.get(name, {}), parameter.name: value}
            about = {"recipe": {"architecture": name, "arguments": arguments}, "facts": {}}
            write_tensors(path, {"weight": torch.zeros(1)}, about)
            with pytest.raises(CheckpointError) as caught:
                load_model(path)
            assert caught.value.slug == "checkpoint-fit"
            tried += 1
    assert tried >= (0 if name == "CodeFlow" else 2)
    assert time.process_time() - began < 15
