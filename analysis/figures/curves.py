"""Learning curves, one panel per task, with every seed visible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter

from analysis.figures.comparison import Comparison, seeds_in_words
from analysis.figures.drawing import Drawing, drawing_style
from analysis.figures.layout import LEGEND_COLUMNS, env_steps_axis, label_bottom, legend_below, panels
from analysis.figures.style import Style, reference_styles, short_count, task_label
from analysis.statistics import curves as curve_data

FINEST_GRID = 120
"""Up to this many distinct evaluation times are drawn as they are; more are put on an even grid."""
CROWDED = 15
"""With at least this many lines in a panel, single seeds are drawn fainter."""


def own_grid(table: pd.DataFrame) -> np.ndarray | None:
    """The evaluation times themselves if they are few, so that every drawn point is a recorded one; else None."""
    times = np.sort(table["env_steps"].unique())
    return times.astype(float) if 1 <= len(times) <= FINEST_GRID else None


def draw_seeds(axes: Axes, seeds: pd.DataFrame, mean: pd.DataFrame, chosen: Style, label: str, *, crowded: bool) -> None:
    """One method in one panel: a thin line per seed, a thick one with markers for their mean."""
    lines = [one[["x", "score"]].to_numpy(float) for _, one in seeds.groupby("seed")]
    axes.add_collection(
        LineCollection(
            lines,
            colors=chosen.color,
            linewidths=0.45 if crowded else 0.7,
            alpha=0.25 if crowded else 0.45,
            capstyle="projecting",
        )
    )
    axes.plot(
        mean["x"],
        mean["mean"],
        color=chosen.color,
        linestyle=chosen.line,
        marker=chosen.marker,
        markevery=max(1, len(mean) // 8),
        markersize=4.5,
        label=label,
    )


def on_grid(table: pd.DataFrame) -> pd.DataFrame:
    """The curve of every run: method, task, seed, x, score; at its own evaluation times if they are few."""
    grid = own_grid(table)
    parts = []
    for _, part in table.groupby("method", sort=True):
        own = own_grid(part) if grid is None else grid[np.isin(grid, part["env_steps"].unique())]
        drawn = curve_data.learning_curves(part, grid=own)
        if own is not None:  # a run has no point at a time at which only others were evaluated
            ends = part.groupby(["task", "seed"])["env_steps"].max().rename("end").reset_index()
            drawn = drawn.merge(ends, on=["task", "seed"])
            drawn = drawn[drawn["x"] <= drawn["end"]].drop(columns="end")
        parts.append(drawn)
    return pd.concat(parts, ignore_index=True).dropna(subset=["score"])


def mean_curves(seeds: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The mean over the runs that count, where all of them have a score.

    A mean over the remaining runs would jump where one of them stops.
    """
    run = ["method", "task", "seed"]
    counted = set(comparison.scores[run].astype(str).itertuples(index=False, name=None))
    inside = pd.Series([key in counted for key in seeds[run].astype(str).itertuples(index=False, name=None)], index=seeds.index)
    any_counted = inside.groupby([seeds["method"], seeds["task"]]).transform("any")
    means = curve_data.task_curves(seeds[inside | ~any_counted])
    return means[means["seeds"] == means.groupby(["method", "task"])["seeds"].transform("max")]


def curves(
    comparison: Comparison,
    *,
    name: str = "curves",
    title: str = "Learning curves",
    methods: Sequence[str] | None = None,
    lines: pd.DataFrame | None = None,
    lines_note: str = "",
    styles: Mapping[str, Style] | None = None,
) -> Drawing:
    """Episode return against env_steps, one panel per task.

    methods  methods to draw, in this order; all by default
    lines    task, label, score: horizontal reference lines
    styles   styles that replace those of the methods
    """
    table = comparison.evaluations
    chosen = list(methods or comparison.methods)
    table = table[table["method"].isin(chosen)]
    tasks = sorted(table["task"].unique())
    seeds = on_grid(table)
    means = mean_curves(seeds, comparison)
    crowded = len(table[["method", "seed"]].drop_duplicates()) > CROWDED
    chosen_styles = {**comparison.styles_of(chosen), **(styles or {})}
    references = {} if lines is None else reference_styles(lines["label"])
    with drawing_style(name):
        figure, every = panels(len(tasks), legend_rows=math.ceil((len(chosen) + (lines is not None)) / LEGEND_COLUMNS))
        seeds_of, means_of = (dict(iter(data.groupby(["method", "task"]))) for data in (seeds, means))
        for axes, task in zip(every, tasks):
            for method in chosen:
                if (method, task) in means_of:
                    own, mine = seeds_of[method, task], means_of[method, task]
                    draw_seeds(axes, own, mine, chosen_styles[method], comparison.label(method), crowded=crowded)
            if lines is not None:
                for line in lines[lines["task"] == task].itertuples():
                    axes.axhline(
                        line.score,
                        color=references[line.label].color,
                        linestyle=references[line.label].line,
                        linewidth=1.3,
                        label=line.label,
                    )
            axes.set_title(task_label(task), loc="left")
            env_steps_axis(axes, most=6 if len(tasks) == 1 else 4)
            axes.margins(x=0.02)
            if abs(axes.dataLim.y1) >= 10_000:
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
            if comparison.normalization == "dmc" and len(tasks) > 1:
                axes.set_ylim(-20, 1020)
        label_bottom(every, "env steps")
        figure.supylabel("episode return", fontsize=9)
        fullest = max(every, key=lambda axes: len(axes.get_legend_handles_labels()[0]))
        legend_below(figure, fullest)
    note = f" {lines_note}" if lines_note else ""
    data = pd.concat(
        [
            seeds.assign(kind="seed").rename(columns={"x": "env_steps"}),
            means.rename(columns={"x": "env_steps", "mean": "score", "seeds": "n"}).assign(kind="mean"),
        ],
        ignore_index=True,
    )
    columns = ["kind", "method", "task", "seed", "env_steps", "score", "low", "high", "n"]
    return Drawing(
        name=name,
        title=title,
        figure=figure,
        data=data.reindex(columns=columns),
        caption=f"{title}, {comparison.title}. Episode return against simulator steps; thin lines: single seeds; thick: their "
        f"mean, where all of them have a score; {seeds_in_words(table)}; budget {comparison.budget}.{_short(comparison)}{note}",
    )


def _short(comparison: Comparison) -> str:
    return f" {comparison.short_runs} not in the mean." if comparison.short_runs else ""
