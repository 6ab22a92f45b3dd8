"""Sample efficiency: the aggregate score against env_steps, and against device hours if records have times."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analysis.figures.comparison import Comparison, seeds_in_words, tasks_in_words
from analysis.figures.drawing import Drawing, drawing_style, new_figure
from analysis.figures.intervals import axis_label
from analysis.figures.layout import env_steps_axis, legend_below
from analysis.statistics import aggregate
from analysis.statistics import curves as curve_data
from dreamer_bench_processes import in_order

BAND_REPS = 10_000
"""Most resamples of a band. 100 points of each method and axis are resampled, and between two sets of 10,000 resamples an end
of a 95% band moves by 3% of the scores' standard error."""


MANY_ROWS = 100_000
"""With so many evaluations each axis takes seconds, and is worth a process of its own."""


def _curve(table: pd.DataFrame, normalization: str, reps: int, axis: curve_data.Axis) -> pd.DataFrame:
    return curve_data.efficiency(table, normalization=normalization, axis=axis, reps=reps).assign(axis=axis)


def efficiency(comparison: Comparison) -> Drawing:
    """IQM with its 95% band against env_steps, and beside it against device hours if any record has them."""
    table = comparison.complete
    table = aggregate.common_tasks(table[~table["final"].astype(bool)])
    reps = min(comparison.reps, BAND_REPS)
    axes_names: list[curve_data.Axis] = ["env_steps"]
    if table["device_seconds"].notna().any():
        axes_names.append("device_hours")
    curve = partial(_curve, table, comparison.normalization, reps)
    least = 1 if len(table) >= MANY_ROWS else len(axes_names) + 1
    data = pd.concat(in_order(curve, axes_names, least=least), ignore_index=True)
    methods = sorted(data["method"].unique())
    styles = comparison.styles_of(methods)
    with drawing_style("efficiency"):
        figure = new_figure(7.0 if len(axes_names) == 1 else 9.5, 4.0)
        every = figure.subplots(1, len(axes_names), sharey=True, squeeze=False)[0]
        for axes, axis in zip(every, axes_names):
            for method in methods:
                mine = data[(data["method"] == method) & (data["axis"] == axis)]
                if mine.empty:
                    continue
                own = styles[method]
                axes.fill_between(mine["x"], mine["low"], mine["high"], color=own.color, alpha=0.18, linewidth=0)
                axes.plot(
                    mine["x"],
                    mine["point"],
                    color=own.color,
                    linestyle=own.line,
                    marker=own.marker,
                    markevery=max(1, len(mine) // 8),
                    label=comparison.label(method),
                )
            if axis == "env_steps":
                env_steps_axis(axes, most=6 // len(axes_names) + 1)
            axes.set_xlabel("env steps" if axis == "env_steps" else "device hours per run")
            axes.margins(x=0.02)
        every[0].set_ylabel(f"IQM, {axis_label(comparison)}")
        legend_below(figure, every[0])
    hours = " and against device hours" if len(axes_names) > 1 else ""
    return Drawing(
        name="efficiency",
        title="Sample efficiency",
        figure=figure,
        data=data,
        caption=f"Interquartile mean over runs and tasks against env steps{hours}, {comparison.title}. Bands: pointwise 95% "
        f"intervals, stratified bootstrap over whole runs ({reps:,} resamples); "
        f"{tasks_in_words(table)}, {seeds_in_words(table)}; budget {comparison.budget}; units {comparison.units}."
        f"{comparison.left_out}",
    )
