"""The long table of scores: how runs folders and score files become one, and how a run becomes one number.

Everything in `analysis` works on pandas DataFrames of two shapes:

    table   one row per evaluation episode or logged point: the columns COLUMNS
    scores  one row per run: method, task, seed, score (+ env_steps, points, carried), from `select`

Knows no simulator and no agent; a runs folder is read through `protocols.records.store` alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from analysis.scores.columns import COLUMNS, RUN, refuse_clashes
from analysis.scores.tasks import named
from dreamer_bench_base import InvalidData, UserError
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "RUN", "InvalidData", "Selection", "Short", "cells", "chosen", "protocols_of", "read", "select"]

Short = Literal["drop", "carry", "fail"]


def read(paths: Sequence[str | Path], *, protocol: str | None = None) -> pd.DataFrame:
    """Long table (COLUMNS) of runs folders and score files, side by side, sorted by protocol, method, task, seed,
    env_steps, episode.

    A folder is a runs folder; a file is recognised by its content (`analysis.scores.formats`), gzip included.
    protocol: keep only records of this protocol id (score files that name none are kept, runs with a cut budget are not).

    Raises ValueError (one line) for a path that is neither, InvalidData for holes (NaN, a repeated point) and for one
    method name under two protocols.
    """
    import pandas as pd

    from analysis.scores import formats, from_runs

    if not paths:
        raise UserError("no scores given; name runs folders or score files")
    frames = []
    for path in map(Path, paths):
        if path.is_dir():
            frame = from_runs.read_runs(path, protocol)
        else:
            frame, _ = formats.read_file(path)
        if protocol is not None:
            frame = frame[frame["protocol"].isin(["", protocol])]
        frames.append(frame)
    table = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if table.empty:
        where = ", ".join(map(str, paths))
        raise InvalidData(
            f"{where}: no evaluation episode {f'of {protocol} ' if protocol else ''}is recorded yet; let a run reach its "
            "first evaluation"
        )
    refuse_clashes(table)
    return table.sort_values(["protocol", *RUN, "env_steps", "episode", "final"], ignore_index=True)


def protocols_of(paths: Sequence[str | Path]) -> list[str]:
    """The protocol ids recorded in these runs folders (score files are not opened), sorted."""
    from analysis.scores import from_runs

    found: set[str] = set()
    for path in map(Path, paths):
        if path.is_dir():
            found |= from_runs.protocols(path)
    return sorted(found)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One score per run, and what was left out on the way.

    scores    method, task, seed, score, env_steps (last point used), points (how many were averaged), carried (bool),
              place (of the first point used); sorted by method, task, seed
    left_out  method, task, seed, env_steps (how far it came): runs that stop short of the budget
    rule      the score rule in words, for captions: "mean of the last 100,000 env steps before 5,000,000"
    budget_env_steps  the budget compared at
    """

    scores: pd.DataFrame
    left_out: pd.DataFrame
    rule: str
    budget_env_steps: int


def select(
    table: pd.DataFrame,
    *,
    rule: ScoreRule | None = None,
    at: int | None = None,
    window: int = 0,
    short: Short = "fail",
) -> Selection:
    """One score per (method, task, seed) by a score rule at a budget.

    rule    None: the protocol's own where the table is of one known protocol and neither `at` nor `window` is given,
            else "window" where window > 0, else "last"
    at      budget in env steps; None: the protocol's budget, or else the largest env_steps that every method reaches
    window  mean of the points with at - window < env_steps <= at; 0: the last evaluation at or before `at`
    short   runs that stop before the budget: "drop" leaves them out (listed in left_out), "carry" uses their last
            points (marked), "fail" raises InvalidData naming them. A run is short when its last point lies more than one
            of its own evaluation intervals before the budget.

    The separate final evaluation enters the score under the rule "final" only.
    """
    import pandas as pd

    rule, at = _rule_and_budget(table, rule, at, window)
    points = table[(table["env_steps"] <= at) & (table["final"] == (rule.kind == "final"))]
    if points.empty:
        raise InvalidData(
            f"no point lies at or before {at:,} env_steps under the rule {rule.kind!r}"
            + (
                "; these records have no final evaluation, so compare with --at"
                if rule.kind == "final"
                else "; give a larger --at"
            )
        )
    reached = table.groupby(RUN)["env_steps"].agg(last="max", tolerance=_interval)
    reached["short"] = reached["last"] < at - reached["tolerance"].clip(lower=at // 100)
    if rule.kind == "final":  # a run that was stopped before its final evaluation came to the budget but has no score
        reached["short"] |= ~table.groupby(RUN)["final"].any()
    late = reached[reached["short"]]
    if len(late) and short == "fail":
        (method, task, seed), row = late.index[0], late.iloc[0]
        more = f" and {len(late) - 1} more runs stop" if len(late) > 1 else " stops"
        where = "it ends" if row["last"] < at else "it has no final evaluation, and ends"
        raise InvalidData(
            f"{method}, {task}, seed {seed}{more} short of {at:,} env_steps ({where} at {int(row['last']):,}); "
            "compare earlier with --at, or say --short drop or --short carry"
        )
    if short == "drop":
        points = points.set_index(RUN)[~_lookup(reached["short"], points)].reset_index()
    end = at if short != "carry" else _lookup(reached["last"].clip(upper=at), points)
    if rule.kind == "window":
        used = points[points["env_steps"] > end - rule.window_env_steps]
    else:
        used = points[points["env_steps"] == points.groupby(RUN)["env_steps"].transform("max")]
    grouped = used.groupby(RUN)
    scores = grouped.agg(
        score=("score", "mean"), env_steps=("env_steps", "max"), points=("score", "size"), place=("place", "first")
    ).reset_index()
    scores["carried"] = _lookup(reached["short"], scores) if len(scores) else False
    unused = reached[~reached.index.isin(pd.MultiIndex.from_frame(scores[RUN]))]
    left_out = unused[unused["short"]].reset_index().rename(columns={"last": "env_steps"})
    _refuse_holes(unused[~unused["short"]].index, rule, at)
    if scores.empty:
        raise InvalidData(f"every run stops short of {at:,} env_steps; compare earlier with --at")
    return Selection(
        scores=scores,
        left_out=left_out[[*RUN, "env_steps"]].astype({"env_steps": "int64"}),
        rule=_in_words(rule, at),
        budget_env_steps=at,
    )


def chosen(points: pd.DataFrame, methods: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of these methods and tasks, all where none is named. ValueError with the nearest name of an unknown one."""
    for column, wanted in (("method", tuple(methods)), ("task", named(tasks))):
        there = sorted(points[column].unique())
        for name in wanted:
            if name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                raise UserError(
                    f"{column} {name!r} is not among the scores{f'; did you mean {near[0]!r}?' if near else ';'} They hold "
                    f"{', '.join(there[:8])}{' and more' if there[8:] else ''}"
                )
        if wanted:
            points = points[points[column].isin(wanted)]
    return points.reset_index(drop=True)


def cells(scores: pd.DataFrame, method: str) -> dict[str, list[float]]:
    """task -> scores of the seeds (sorted by value), tasks sorted: what the estimators take of one method."""
    rows = scores[scores["method"] == method]
    return {str(task): sorted(group.tolist()) for task, group in rows.groupby("task", sort=True)["score"]}


def _rule_and_budget(table: pd.DataFrame, rule: ScoreRule | None, at: int | None, window: int) -> tuple[ScoreRule, int]:
    if at is not None and at <= 0:
        raise UserError(f"--at must be a number of env_steps above 0, not {at}")
    if window < 0:
        raise UserError(f"--window must be a number of env_steps, 0 or more, not {window}")
    spec = _protocol_of(table)
    if rule is None:
        if spec is not None and at is None and window == 0:
            rule = spec.score_rule
        else:
            rule = ScoreRule(kind="window", window_env_steps=window) if window else ScoreRule(kind="last")
    if at is None:
        at = spec.env_steps if spec is not None else int(table.groupby("method")["env_steps"].max().min())
    return rule, at


def _protocol_of(table: pd.DataFrame) -> Any:
    """The one known protocol of a table, or None."""
    from protocols import catalog

    ids = set(table["protocol"]) - {""}
    return catalog.entries().get(ids.pop()) if len(ids) == 1 else None


def _interval(env_steps: pd.Series) -> float:
    """The widest gap among a run's last evaluations: how far before the budget its last one may lie."""
    import numpy as np

    steps = np.unique(env_steps.to_numpy())[-10:]
    return float(np.diff(steps).max()) if len(steps) > 1 else 0.0


def _lookup(by_run: pd.Series, frame: pd.DataFrame) -> Any:
    """The value of each row's run, as an array."""
    import pandas as pd

    return by_run.reindex(pd.MultiIndex.from_frame(frame[RUN])).to_numpy()


def _refuse_holes(runs: pd.MultiIndex, rule: ScoreRule, at: int) -> None:
    """Raises for runs that reach the budget but have no point where the rule looks."""
    if len(runs):
        method, task, seed = runs[0]
        where = f"in the last {rule.window_env_steps:,} env_steps before" if rule.kind == "window" else "at or before"
        cure = "widen --window" if rule.kind == "window" else "give a larger --at"
        raise InvalidData(f"{method}, {task}, seed {seed} has no point {where} {at:,} env_steps; {cure}")


def _in_words(rule: ScoreRule, at: int) -> str:
    words: Mapping[str, str] = {
        "window": f"mean of the last {rule.window_env_steps:,} env steps before {at:,}",
        "last": f"last evaluation at or before {at:,} env steps",
        "final": f"separate final evaluation at {at:,} env steps",
    }
    return words[rule.kind]
