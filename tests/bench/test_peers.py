"""Our rows beside those of peers: which peer is ours compared with, and when a bar holds."""

from typing import Any

from amiss.bench.peers import beside_features, beside_labels, label_figures


def row(name: str, cpu: float = 1.0, kept: float = 1.0, l2: float = 2.0, forward: float = 10.0) -> dict[str, Any]:
    """A row as the bench of the peers writes it."""
    known = {"images": 8, "success": kept, "success_8bit_one_by_one": kept, "l2_median": l2}
    return {"name": name, **known, "cpu_per_image": cpu, "forward_per_image": forward, "backward_per_image": 0.0}


def test_the_peer_is_the_cheapest_of_its_kind_and_never_a_row_of_ours() -> None:
    rows = [
        row("PGD-40 a", cpu=4),
        row("PGD-40 b", cpu=2),
        row("PGD-40 ours", cpu=1),
        {"name": "PGD-40 c", "error": "x"},
    ]
    rows += [row("PGD-40 ours, none dropped", cpu=2.5)]
    found = label_figures(rows)
    assert found["pgd_cost"] == 0.5
    assert found["pgd_whole_cost"] == 1.25


def test_queries_and_lengths_may_be_of_different_peers() -> None:
    few, short = row("HopSkipJump few", forward=100, l2=3.0, kept=0.75), row("HopSkipJump short", forward=200, l2=2.0)
    found = label_figures([few, short, row("HopSkipJump ours", forward=110, l2=2.5)])
    assert found["hop_skip_jump_queries"] == 1.1
    assert found["hop_skip_jump_l2"] == 1.25
    assert found["hop_skip_jump_kept_gain"] == 0.25


def test_what_is_missing_is_not_measured_and_what_misses_a_bar_does_not_hold() -> None:
    book = {"rows": [row("DDN-100 adv-lib", l2=2.0), row("DDN ours", l2=2.2, cpu=0.5)], "arguments": {"repeats": 5}}
    lines = beside_labels(book)
    assert "| `ddn_l2` | <= 1 | 1.1 | no |" in lines
    assert "| `ddn_cost` | <= 1 | 0.5 | yes |" in lines
    assert "| `pgd_cost` | <= 1.05 | not measured |  |" in lines
    assert any(line.startswith("| DDN ours | 8 |") for line in lines)


def test_without_both_rows_there_is_no_table_of_features() -> None:
    assert beside_features({"rows": [], "arguments": {}}) == []
