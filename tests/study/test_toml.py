"""Settings come back from TOML as they were."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.study.toml import to_toml

texts = st.text()
plain = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
values = plain | st.lists(plain, max_size=3)
tables = st.dictionaries(texts, values, max_size=3)


@given(st.dictionaries(texts, values | tables, max_size=4))
def test_settings_come_back(settings):
    back = tomllib.loads(to_toml(settings))
    assert back == {name: value for name, value in settings.items() if value != {}}


def test_what_is_not_set_is_left_out_and_order_is_kept():
    assert to_toml({"b": 1, "a": None, "t": {"y": 0.5, "x": None}, "e": {"x": None}}) == "b = 1\n\n[t]\ny = 0.5\n"
    assert to_toml({}) == ""


@pytest.mark.parametrize("name", ["runs/\U0001f600", "a\x7fb", '"\n\t\\', "caf\u00e9", "=cmd()"])
def test_names_of_any_kind_come_back(name):
    assert tomllib.loads(to_toml({"data": name, name: {"k": [name]}})) == {"data": name, name: {"k": [name]}}


def test_what_is_no_text_is_replaced():
    assert tomllib.loads(to_toml({"data": "a\udcffb"})) == {"data": "a?b"}
