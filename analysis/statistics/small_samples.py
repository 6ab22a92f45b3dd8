"""What an interval over few seeds is worth, in a sentence for a table or a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dreamer_bench_base import count

if TYPE_CHECKING:
    import pandas as pd

_COVERAGE = ((4, "78-86% (mean) and 82-88% (IQM) at 3 seeds"), (9, "86-88% (mean) and 89-90% (IQM) at 5 seeds"))
"""Coverage of nominal 95% percentile intervals on 20 tasks, from 400 simulated suites of three shapes (±2 to 3 points)."""


def small_sample_note(scores: pd.DataFrame) -> str | None:
    """A note on the coverage of percentile intervals with fewer than 10 seeds per task; None with more."""
    fewest = int(scores.groupby(["method", "task"])["seed"].nunique().min())
    for limit, coverage in _COVERAGE:
        if fewest <= limit:
            return (
                f"with {count(fewest, 'seed')} per task the 95% intervals are too narrow: "
                f"simulated coverage {coverage}, 92-96% at 10; `verify` decides by a t-interval instead"
            )
    return None
