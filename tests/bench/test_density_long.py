"""The long bench's colored part in its quick form; and the bars of the table."""

import json

from amiss.bench.bench import BENCHES, Run, load_bench
from amiss.bench.density_long_color import color


def test_bits_of_bytes_are_fewer_than_eight(tmp_path):
    run = Run(10, True, tmp_path)
    figures, told = color(run)
    json.dumps(told)
    assert 0 < figures["cifar_bits_per_dim"] < 8  # fair lots cost 8
    assert told["images"] == 40
    assert (tmp_path / "color.png").is_file()
    before = (tmp_path / "color.safetensors").stat().st_mtime_ns
    again, _ = color(run)  # from its file, not trained anew
    assert again == figures
    assert (tmp_path / "color.safetensors").stat().st_mtime_ns == before


def test_the_table_has_a_bar_for_each_figure_of_the_issue():
    assert "density-long" in BENCHES
    bench = load_bench("density-long")
    assert {"pixel_nats", "own_sample_gap", "cifar_bits_per_dim"} <= set(bench.bars)
    assert not bench.bars["cifar_bits_per_dim"].holds(4.3)
