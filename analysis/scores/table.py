"""The long table of scores: how runs folders and score files become one, and how a run becomes one number.

Everything in `analysis` works on pandas DataFrames of two shapes:

    table   one row per evaluation episode or logged point: the columns COLUMNS
    scores  one row per run: method, task, seed, score (+ env_steps, points, carried), from `select`

Knows no simulator and no agent; a runs folder is read through `protocols.records.store` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from analysis.scores import from_runs, groups
from analysis.scores.columns import COLUMNS, RUN, refuse_clashes, rule_of, rule_text, two_protocols
from analysis.scores.tasks import named
from dreamer_bench_base import InvalidData, UserError, suggestion
from protocols import own
from protocols.records.score import eligible, in_words
from protocols.records.store import MANIFEST
from protocols.spec import Protocol, ScoreRule

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "RUN", "InvalidData", "Selection", "Short", "chosen", "protocols_of", "read", "scores_by_task", "select"]

Short = Literal["drop", "carry", "fail"]


def read(
    paths: Sequence[str | Path],
    *,
    protocol: str | None = None,
    own_tasks: Sequence[str] = (),
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """Long table (COLUMNS) of runs folders and score files, side by side, sorted by protocol, method, task, seed,
    env_steps, episode.

    A folder is a runs folder, of which runs that never count (cut short with --limit, diverged) are left out; a file is
    recognised by its content (`analysis.scores.formats`), gzip included.
    protocol   keep only records of this protocol (an id, or a user's own file), and score files that name none
    own_tasks  patterns of task names in score files that are the user's own
    notes      gets a line for what was assumed and for what was left out

    Raises UserError for a path that is neither, InvalidData for holes (NaN, a repeated point) and for one method name under
    two protocols.
    """
    import pandas as pd

    from analysis.scores import formats
    from analysis.scores.formats.raw import Options
    from protocols import catalog

    if not paths:
        raise UserError("no scores given; name runs folders or score files")
    id = None if protocol is None else catalog.id_of(protocol)
    remarks: list[str] = []
    frames, left_out, said_so = [], 0, False
    for path in map(Path, paths):
        if path.is_dir():
            frame, more = _of_folder(path, protocol, remarks)
            left_out += more
        else:
            frame, said = formats.read_file(path, Options(own_tasks=tuple(own_tasks)))
            remarks += said
        if protocol is not None:
            said_so |= id in set(frame["protocol"])
            frame = frame[frame["protocol"].isin(["", id])]
        frames.append(frame)
    if protocol is not None and not said_so and id not in protocols_of(paths):
        catalog.find(protocol)  # refuses a name that neither the scores nor this installation knows
    table = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if notes is not None:
        notes += remarks
    if table.empty:
        where = ", ".join(map(str, paths))
        of = f"of {protocol} " if protocol else ""
        if left_out:
            raise InvalidData(f"{where}: no run {of}counts: {'; '.join(remarks)}")
        raise InvalidData(f"{where}: no evaluation episode {of}is recorded yet; let a run reach its first evaluation")
    refuse_clashes(table)
    return _sorted(_defined(table))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["protocol", *RUN, "env_steps", "episode", "final"], ignore_index=True)


def of_runs(runs: Sequence[from_runs.ScoredRun]) -> pd.DataFrame:
    """The same of runs that were found before."""
    frame, _ = _counted(groups.groups(runs), [])
    refuse_clashes(frame)
    return _sorted(frame)


def _of_folder(root: Path, protocol: str | None, notes: list[str]) -> tuple[pd.DataFrame, int]:
    """The rows of a runs folder's runs that count or may yet count, and how many runs never will."""
    return _counted(groups.chosen(groups.groups(from_runs.find(root)), protocol), notes)


def _counted(found: Sequence[groups.Group], notes: list[str]) -> tuple[pd.DataFrame, int]:
    seen: dict[str, groups.Group] = {}
    for group in found:
        other = seen.setdefault(group.protocol, group)
        if other is not group:
            first, second = (each.members[0].run.folder / MANIFEST for each in (other, group))
            raise two_protocols(second, first, group.protocol)
    members = [member for group in found for member in group.members]
    kept = [member for member in members if member.counts or member.unfinished]
    never = [member for member in members if not (member.counts or member.unfinished)]
    for why in dict.fromkeys(member.why for member in never):
        alike = [member for member in never if member.why == why]
        one = alike[0]
        more = f" and {len(alike) - 1} more" if alike[1:] else ""
        notes.append(f"{one.method}, {one.task}, seed {one.seed}{more} left out: {why}")
    return from_runs.read_runs([member.run for member in kept]), len(members) - len(kept)


def _defined(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with budget and score rule of every protocol that is known: from a run's manifest, else the catalog."""
    from protocols import catalog

    open_ids = set(table.loc[(table["budget_env_steps"] == 0) & (table["protocol"] != ""), "protocol"])
    for id in sorted(open_ids):
        rows = table["protocol"] == id
        told = table[rows & (table["budget_env_steps"] > 0)]
        known = catalog.entries().get(id)
        if len(told):
            budget, rule = told["budget_env_steps"].iloc[0], told["score_rule"].iloc[0]
        elif known is not None:
            budget, rule = known.env_steps, rule_text(known.score_rule)
        else:
            continue
        table.loc[rows, "budget_env_steps"], table.loc[rows, "score_rule"] = budget, rule
    return table


def protocols_of(paths: Sequence[str | Path]) -> dict[str, Protocol]:
    """The protocols of these runs folders by id, as the runs' manifests have them (score files are not opened)."""
    found: dict[str, Protocol] = {}
    for path in map(Path, paths):
        if path.is_dir():
            for group in groups.groups(from_runs.find(path)):
                found.setdefault(group.protocol, own.from_data(group.data))
    return found


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

    rule    None: the protocol's own, as the runs' manifests have it, where the table is of one protocol, `at` is its budget
            or not given, and no window is; else "window" where window > 0, else "last"
    at      budget in env steps; None: the protocol's budget, or else the largest env_steps that every method reaches
    window  mean of the points with at - window < env_steps <= at; 0: the last evaluation at or before `at`
    short   runs that stop before the budget: "drop" leaves them out (listed in left_out), "carry" uses their last
            points (marked), "fail" raises InvalidData naming them; the other runs are scored alike under all three. A run is
            short when its last point lies more than one of its own evaluation intervals before the budget, or when it was
            to be scored at its protocol's own budget and has no result yet.

    The separate final evaluation enters the score under the rule "final" only.
    """
    import pandas as pd

    rule, at = _rule_and_budget(table, rule, at, window)
    points = table[(table["env_steps"] <= at) & (table["final"] == (rule.kind == "final"))]
    if points.empty:
        raise InvalidData(
            f"no point lies at or before {at:,} env_steps under the rule {rule.kind!r}"
            + (
                "; these records have no final evaluation, so compare with --window"
                if rule.kind == "final"
                else "; give a larger --at"
            )
        )
    by_run = table.groupby(RUN)
    reached = by_run["env_steps"].agg(last="max", tolerance=_interval)
    reached["short"] = reached["last"] < at - reached["tolerance"].clip(lower=at // 100)
    own_budget = by_run["budget_env_steps"].max()
    reached["short"] |= ~by_run["finished"].all() & (own_budget > 0) & (own_budget <= at)
    if rule.kind == "final":  # a run that was stopped before its final evaluation came to the budget but has no score
        reached["short"] |= ~by_run["final"].any()
    late = reached[reached["short"]]
    if len(late) and short == "fail":
        (method, task, seed), row = late.index[0], late.iloc[0]
        more = f" and {len(late) - 1} more runs stop" if len(late) > 1 else " stops"
        ended = "final evaluation" if rule.kind == "final" else "result"
        where = "it ends" if row["last"] < at else f"it has no {ended}, and ends"
        cure = "compare by the evaluations of training with --window" if ended[0] == "f" else "compare earlier with --at"
        raise InvalidData(
            f"{method}, {task}, seed {seed}{more} short of {at:,} env_steps ({where} at {int(row['last']):,}); "
            f"{cure}, or give --short drop or --short carry"
        )
    if short == "drop":
        points = points.set_index(RUN)[~_lookup(reached["short"], points)].reset_index()
    end = _lookup(reached["last"].clip(upper=at).where(reached["short"], at), points)
    used = points[eligible(rule, points["env_steps"].to_numpy(), points["final"].to_numpy(bool), end)]
    if rule.kind != "window":
        used = used[used["env_steps"] == used.groupby(RUN)["env_steps"].transform("max")]
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
        rule=in_words(rule, at),
        budget_env_steps=at,
    )


def chosen(points: pd.DataFrame, methods: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of these methods and tasks, all where none is named. ValueError with the nearest name of an unknown one."""
    for column, wanted in (("method", tuple(methods)), ("task", named(tasks, set(points["task"])))):
        there = sorted(points[column].unique())
        for name in wanted:
            if name not in there:
                raise UserError(
                    f"{column} {name!r} is not among the scores{suggestion(name, there) or ';'} They hold "
                    f"{', '.join(there[:8])}{' and more' if there[8:] else ''}"
                )
        if wanted:
            points = points[points[column].isin(wanted)]
    return points.reset_index(drop=True)


def scores_by_task(scores: pd.DataFrame, method: str) -> dict[str, list[float]]:
    """task -> scores of the seeds (sorted by value), tasks sorted: what the estimators take of one method."""
    rows = scores[scores["method"] == method]
    return {str(task): sorted(group.tolist()) for task, group in rows.groupby("task", sort=True)["score"]}


def _rule_and_budget(table: pd.DataFrame, rule: ScoreRule | None, at: int | None, window: int) -> tuple[ScoreRule, int]:
    if at is not None and not 0 < at <= 10**15:
        raise UserError(f"--at must be a number of env_steps above 0, not {at}")
    if not 0 <= window <= 10**15:  # more fits no column of counts
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
    """The score rule and budget of the table's protocol; None where it names none.

    needed  whether nothing else says what to compare: several protocols, or one that nobody here knows, are refused then
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
