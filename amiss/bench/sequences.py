"""Recurrent networks against what is known: tasks with best answers, worlds with a truth."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.sequences_tasks import conditional, directions, eigen, hello, labels

__all__ = ["BENCH"]

BENCH = Bench(
    "sequences",
    {"hello": hello, "labels": labels, "directions": directions, "conditional": conditional, "eigen": eigen},
    {
        "hello_exact": Bar("==", 1),
        "parity_accuracy": Bar(">", 0.99),
        "echo_accuracy": Bar(">", 0.99),
        "bidirectional_accuracy": Bar(">", 0.99),
        "one_direction_accuracy": Bar("<=", 0.3),
        "eigen_slope_error": Bar("<=", 0.01, quick=0.01),
    },
)
"""Seeds 0 to 4."""
