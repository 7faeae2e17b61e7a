"""Our figures, one command a bench; results are merged into JSON, a value a seed."""

from amiss.bench.bench import BENCHES, Bar, Bench, Part, Skip, merge, run_bench

__all__ = ["BENCHES", "Bar", "Bench", "Part", "Skip", "merge", "run_bench"]
