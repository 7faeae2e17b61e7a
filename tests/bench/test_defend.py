"""Parts of the bench of defenses: their quick forms, and what their figures are made of."""

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.defend import BENCH
from amiss.bench.defend_training import formula_error, network

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("defend"))


def test_all_rows_stand_the_same_attacks_from_the_same_network(run):
    found = {name: part(run) for name, part in BENCH.parts.items()}
    told = {name: raw for name, (_, raw) in found.items() if name != "pairing"}
    told |= found["pairing"][1]
    first = [one["rows"][0] for one in told.values()]
    assert len(told) == 5 and all(row == first[0] for row in first)
    assert {row["images"] for one in told.values() for row in one["rows"]} == {30}
    figures, last = found["training"][0], told["training"]["rows"][1]
    assert figures["adv_trained_robust"] == last["robust_many"] and figures["adv_trained_minutes"] > 0
    assert figures["robust_gain"] == last["robust_many"] - first[0]["robust_many"]
    areas = found["safetynet"][0]
    assert 0.5 < areas["safetynet_auc"] <= areas["safetynet_auc_minimal_l2"] <= 1
    assert BENCH.parts["augmentation"](run) == found["augmentation"]  # from its folder
    measured = {name for part, _ in found.values() for name in part}
    assert set(BENCH.bars) <= measured


def test_the_network_is_trained_once(run):
    assert network(run).fingerprint == network(run).fingerprint


def test_the_formula_of_pairing_holds_for_any_seed():
    assert all(formula_error(seed) <= 1e-6 for seed in range(10, 14))


def test_a_detector_that_costs_as_much_as_the_linear_one_is_no_better():
    bar = BENCH.bars["type2_over_linear"]
    assert not bar.holds(1.0) and bar.holds(1.001) and str(bar) == "> 1"
