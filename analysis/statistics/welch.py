"""The difference of two methods' means with Welch's t-interval over seeds.

The bootstrap's percentile interval is too narrow with few seeds (docs/verifying.md). This one holds its level, so verdicts
about two methods rest on it; `verify` uses it, too.
"""

from __future__ import annotations

import pandas as pd

from analysis.statistics.aggregate import Estimate, pair_of
from analysis.statistics.equivalence import Pair, suite_test


def difference(scores: pd.DataFrame, first: str, second: str, *, confidence: float = 0.95) -> Estimate:
    """mean(first) - mean(second) over the tasks, each of which needs two seeds of both. `reps` is 0: nothing is drawn."""
    a, b = pair_of(scores, first, second)
    seeds = [len(values) for one in (a, b) for values in one.values]
    pair = Pair(tasks=tuple(a.tasks), ours=a.values, reference=b.values, kind="raw", reference_seeds=max(seeds))
    test = suite_test(pair, (1.0 - confidence) / 2)
    return Estimate(
        method=f"{first} - {second}",
        metric="mean",
        point=test.difference,
        low=test.low,
        high=test.high,
        tasks=len(a.tasks),
        runs=sum(seeds),
        seeds_min=min(seeds),
        seeds_max=max(seeds),
        reps=0,
        confidence=confidence,
    )
