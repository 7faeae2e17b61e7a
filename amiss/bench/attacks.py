"""Label attacks: every claim checked from outside, and the worst case beside AutoAttack."""

from amiss.bench.attacks_iguana import iguana
from amiss.bench.attacks_recipes import claims
from amiss.bench.attacks_transfer import transfer
from amiss.bench.attacks_worst import worst
from amiss.bench.bench import Bar, Bench

__all__ = ["BENCH"]

BENCH = Bench(
    "attacks",
    {"recipes": claims, "iguana": iguana, "worst": worst, "transfer": transfer},
    {
        "false_successes": Bar("==", 0, 0),
        "bound_excess": Bar("<=", 1e-6, 1e-6),
        "budget_errors": Bar("==", 0, 0),
        "iguana_confidence": Bar(">=", 0.99),
        "iguana_photographs": Bar(">=", 0.95),
        "digit_confidence": Bar(">=", 0.99, 0.99),
        "digit_photographs": Bar(">=", 0.95, 0.9),
        "worst_case_gap": Bar("<=", 0, 1.0),
        "worst_case_cost": Bar("<=", 1, 1e9),
        "worst_case_over": Bar("<=", 1e-6),
    },
)
"""How little breaks a right answer, beside other people's attacks."""
