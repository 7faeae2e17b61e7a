"""The bench of characters in its quick form, what counting knows, and the bars of the table."""

import json
import math

import pytest
import torch

from amiss.bench.bench import BENCHES, Run, load_bench
from amiss.bench.char_counts import compressed, counted


@pytest.mark.parametrize("name", ["char", "char-long"])
def test_parts_have_a_quick_form_and_train_once(tmp_path, name):
    run, threads, bench = Run(10, True, tmp_path), torch.get_num_threads(), load_bench(name)
    try:
        found = {part: measure(run) for part, measure in bench.parts.items()}
        again, _ = bench.parts["text"](run)
    finally:
        torch.set_num_threads(threads)
    figures, raw = found["text"]
    assert again == figures  # from its file, the minutes of its training included
    assert set(bench.bars) == {name for part, _ in found.values() for name in part}
    assert figures[f"char_bpc{'_long' * (name == 'char-long')}"] == raw["bits"] == pytest.approx(raw["bits_in_parts"])
    assert raw["counts"]["7"] < raw["counts"]["1"] < math.log2(19)
    json.dumps([raw for _, raw in found.values()])


def test_the_table_has_the_bars_of_the_issue():
    assert {"char", "char-long"} <= set(BENCHES)
    bars = load_bench("char").bars | load_bench("char-long").bars
    assert {name: str(bar) for name, bar in bars.items()} == {
        "char_bpc": "<= 2.3",
        "char_minutes": "<= 10",
        "generation_over_cell_loop": "<= 2",
        "char_bpc_long": "<= 2.2",
    }
    assert bars["char_bpc_long"].seeds == 1


def test_counts_are_mixed_with_those_of_shorter_beginnings():
    # Of a and b, one each: (1 + 2 / 2) / (2 + 2) = 1 / 2. After a comes b: (1 + 1 / 2) / (1 + 1) = 3 / 4.
    assert counted("ab", "ab", 1) == 1
    assert counted("aba", "b", 2) == pytest.approx(-math.log2((1 + (1 + 2 / 2) / (3 + 2)) / (1 + 1)))
    # Nothing ever followed b: what the letter alone says, 1 / 2.
    assert counted("ab", "b", 2) == 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_chances_from_counts_sum_to_1(order):
    text = "abacabadcabbacadabra"
    total = sum(2 ** -counted(text, letter, order) for letter in sorted(set(text)))
    assert total == pytest.approx(1)


def test_a_text_said_again_costs_little_where_it_is_compressed():
    text = "".join(chr(97 + i * i % 23) for i in range(2000))
    assert 0 <= compressed(text, text) < 1
