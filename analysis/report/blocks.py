"""What came out, for one section of the report: cards, tables and figures of one comparison."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.figures import bars, intervals
from analysis.figures.catalog import draw as draw_figure
from analysis.figures.comparison import Comparison
from analysis.figures.curves import curves
from analysis.figures.drawing import Drawing, csv_text
from analysis.figures.efficiency import efficiency
from analysis.figures.style import number, task_label
from analysis.figures.sweeps import fig4, horizon_of
from analysis.report.page import Section
from analysis.scores.tasks import suite_of
from analysis.statistics import aggregate
from dreamer_bench_base import InvalidData

BASELINE = "random"
MOST_RUNS_LISTED = 60
Table = dict[str, Any]


def fill(section: Section, subject: Comparison, shown: Comparison) -> None:
    """Cards, figures and tables of one comparison. `shown` may hold more runs than count, for the learning curves.

    Runs with options set by hand are rows of their own below the agents as the protocol runs them: they must not cut the tasks
    that the agents are averaged over.
    """
    _left_out(section, subject)
    if subject.scores.empty:
        section.headline = f"{subject.title}: no run has reached {subject.budget} yet"
        section.draw(curves(shown), "Learning curves")
        return
    if not subject.one_scale:
        _task_by_task(section, subject, shown)
        return
    changed = [method for method in subject.methods if subject.overrides.get(method)]
    plain = [method for method in subject.methods if method not in changed]
    scored = set(subject.scores["method"])
    main = subject.only(plain) if scored & set(plain) else subject
    main_shown = shown.only([method for method in shown.methods if method not in changed]) if main is not subject else shown
    if not _compare(section, main, main_shown):
        return
    if main is not subject and scored & set(changed):
        _variants(section, subject, shown, changed)
    _runs(section, subject)
    _describe(section, subject)


def _task_by_task(section: Section, subject: Comparison, shown: Comparison) -> None:
    """Raw returns of tasks without a common scale: curves, scores per task and pairs of methods; no mean and no ranking."""
    suites = sorted({suite_of(task) for task in subject.tasks})
    of = f"of the suites {' and '.join(suites)}" if len(suites) > 1 else f"of {suites[0]}"
    section.warnings.append(
        f"The returns {of} are raw and have no common scale: nothing is averaged or ranked over the {len(subject.tasks)} tasks."
    )
    section.headline = f"{subject.title}: {_count(len(subject.methods), 'method')}, task by task"
    section.draw(curves(shown), "Learning curves")
    section.draw(bars.fig6(subject), "Scores per task", table=_task_table(subject))
    if len(subject.methods) > 1 and not aggregate.common_tasks(subject.scores).empty:
        with contextlib.suppress(InvalidData):  # a method with one seed has no such interval
            section.draw(intervals.improvement(subject), "Probability of improvement")
    _runs(section, subject)
    _describe(section, subject)


def _describe(section: Section, subject: Comparison) -> None:
    section.summary |= {
        "score_rule": subject.selection.rule,
        "budget_env_steps": subject.selection.budget_env_steps,
        "normalization": subject.normalization,
        "left_out": subject.selection.left_out.to_dict("records"),
        "labels": {method: subject.label(method) for method in subject.methods},
        "one_scale": subject.one_scale,
    }


def _left_out(section: Section, subject: Comparison) -> None:
    left_out = subject.selection.left_out
    if len(left_out):
        named = [f"{row.method}, {row.task}, seed {row.seed} at {row.env_steps:,}" for row in left_out.head(6).itertuples()]
        section.warnings.append(
            f"{len(left_out)} run{'s' if len(left_out) != 1 else ''} stopped before {subject.budget}, left out of the scores: "
            f" {'; '.join(named)}{' and more' if len(left_out) > len(named) else ''}."
        )


def _compare(section: Section, subject: Comparison, shown: Comparison) -> bool:
    """The agents as the protocol runs them: cards, curves, aggregates, differences, tasks. False where they share no task."""
    common = aggregate.common_tasks(subject.normalized)
    if common.empty:
        section.warnings.append("The methods share no task, so nothing can be averaged over them.")
        section.headline = f"{subject.title}: methods without a common task"
        section.draw(curves(shown), "Learning curves")
        return False
    cut = subject.scores["task"].nunique() - common["task"].nunique()
    if cut:
        tasks = subject.scores.groupby("method")["task"].nunique()
        others = "1 other is" if cut == 1 else f"{cut} others are"
        section.warnings.append(
            f"The means and aggregates are over the {common['task'].nunique()} tasks that every method has; {others} "
            f"shown task by task ({', '.join(f'{subject.label(method)} has {count}' for method, count in tasks.items())})."
        )
    means = intervals.means(subject)
    differences = None
    if intervals.comparable(subject, BASELINE):
        differences = intervals.differences(subject, BASELINE)
    _cards(section, subject, means, differences)
    section.draw(curves(shown), "Learning curves")
    drawing = intervals.aggregates(subject, single_seed="omit")
    note = aggregate.small_sample_note(common)
    notes = [note[0].upper() + note[1:].replace("`", "").rstrip(".") + "."] if note else []
    section.draw(drawing, "Aggregate scores", *notes, table=_aggregate_table(subject, drawing.data, means))
    if differences is not None:
        section.draw(differences, f"Difference to {BASELINE}", table=_difference_table(subject, differences.data))
    beside = len(subject.published) > 0
    section.draw(
        bars.fig6(subject), "Scores per task" + (", beside the published ones" if beside else ""), table=_task_table(subject)
    )
    _further(section, subject)
    section.summary |= {
        "means": means.to_dict("records"),
        "aggregates": drawing.data.to_dict("records"),
        "differences": [] if differences is None else differences.data.to_dict("records"),
    }
    return True


def _further(section: Section, subject: Comparison) -> None:
    """Figures that need two seeds of every method: sample efficiency, profiles, pairs."""
    methods = list(subject.scores["method"].unique())
    seeds = subject.scores.groupby(["method", "task"])["seed"].nunique().groupby("method").min()
    enough = [method for method in methods if seeds[method] > 1]
    if not enough:
        return
    cut = subject.only(enough)
    with contextlib.suppress(InvalidData):  # runs without a common evaluation time have no such curve
        section.draw(efficiency(cut), "Sample efficiency")
    if len(enough) > 1:
        section.draw(intervals.profiles(cut), "Performance profiles")
        section.draw(intervals.improvement(cut), "Probability of improvement")


def _variants(section: Section, subject: Comparison, shown: Comparison, changed: list[str]) -> None:
    """Runs with options set by hand, beside the agents they are variants of, on the tasks they share."""
    agents = {method.split("+")[0] for method in changed}
    methods = [method for method in subject.methods if method in changed or method in agents]
    picked = subject.only(methods)
    section.draw(
        curves(shown.only(methods), name="curves-variants", title="Learning curves, options set by hand"),
        "Options set by hand",
        "These runs changed fields of an agent's options with --set. They have labels of their own and are "
        "no rows of the protocol's table.",
    )
    if any(horizon_of(subject, method) for method in changed):
        section.draw(fig4(subject), "Score against the horizon")
    if any(set(subject.overrides[method]) == {"representation"} for method in changed):
        section.draw(draw_figure("fig11", subject), "Representation objectives")
    common = aggregate.common_tasks(picked.normalized)
    if common.empty:
        return
    drawing = replace(intervals.aggregates(picked, single_seed="omit"), name="aggregates-variants")
    section.draw(
        drawing, "Aggregate scores, options set by hand", table=_aggregate_table(picked, drawing.data, intervals.means(picked))
    )
    section.summary |= {"variants": drawing.data.to_dict("records")}


def _runs(section: Section, subject: Comparison) -> None:
    runs = subject.scores[["method", "task", "seed", "score", "env_steps", "points"]]
    path = f"{section.folder}runs.csv"
    section.files[path] = csv_text(runs).encode()
    section.summary["run_scores"] = runs.to_dict("records")
    if len(runs) > MOST_RUNS_LISTED:
        section.add("Every run", f"{len(runs)} runs were counted.", link=path)
        return
    rows = [
        [
            _name(subject, row.method),
            {"text": task_label(row.task), "is_text": True},
            {"text": str(row.seed)},
            {"text": number(row.score)},
            {"text": str(row.points)},
            {"text": f"{row.env_steps:,}"},
        ]
        for row in runs.itertuples()
    ]
    columns = ["method", "task", "seed", "score", "episodes averaged", "until env steps"]
    section.add("Every run", table=_table(f"Score of every counted run: {subject.selection.rule}.", columns, rows), link=path)


def _cards(section: Section, subject: Comparison, means: pd.DataFrame, differences: Drawing | None) -> None:
    gaps = {} if differences is None else {row.of: row for row in differences.data.itertuples()}
    ranked = means.sort_values(["point", "method"], ascending=[False, True])
    digits = subject.digits
    for row in ranked.itertuples():
        lines = [f"95% {_ends(row, digits)}" if not math.isnan(row.low) else "no interval (one seed)"]
        lines.append(f"{row.runs} runs: {_count(row.tasks, 'task')} × {_seeds(row)}")
        if row.method in gaps:
            gap = gaps[row.method]
            sign = "+" if gap.point >= 0 else "−"
            lines.append(f"{sign}{number(abs(gap.point), digits)} {_ends(gap, digits)} to {BASELINE}: {_verdict(gap)}")
        section.cards.append(
            {
                "name": subject.label(row.method),
                "color": _color(subject, row.method),
                "value": number(row.point, digits),
                "lines": lines,
            }
        )
    section.cards_title = (
        f"Mean score ({subject.unit}) at {subject.budget}, best first. Score of a run: {subject.selection.rule}. "
        "Intervals: 95%, stratified bootstrap over runs."
    )
    best = next(iter(ranked.itertuples()))
    section.headline = f"{subject.title}: {subject.label(best.method)} scores {number(best.point, digits)}"
    others = [row for row in ranked.itertuples() if row.method != best.method]
    if others:
        second = next((row for row in others if row.method == BASELINE), others[0])
        section.headline += f", {subject.label(second.method)} {number(second.point, digits)}"
    if gaps:
        above = [subject.label(name) for name, gap in gaps.items() if gap.low > 0]
        section.lead.append(
            f"Mean score above {BASELINE}, the 95% interval of the difference above 0: {', '.join(above) or 'none'} "
            f"({len(above)} of {len(gaps)} methods)."
        )


def _aggregate_table(subject: Comparison, data: pd.DataFrame, means: pd.DataFrame) -> Table:
    metrics = list(dict.fromkeys(data["metric"]))
    digits = 1 if subject.normalization == "none" else 3
    rows = []
    for row in means.itertuples():
        mine = {entry.metric: entry for entry in data[data["method"] == row.method].itertuples()}
        rows.append(
            [
                _name(subject, row.method),
                *(_value(mine[metric], digits) for metric in metrics),
                {"text": str(row.tasks)},
                {"text": _seeds(row).removesuffix("s").removesuffix(" seed")},
                {"text": str(row.runs)},
            ]
        )
    columns = ["method", *(intervals.METRIC_TITLES[metric] for metric in metrics), "tasks", "seeds per task", "runs"]
    return _table(f"In units of {intervals.axis_label(subject)}; 95% intervals below each number.", columns, rows)


def _difference_table(subject: Comparison, data: pd.DataFrame) -> Table:
    rows = [
        [
            _name(subject, row.of),
            _value(row, subject.digits),
            {"text": _verdict(row), "is_text": True},
            {"text": str(row.runs)},
        ]
        for row in data.itertuples()
    ]
    caption = f"Mean score minus that of {BASELINE} ({subject.unit}), with the 95% interval of the difference."
    return _table(caption, ["method", "difference", "verdict", "runs of both"], rows)


def _task_table(subject: Comparison) -> Table:
    data = intervals.task_estimates(subject.scores, subject.reps)
    methods = sorted(data["method"].unique())
    cells = {(row.task, row.method): row for row in data.itertuples()}
    rows = []
    for task in sorted(data["task"].unique()):
        row: list[dict[str, Any]] = [{"text": task_label(task)}]
        for method in methods:
            cell = cells.get((task, method))
            row.append({"text": "–"} if cell is None else {**_value(cell, 1), "text": f"{number(cell.point)} (n={cell.runs})"})
        rows.append(row)
    return _table("Mean score per task (n seeds), 95% interval below.", ["task", *map(subject.label, methods)], rows)


def _table(caption: str, columns: list[str], rows: list[list[dict[str, Any]]]) -> Table:
    words = [bool(rows) and bool(cell.get("is_text")) for cell in (rows[0] if rows else [])]
    return {
        "caption": caption,
        "columns": [{"text": name, "is_text": word} for name, word in zip(columns, words)],
        "rows": rows,
    }


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}{'s' if number_of != 1 else ''}"


def _seeds(row: Any) -> str:
    if row.seeds_min == row.seeds_max:
        return _count(row.seeds_min, "seed")
    return f"{row.seeds_min}–{row.seeds_max} seeds"


def _ends(row: Any, digits: int = 1) -> str:
    return f"[{number(row.low, digits)}, {number(row.high, digits)}]"


def _verdict(gap: Any) -> str:
    return "above" if gap.low > 0 else "below" if gap.high < 0 else "not distinguishable"


def _color(subject: Comparison, method: str) -> str:
    return subject.styles_of([method])[method].color


def _name(subject: Comparison, method: str) -> dict[str, Any]:
    return {"text": subject.label(method), "color": _color(subject, method)}


def _value(row: Any, digits: int) -> dict[str, Any]:
    return {"text": number(row.point, digits), "interval": "" if math.isnan(row.low) else _ends(row, digits)}
