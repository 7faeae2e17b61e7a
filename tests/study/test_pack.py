"""States come back from a file bit for bit, and what could not is refused before it is lost."""

import struct
from collections import OrderedDict, namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import ContractError
from amiss.study.pack import pack, unpack
from amiss.tensorfile import encode_tensors, read_tensors

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool)

shapes = st.lists(st.integers(0, 3), max_size=3)
tensors = st.builds(lambda shape, dtype: (torch.rand(shape) * 9).to(dtype), shapes, st.sampled_from(DTYPES))
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | tensors
keys = st.text(max_size=4) | st.integers() | st.booleans() | st.tuples(st.integers(), st.text(max_size=2))
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def alike(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    if isinstance(a, dict):
        return (
            list(a) == list(b)
            and all(type(p) is type(q) for p, q in zip(a, b, strict=True))
            and all(alike(a[k], b[k]) for k in a)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@given(states)
def test_a_state_comes_back_from_its_file_bit_for_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("pack") / "state.safetensors"
    held, plain = pack(state)
    path.write_bytes(encode_tensors(held, {"state": plain})[0])
    there, about = read_tensors(path)
    assert alike(unpack(there, about["state"]), state)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 0.1])
def test_numbers_that_json_has_no_word_for_come_back(value):
    back = unpack(*pack({"x": [value]}))["x"][0]
    assert struct.pack("d", back) == struct.pack("d", value)


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, b"bytes", Pair(1, 2), OrderedDict(a=1), torch.float32])
def test_what_would_not_come_back_as_it_was_is_refused_with_its_place(value, refuses):
    with refuses(ContractError, "state-not-plain") as caught:
        pack({"best": {"p": [0.0, value]}})
    assert caught.value.seen == f"a {type(value).__name__} at state['best']['p'][1]"
