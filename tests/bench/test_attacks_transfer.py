"""Transfer over recipes and networks: the quick form, and what its figures are made of."""

import pytest
import torch

from amiss.bench import attacks_transfer
from amiss.bench.attacks import BENCH
from amiss.bench.bench import Run
from amiss.bench.defend_training import network
from amiss.trust import wilson

torch.set_num_threads(1)


def two(run):
    """A network, and the same hardened; others would only take longer."""
    plain = network(run)
    return {"plain": plain, "hardened": attacks_transfer._hardened(run, plain)}


def test_the_matrix_of_each_group_is_told_whole_and_has_its_page(monkeypatch, tmp_path):
    monkeypatch.setattr(attacks_transfer, "_digit_networks", two)
    figures, told = attacks_transfer.transfer(Run(10, True, tmp_path))
    assert BENCH.parts["transfer"] is attacks_transfer.transfer
    for group, models in (("mnist", ("plain", "hardened")), ("imagenet", ("faces", "faces, again"))):
        rows, n = told[group]["rows"], told[group]["n"]
        recipes = ("fgsm", "pgd", "square")
        wanted = {(r, a, b) for r in recipes for a in models for b in models}
        assert {(row["recipe"], row["source"], row["model"]) for row in rows} == wanted
        for row in rows:
            assert row["share"] == (row["changed"] / n, *wilson(row["changed"], n))
        off = [row["share"][0] for row in rows if row["source"] != row["model"]]
        own = [row["share"][0] for row in rows if row["source"] == row["model"]]
        assert figures[f"transfer_{group}_untargeted_mean"] == pytest.approx(sum(off) / len(off))
        assert figures[f"transfer_{group}_untargeted_max"] == max(off)
        assert figures[f"transfer_{group}_own"] == pytest.approx(sum(own) / len(own))
        page = (tmp_path / f"transfer-{group}" / "report.html").read_text(encoding="utf-8")
        assert "Shown to other models" in page
    # The demo's network stands there under two names: whom an image was made for makes no difference.
    assert figures["transfer_imagenet_untargeted_mean"] == figures["transfer_imagenet_own"] > 0
