"""The rule for short runs: which runs stop before the budget of a comparison, and what happens to them.

A run is short if its last point is more than one of its own evaluation intervals before the budget, if it is scored at its
protocol's own budget and has no result yet, or if the final evaluation makes the score and it has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from analysis.scores.columns import RUN
from dreamer_bench_base import InvalidData, count
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd

Short = Literal["drop", "carry", "fail"]
"""drop   leaves short runs out and lists them
carry  uses their last points and marks them
fail   raises InvalidData with their names
The scores of the other runs do not depend on it."""


def reached_by_run(table: pd.DataFrame, rule: ScoreRule, at: int) -> pd.DataFrame:
    """Run -> its last point, and whether it stops before the budget: last, short."""
    by_run = table.groupby(RUN)
    reached = by_run["env_steps"].agg(last="max", tolerance=_interval)
    reached["short"] = reached["last"] < at - reached["tolerance"].clip(lower=at // 100)
    own_budget = by_run["budget_env_steps"].max()
    reached["short"] |= ~by_run["finished"].all() & (own_budget > 0) & (own_budget <= at)
    if rule.kind == "final":  # a run that was stopped just before its final evaluation reached the budget but has no score
        reached["short"] |= ~by_run["final"].any()
    return reached


def lacking(last: int, kind: str, at: int) -> str:
    """What a short run lacks although it reached the budget, "final evaluation" or "result"; "" if it stops before."""
    return "" if last < at else "final evaluation" if kind == "final" else "result"


def stops_short(late: pd.DataFrame, rule: ScoreRule, at: int) -> InvalidData:
    """The error for "fail"."""
    (method, task, seed), row = late.index[0], late.iloc[0]
    more = f" and {count(len(late) - 1, 'more run')} stop" if len(late) > 1 else " stops"
    lacks = lacking(row["last"], rule.kind, at)
    where = f"it has no {lacks}, and ends" if lacks else "it ends"
    cure = "compare by the evaluations of training with --window" if rule.kind == "final" else "compare earlier with --at"
    return InvalidData(
        f"{method}, {task}, seed {seed}{more} short of {at:,} env_steps ({where} at {int(row['last']):,}); "
        f"{cure}, or give --short drop or --short carry"
    )


def _interval(env_steps: pd.Series) -> float:
    """The widest gap between a run's last evaluations; its last one may be this far before the budget."""
    import numpy as np

    steps = np.unique(env_steps.to_numpy())[-10:]
    return float(np.diff(steps).max()) if len(steps) > 1 else 0.0
