"""Nothing lost, nothing false: runs stopped in every way, hostile worlds and files, batteries, a long study."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.trust_batteries import batteries
from amiss.bench.trust_crash import crash
from amiss.bench.trust_files import files, names
from amiss.bench.trust_shadow import shadow
from amiss.bench.trust_soak import soak
from amiss.bench.trust_worlds import worlds

__all__ = ["BENCH"]

BENCH = Bench(
    "trust",
    {
        "crash": crash,
        "shadow": shadow,
        "worlds": worlds,
        "batteries": batteries,
        "soak": soak,
        "files": files,
        "names": names,
    },
    {
        "resume_identical": Bar("==", 1, 1),
        "lost_samples": Bar("==", 0, 0),
        "shadow_successes": Bar("==", 0, 0),
        "flag_errors": Bar("==", 0, 0),
        "battery_failures": Bar("==", 0, 0),
        "memory_slope_mb_per_1000": Bar("<=", 1, 4),
        "linearity": Bar("<=", 0.05, 0.25),
        "hostile_failures": Bar("==", 0, 0),
        "hostile_name_failures": Bar("==", 0, 0),
    },
)
