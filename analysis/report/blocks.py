"""The results in one section of the report: cards, tables and figures of one comparison."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pandas as pd

from analysis.figures import bars, intervals
from analysis.figures.catalog import draw as draw_figure
from analysis.figures.comparison import MOST_DRAWN, Comparison
from analysis.figures.curves import curves
from analysis.figures.drawing import Drawing, csv_text
from analysis.figures.efficiency import efficiency
from analysis.figures.style import number, task_label
from analysis.figures.sweeps import fig4, horizon_of
from analysis.report.page import Section
from analysis.report.tables import (
    BASELINE,
    aggregate_table,
    color,
    difference_table,
    ends,
    name_cell,
    seeds_in_words,
    table,
    task_table,
    verdict,
)
from analysis.scores.tasks import suite_of
from analysis.statistics import aggregate, small_samples
from dreamer_bench_base import count

MOST_RUNS_LISTED = 60


def fill(section: Section, subject: Comparison, shown: Comparison) -> None:
    """Cards, figures and tables of one comparison. `shown` can have more runs than those that count, for the learning curves.

    Runs with options set by hand have their own rows below the agents, because they must not reduce the tasks over which the
    agents are averaged.
    """
    _left_out(section, subject)
    if subject.scores.empty:
        section.headline = f"{subject.title}: no run has reached {subject.budget} yet"
        section.draw(partial(curves, shown), "Learning curves")
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
        f"The returns {of} are raw and have no common scale: nothing is averaged or ranked over the "
        f"{count(len(subject.tasks), 'task')}."
    )
    section.headline = f"{subject.title}: {count(len(subject.methods), 'method')}, task by task"
    section.draw(partial(curves, shown), "Learning curves")
    section.draw(partial(bars.fig6, subject), "Scores per task", table=task_table(subject))
    if len(subject.methods) > 1 and not aggregate.common_tasks(subject.scores).empty:
        # a method with one seed has no interval
        section.draw(partial(intervals.improvement, subject), "Probability of improvement", optional=True)
    _runs(section, subject)
    _describe(section, subject)


def _describe(section: Section, subject: Comparison) -> None:
    section.summary |= {
        "score_rule": subject.selection.rule,
        "budget_env_steps": subject.selection.budget_env_steps,
        "normalization": subject.normalization,
        "digits": subject.digits,
        "left_out": subject.selection.left_out.to_dict("records"),
        "labels": {method: subject.label(method) for method in subject.methods},
        "one_scale": subject.one_scale,
    }


def _left_out(section: Section, subject: Comparison) -> None:
    left_out = subject.selection.left_out
    if len(left_out):
        named = [f"{row.method}, {row.task}, seed {row.seed} at {row.env_steps:,}" for row in left_out.head(6).itertuples()]
        section.warnings.append(
            f"{subject.short_runs} {'are' if len(left_out) != 1 else 'is'} left out of the scores: "
            f"{'; '.join(named)}{' and more' if len(left_out) > len(named) else ''}."
        )


def _compare(section: Section, subject: Comparison, shown: Comparison) -> bool:
    """The agents without overrides: cards, curves, aggregates, differences, tasks. False if they share no task."""
    common = aggregate.common_tasks(subject.normalized)
    if common.empty:
        section.warnings.append("The methods share no task, so nothing can be averaged over them.")
        section.headline = f"{subject.title}: methods without a common task"
        section.draw(partial(curves, shown), "Learning curves")
        return False
    cut = subject.scores["task"].nunique() - common["task"].nunique()
    if cut:
        tasks = subject.scores.groupby("method")["task"].nunique()
        others = "1 other is" if cut == 1 else f"{cut} others are"
        section.warnings.append(
            f"The means and aggregates are over the {count(common['task'].nunique(), 'task')} that every method has; "
            f"{others} shown task by task ({', '.join(f'{subject.label(method)} has {own}' for method, own in tasks.items())})."
        )
    means = intervals.means(subject)
    differences = None
    if intervals.comparable(subject, BASELINE):
        differences = intervals.differences(subject, BASELINE)
    _cards(section, subject, means, differences)
    drawn = subject
    if len(subject.methods) > MOST_DRAWN:
        best = list(means.sort_values(["point", "method"], ascending=[False, True])["method"][:MOST_DRAWN])
        drawn, shown = subject.only(best), shown.only(best)
        section.warnings.append(
            f"Curves, scores per task, sample efficiency, profiles and pairs are drawn for the "
            f"{count(len(best), 'method')} with the highest means, of {len(subject.methods)}; the tables have all."
        )
    section.draw(partial(curves, shown), "Learning curves")
    drawing = intervals.aggregates(subject, single_seed="omit")
    note = small_samples.small_sample_note(common)
    notes = [note[0].upper() + note[1:].rstrip(".") + "."] if note else []
    section.draw(lambda: drawing, "Aggregate scores", *notes, table=aggregate_table(subject, drawing.data, means))
    if differences is not None:
        section.draw(lambda: differences, f"Difference to {BASELINE}", table=difference_table(subject, differences.data))
    beside = len(subject.published) > 0
    section.draw(
        partial(bars.fig6, drawn),
        "Scores per task" + (", beside the published ones" if beside else ""),
        table=task_table(subject),
    )
    _further(section, drawn)
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
    # runs without a common evaluation time have no curve
    section.draw(partial(efficiency, cut), "Sample efficiency", first=True, optional=True)
    if len(enough) > 1:
        section.draw(partial(intervals.profiles, cut), "Performance profiles")
        section.draw(partial(intervals.improvement, cut), "Probability of improvement")


def _variants(section: Section, subject: Comparison, shown: Comparison, changed: list[str]) -> None:
    """Runs with options set by hand, beside the agents of which they are variants, on their common tasks."""
    agents = {method.split("+")[0] for method in changed}
    methods = [method for method in subject.methods if method in changed or method in agents]
    picked = subject.only(methods)
    section.draw(
        partial(curves, shown.only(methods), name="curves-variants", title="Learning curves, options set by hand"),
        "Options set by hand",
        "These runs set options of an agent with --set. They have their own labels and are not part of the protocol's table.",
    )
    if any(horizon_of(subject, method) for method in changed):
        section.draw(partial(fig4, subject), "Score against the horizon")
    if any(set(subject.overrides[method]) == {"representation"} for method in changed):
        section.draw(partial(draw_figure, "fig11", subject), "Representation objectives")
    common = aggregate.common_tasks(picked.normalized)
    if common.empty:
        return
    drawing = replace(intervals.aggregates(picked, single_seed="omit"), name="aggregates-variants")
    section.draw(
        lambda: drawing,
        "Aggregate scores, options set by hand",
        table=aggregate_table(picked, drawing.data, intervals.means(picked)),
    )
    section.summary |= {"variants": drawing.data.to_dict("records")}


def _runs(section: Section, subject: Comparison) -> None:
    runs = subject.scores[["method", "task", "seed", "score", "env_steps", "points"]]
    path = f"{section.folder}runs.csv"
    section.files[path] = csv_text(runs).encode()
    section.summary["run_scores"] = runs.to_dict("records")
    if len(runs) > MOST_RUNS_LISTED:
        section.add("Every run", f"{count(len(runs), 'run')} were counted.", link=path)
        return
    rows = [
        [
            name_cell(subject, row.method),
            {"text": task_label(row.task), "is_text": True},
            {"text": str(row.seed)},
            {"text": number(row.score)},
            {"text": str(row.points)},
            {"text": f"{row.env_steps:,}"},
        ]
        for row in runs.itertuples()
    ]
    columns = ["method", "task", "seed", "score", "episodes averaged", "until env steps"]
    section.add("Every run", table=table(f"Score of every counted run: {subject.selection.rule}.", columns, rows), link=path)


def _cards(section: Section, subject: Comparison, means: pd.DataFrame, differences: Drawing | None) -> None:
    gaps = {} if differences is None else {row.of: row for row in differences.data.itertuples()}
    ranked = means.sort_values(["point", "method"], ascending=[False, True])
    digits = subject.digits
    for row in ranked.itertuples():
        lines = [f"95% {ends(row, digits)}" if not math.isnan(row.low) else "no interval (one seed)"]
        lines.append(f"{count(row.runs, 'run')}: {count(row.tasks, 'task')} × {seeds_in_words(row)}")
        if row.method in gaps:
            gap = gaps[row.method]
            sign = "+" if gap.point >= 0 else "−"
            lines.append(f"{sign}{number(abs(gap.point), digits)} {ends(gap, digits)} to {BASELINE}: {verdict(gap)}")
        section.cards.append(
            {
                "name": subject.label(row.method),
                "color": color(subject, row.method),
                "value": number(row.point, digits),
                "lines": lines,
            }
        )
    section.cards_title = (
        f"Mean score ({subject.unit}) at {subject.budget}, best first. Score of a run: {subject.selection.rule}. "
        "Intervals of means: 95%, stratified bootstrap over runs"
        + (f"; of differences to {BASELINE}: Welch's 95% t-interval." if gaps else ".")
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
            f"Methods above {BASELINE} (Welch's 95% interval of the difference is above 0): {', '.join(above) or 'none'} "
            f"({len(above)} of {count(len(gaps), 'method')})."
        )
