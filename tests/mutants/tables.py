"""Verdicts in the words of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.verify.verdict import Verdict
from tests.mutants import verdicts
from tests.mutants.mutations import find

if TYPE_CHECKING:
    import pandas as pd

STATUS = {"profile-differs": "profile differs"}


def words(verdict: Verdict) -> str:
    """A verdict in a cell: its status, with the difference and its 90% interval where there is one."""
    status = STATUS.get(verdict.status, verdict.status)
    if verdict.suite is None or not math.isfinite(verdict.suite.difference):
        return status
    return f"{status}, {verdict.suite.difference:+.2f} [{verdict.suite.low:+.2f}, {verdict.suite.high:+.2f}]"


def smallest(found: Sequence[tuple[int, Verdict]]) -> str:
    """The smallest budget from which on the gate fails at every one that was asked; "no" where it passes the largest."""
    seen = ""
    for at, verdict in sorted(found, key=lambda pair: -pair[0]):
        if not verdicts.alarms(verdict):
            break
        seen = f"{at:,}"
    return seen or "no"


def mutations(points: pd.DataFrame, task: str, rule: verdicts.Rule, budgets: Sequence[int]) -> list[str]:
    """Rows: bug, task, seeds, seen from (env_steps), verdict at the largest budget."""
    found: dict[str, list[tuple[int, Verdict]]] = {}
    for name, at, verdict in verdicts.of_mutations(points, task, rule, budgets):
        found.setdefault(name, []).append((at, verdict))
    shown = task.removeprefix("gym:").partition("-")[0]
    rows = []
    for name, asked in found.items():
        seeds = len(verdicts.seeds_of(points, name, [task])[: verdicts.COHORT])
        last = words(max(asked, key=lambda pair: pair[0])[1])
        rows.append(f"| {find(name).says} | {shown} | {seeds} | {smallest(asked)} | {last} |")
    return rows
