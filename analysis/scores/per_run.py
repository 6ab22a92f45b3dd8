"""The score of a run: the points that its score rule selects at a budget.

`select` turns the long table (`analysis.scores.table.read`) into scores, one row per run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.scores.columns import RUN, rule_of
from analysis.scores.short_runs import Short, lacking, reached_by_run, stops_short
from dreamer_bench_base import InvalidData, UserError
from protocols.records.score import eligible, in_words
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd


class NoPoint(InvalidData):
    """No run has a point that the score rule can take."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One score per run, and the runs that were left out.

    scores    method, task, seed, score, env_steps (of the last point used), points (number of points averaged), carried (bool),
              place (of the first point used); sorted by method, task, seed
    left_out  method, task, seed, env_steps (of the last point), for runs that stop before the budget or have no final
              evaluation or result
    kind      the kind of the score rule
    rule      the score rule in words, for captions: "mean of the last 100,000 env steps before 5,000,000"
    budget_env_steps  the budget of the comparison
    """

    scores: pd.DataFrame
    left_out: pd.DataFrame
    rule: str
    budget_env_steps: int
    kind: str = "last"

    def lacking(self, last: int) -> str:
        """What a run with that last point lacks, "final evaluation" or "result"; "" if it stops before the budget."""
        return lacking(last, self.kind, self.budget_env_steps)


def select(
    table: pd.DataFrame,
    *,
    rule: ScoreRule | None = None,
    at: int | None = None,
    window: int = 0,
    short: Short = "fail",
) -> Selection:
    """One score per (method, task, seed) by a score rule at a budget.

    rule    None: the protocol's rule from the manifests, if the table has one protocol, `at` is its budget or None, and there
            is no window; otherwise "window" if window > 0, else "last"
    at      budget in env steps; None: the protocol's budget, or without one the largest env_steps that every method reaches
    window  mean of the points with at - window < env_steps <= at; 0: the last evaluation at or before `at`
    short   what happens to runs that stop before the budget (analysis/scores/short_runs.py)

    Only the rule "final" uses the separate final evaluation.
    """
    import pandas as pd

    rule, at = _rule_and_budget(table, rule, at, window)
    env_steps, final = table["env_steps"].to_numpy(), table["final"].to_numpy(bool)
    used = (env_steps <= at) & (final == (rule.kind == "final"))
    if not used.any():
        raise NoPoint(
            f"no run has a final evaluation at or before {at:,} env_steps, which makes the score under the rule 'final'; "
            "compare by the evaluations of training with --window"
            if rule.kind == "final"
            else "all points are of final evaluations; leave the column 'final' out, or add a column 'protocol'"
            if final.all()
            else f"no point lies at or before {at:,} env_steps; give a larger --at"
        )
    reached = reached_by_run(table, rule, at)
    late = reached[reached["short"]]
    if len(late) and short == "fail":
        raise stops_short(late, rule, at)
    number = table.groupby(RUN).ngroup().to_numpy()  # of each row's run, which is its row in `reached`
    if short == "drop":
        used &= ~reached["short"].to_numpy(bool)[number]
    end = reached["last"].clip(upper=at).where(reached["short"], at).to_numpy()[number]
    points = table[used & eligible(rule, env_steps, final, end)]
    if rule.kind != "window":
        points = points[points["env_steps"] == points.groupby(RUN)["env_steps"].transform("max")]
    grouped = points.groupby(RUN)
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
        rule=in_words(rule, at),
        budget_env_steps=at,
        kind=rule.kind,
    )


def _rule_and_budget(table: pd.DataFrame, rule: ScoreRule | None, at: int | None, window: int) -> tuple[ScoreRule, int]:
    if at is not None and not 0 < at <= 10**15:
        raise UserError(f"--at must be a number of env_steps above 0, not {at}")
    if not 0 <= window <= 10**15:  # more does not fit into a column of counts
        raise UserError(f"--window must be a number of env_steps, 0 or more, not {window}")
    own = _own_rule(table, needed=at is None)
    if rule is None and own is not None and window == 0 and at in (None, own[1]):
        rule = own[0]
    if rule is None:
        rule = ScoreRule(kind="window", window_env_steps=window) if window else ScoreRule(kind="last")
    if at is None:
        at = own[1] if own is not None else int(table.groupby("method")["env_steps"].max().min())
    return rule, at


def _own_rule(table: pd.DataFrame, *, needed: bool) -> tuple[ScoreRule, int] | None:
    """The score rule and budget of the table's protocol; None if there is none.

    needed  whether the comparison depends on it; several protocols, or an unknown one, are then refused
    """
    named = table.loc[table["protocol"] != "", ["protocol", "score_rule", "budget_env_steps"]].drop_duplicates()
    unknown = named[named["budget_env_steps"] == 0]["protocol"].tolist()
    if unknown and needed:
        raise UserError(
            f"protocol {unknown[0]!r} is not installed, and no run here states its budget and score rule; install the package "
            "that brings it, or give --at and --window"
        )
    rules = set(named[["score_rule", "budget_env_steps"]].itertuples(index=False, name=None))
    if len(rules) > 1 and needed:
        raise UserError(
            f"the scores are of the protocols {', '.join(sorted(named['protocol']))}, which have different budgets or score "
            "rules; choose one with --protocol, or compare with --at ENV_STEPS"
        )
    if len(rules) != 1 or unknown:
        return None
    text, budget = rules.pop()
    return rule_of(text), int(budget)


def _lookup(by_run: pd.Series, frame: pd.DataFrame) -> Any:
    """The value of each row's run, as an array."""
    import pandas as pd

    return by_run.reindex(pd.MultiIndex.from_frame(frame[RUN])).to_numpy()


def _refuse_holes(runs: pd.MultiIndex, rule: ScoreRule, at: int) -> None:
    """Raises InvalidData for runs that reach the budget but have no point that the rule selects."""
    if len(runs):
        method, task, seed = runs[0]
        where = f"in the last {rule.window_env_steps:,} env_steps before" if rule.kind == "window" else "at or before"
        cure = "widen --window" if rule.kind == "window" else "give a larger --at"
        raise InvalidData(f"{method}, {task}, seed {seed} has no point {where} {at:,} env_steps; {cure}")
