"""Numbers with intervals: the four aggregates, differences to one method, performance profiles, pairwise improvement."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.figures.comparison import Comparison, seeds_in_words, tasks_in_words
from analysis.figures.drawing import Drawing, drawing_style, new_figure
from analysis.figures.layout import legend_below
from analysis.figures.style import INK, RULE
from analysis.scores import normalize
from analysis.statistics import aggregate, welch
from dreamer_bench_base import UserError

METRIC_TITLES = {"iqm": "IQM", "median": "Median", "mean": "Mean", "optimality-gap": "Optimality gap"}
BETTER = {
    "iqm": "higher is better",
    "median": "higher is better",
    "mean": "higher is better",
    "optimality-gap": "lower is better",
}
LINE_LETTERS = 26
"""Of a method's name in a picture 4.4 inches wide: a longer name takes further lines, so that it is read whole."""
LINE_INCHES = 0.14


def estimate_table(estimates: Sequence[aggregate.Estimate]) -> pd.DataFrame:
    return pd.DataFrame([asdict(estimate) for estimate in estimates])


def task_estimates(scores: pd.DataFrame, reps: int) -> pd.DataFrame:
    """Mean over seeds for every method and task with its interval: rows of `aggregate.Estimate` with their task."""
    tasks, parts = zip(*scores.groupby("task"))
    found = aggregate.estimates_of_each(parts, metrics=["mean"], reps=reps, single_seed="omit")
    return pd.concat([estimate_table(rows).assign(task=task) for task, rows in zip(tasks, found)], ignore_index=True)


def means(comparison: Comparison) -> pd.DataFrame:
    """Mean over the common tasks for every method with its interval, in the unit of the comparison; methods sorted."""
    scores = _in_units(comparison)
    return estimate_table(aggregate.estimates(scores, metrics=["mean"], reps=comparison.reps, single_seed="omit"))


def _in_units(comparison: Comparison) -> pd.DataFrame:
    return aggregate.common_tasks(comparison.scores if comparison.raw_units else comparison.normalized)


def comparable(comparison: Comparison, baseline: str) -> list[str]:
    """Methods that can be compared with the baseline: both have at least two seeds on every common task."""
    scores = _in_units(comparison)
    seeds = scores.groupby(["method", "task"])["seed"].nunique().groupby("method").min()
    enough = [str(method) for method in seeds.index[seeds > 1]]
    return [method for method in enough if method != baseline] if baseline in enough else []


def interval_rows(axes: Axes, rows: pd.DataFrame, colors: dict[str, str], *, height: float = 0.55) -> None:
    """One bar per row from low to high, with its point as a black line; the first row is on top."""
    for position, row in enumerate(rows.itertuples()):
        if not math.isnan(row.low):
            axes.barh(
                position, row.high - row.low, left=row.low, height=height, color=colors[row.method], alpha=0.65, linewidth=0
            )
        axes.plot([row.point, row.point], [position - height / 2, position + height / 2], color=INK, linewidth=1.6)
    axes.use_sticky_edges = False
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def axis_label(comparison: Comparison) -> str:
    return (
        normalize.NORMALIZATIONS[comparison.normalization].label
        if comparison.normalization in normalize.NORMALIZATIONS
        else "score"
    )


def aggregates(
    comparison: Comparison, *, single_seed: aggregate.SingleSeed = "refuse", order: Sequence[str] | None = None
) -> Drawing:
    """IQM, median, mean and optimality gap of every method with 95% intervals.

    order        methods from top to bottom; by default sorted by name
    single_seed  "omit": a method with one seed on a task gets its point without a bar, and the caption says so
    """
    scores = aggregate.common_tasks(comparison.normalized)
    # the optimality gap is the distance to a normalised score of 1, so it needs a normalisation
    metrics = aggregate.METRICS if comparison.normalization != "none" else aggregate.METRICS[:3]
    data = estimate_table(aggregate.estimates(scores, metrics=metrics, reps=comparison.reps, single_seed=single_seed))
    methods = list(order or sorted(scores["method"].unique()))
    alone = " No bar: a single seed." if data["low"].isna().any() else ""
    colors = {method: chosen.color for method, chosen in comparison.styles_of(methods).items()}
    with drawing_style("aggregates"):
        figure = new_figure(9.0, 0.9 + 0.3 * len(methods))
        for axes, metric in zip(figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0], metrics):
            rows = data[data["metric"] == metric].set_index("method", drop=False).loc[methods]
            interval_rows(axes, rows, colors)
            axes.set_title(f"{METRIC_TITLES[metric]}\n", loc="left", fontweight="bold")
            axes.text(0, 1.03, BETTER[metric], transform=axes.transAxes, fontsize=7.5, color="#5c5c5c")
            axes.margins(x=0.12)
            axes.locator_params(axis="x", nbins=4)
        figure.axes[0].set_yticks(range(len(methods)), [comparison.label(method) for method in methods])
        figure.supxlabel(axis_label(comparison), fontsize=9)
    return Drawing(
        name="aggregates",
        title="Aggregate scores",
        figure=figure,
        data=data,
        caption=f"Aggregate scores, {comparison.title} at {comparison.budget} ({comparison.selection.rule}). Black stroke: "
        f"point estimate; bar: 95% interval, stratified bootstrap over runs with {comparison.reps:,} resamples; "
        f"{tasks_in_words(scores)}, {seeds_in_words(scores)}; units {comparison.units}.{alone}{comparison.left_out}",
    )


def ranking(comparison: Comparison, order: Sequence[str]) -> Drawing:
    """The IQM, which ranks, with an interval per method, in a small figure.

    order  methods, best first
    """
    estimates = aggregate.estimates(comparison.normalized, metrics=["iqm"], reps=comparison.reps, single_seed="refuse")
    data = estimate_table(estimates).set_index("method", drop=False).loc[list(order)].reset_index(drop=True)
    colors = {method: chosen.color for method, chosen in comparison.styles_of(order).items()}
    labels = ["\n".join(textwrap.wrap(comparison.label(method), LINE_LETTERS)) for method in order]
    lines = max(label.count("\n") + 1 for label in labels)
    with drawing_style("ranking"):
        figure = new_figure(4.4, 0.75 + max(0.27, LINE_INCHES * lines + 0.02) * len(order))
        axes = figure.subplots()
        interval_rows(axes, data, colors)
        axes.set_yticks(range(len(order)), labels)
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(f"IQM ({axis_label(comparison)})")
    return Drawing(
        name="ranking",
        title=f"Ranking of {comparison.title} as intervals",
        figure=figure,
        data=data,
        caption="Black stroke: IQM; bar: its 95% interval; best on top.",
    )


def differences(comparison: Comparison, baseline: str = "random") -> Drawing:
    """The difference of every method to one of them, in the unit of the score, with Welch's 95% t-interval."""
    raw = _in_units(comparison)
    others = comparable(comparison, baseline)
    if not others:
        raise UserError(
            f"a difference to {baseline!r} needs at least two seeds of it and of another method on the same tasks; "
            f"the scores hold {', '.join(comparison.methods)}"
        )
    data = estimate_table([welch.difference(raw, other, baseline) for other in others])
    data.insert(0, "of", others)
    data.insert(1, "to", baseline)
    colors = {f"{row.method}": comparison.styles_of([row.of])[row.of].color for row in data.itertuples()}
    with drawing_style("difference"):
        figure = new_figure(7.0, 0.95 + 0.32 * len(others))
        axes = figure.subplots()
        interval_rows(axes, data, colors)
        axes.axvline(0, color=INK, linewidth=1.0)
        axes.set_yticks(range(len(others)), [comparison.label(other) for other in others])
        low, high = min(0.0, data[["low", "point"]].min().min()), max(0.0, data[["high", "point"]].max().max())
        room = 0.06 * ((high - low) or 1.0)
        axes.set_xlim(low - room, high + room)
        axes.set_xlabel(f"difference to {baseline} (mean {comparison.unit})")
    return Drawing(
        name="difference",
        title=f"Difference to {baseline}",
        figure=figure,
        data=data,
        caption=f"Difference of the mean score to {baseline}, {comparison.title} at {comparison.budget}. Black stroke: point; "
        f"bar: Welch's 95% t-interval over seeds, which holds its level with few of them; right of 0 is above {baseline}; "
        f"{tasks_in_words(raw)}, {seeds_in_words(raw)}.{comparison.left_out}",
    )


def profiles(comparison: Comparison) -> Drawing:
    """The share of a method's runs that score above each threshold."""
    scores = aggregate.common_tasks(comparison.normalized)
    data = aggregate.profiles(scores, reps=min(comparison.reps, 2_000))
    methods = sorted(scores["method"].unique())
    styles = comparison.styles_of(methods)
    with drawing_style("profiles"):
        figure = new_figure(7.0, 4.1)
        axes = figure.subplots()
        for method in methods:
            mine = data[data["method"] == method]
            axes.fill_between(mine["threshold"], mine["low"], mine["high"], color=styles[method].color, alpha=0.18, linewidth=0)
            sns.lineplot(
                x=mine["threshold"],
                y=mine["point"],
                estimator=None,
                color=styles[method].color,
                linestyle=styles[method].line,
                marker=styles[method].marker,
                markevery=(3 + 2 * (methods.index(method) % 5), 20),
                label=comparison.label(method),
                legend=False,
                ax=axes,
            )
        axes.set_xlabel(f"threshold τ ({axis_label(comparison)})")
        axes.set_ylabel("fraction of runs with score > τ")
        axes.set_ylim(-0.02, 1.02)
        axes.margins(x=0.01)
        legend_below(figure, axes)
    return Drawing(
        name="profiles",
        title="Performance profiles",
        figure=figure,
        data=data,
        caption=f"Performance profiles, {comparison.title} at {comparison.budget}: the fraction of runs above a threshold, "
        f"with pointwise 95% bands (stratified bootstrap, {min(comparison.reps, 2_000):,} resamples); "
        f"{tasks_in_words(scores)}, {seeds_in_words(scores)}; units {comparison.units}.{comparison.left_out}",
    )


def improvement(comparison: Comparison, *, baseline: str | None = None) -> Drawing:
    """P(a run of X beats a run of Y on the same task) for every pair, or against one method."""
    scores = aggregate.common_tasks(comparison.scores)
    methods = sorted(scores["method"].unique())
    pairs = list(itertools.combinations(methods, 2)) if baseline is None else [(m, baseline) for m in methods if m != baseline]
    if not pairs:
        raise UserError(f"figure 'improvement' compares two methods; the scores hold only {', '.join(methods)}")
    estimates = aggregate.improvements(scores, pairs, reps=comparison.reps)
    data = estimate_table(estimates)
    data.insert(0, "first", [first for first, _ in pairs])
    data.insert(1, "second", [second for _, second in pairs])
    colors = {row.method: comparison.styles_of([row.first])[row.first].color for row in data.itertuples()}
    with drawing_style("improvement"):
        figure = new_figure(7.0, 1.0 + 0.3 * len(pairs))
        axes = figure.subplots()
        interval_rows(axes, data, colors)
        axes.axvline(0.5, color=INK, linewidth=1.0, linestyle="--")
        axes.set_xlim(-0.02, 1.02)
        axes.set_yticks(range(len(pairs)), [comparison.label(first) for first, _ in pairs])
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(pairs)), [comparison.label(second) for _, second in pairs])
        right.tick_params(length=0)
        right.spines["right"].set_color(RULE)
        axes.set_title("X", loc="left")
        axes.set_title("Y", loc="right")
        axes.set_xlabel("P(X > Y): a run of X beats a run of Y on the same task")
    return Drawing(
        name="improvement",
        title="Probability of improvement",
        figure=figure,
        data=data,
        caption=f"Probability of improvement, {comparison.title} at {comparison.budget}. Black stroke: point; bar: 95% "
        f"interval (stratified bootstrap, {comparison.reps:,} resamples); dashed: neither is better. A description, not "
        f"a test of equality; {tasks_in_words(scores)}, {seeds_in_words(scores)}.{comparison.left_out}",
    )
