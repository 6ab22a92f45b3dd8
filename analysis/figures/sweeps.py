"""Figure 4: the final score against the horizon of an agent."""

from __future__ import annotations

import math
import re

import seaborn as sns

from analysis.figures.comparison import Comparison, seeds_in_words
from analysis.figures.drawing import Drawing, drawing_style
from analysis.figures.intervals import task_estimates
from analysis.figures.layout import label_bottom, legend_below, panels
from analysis.figures.style import styles_of, task_label
from dreamer_bench_base import UserError

HORIZON_OPTIONS = ("planner_horizon", "horizon")
"""Options with the horizon in agent steps: of PlaNet's planner, and of the imagination of the other agents."""


def horizon_of(comparison: Comparison, method: str) -> tuple[str, int] | None:
    """The agent and its horizon, from the run's overrides or a name like "dreamer horizon=20"; None if more options are set."""
    changed = dict(comparison.overrides.get(method, {}))
    agent = method.split("+")[0]
    if not changed:
        spelled = re.fullmatch(r"(.+?)[ _]+(?:planner_)?horizon[= _](\d+)", method)
        return (spelled[1], int(spelled[2])) if spelled else None
    key = next((option for option in HORIZON_OPTIONS if option in changed), None)
    if key is None or len(changed) > 1:
        return None
    return agent, int(changed[key])


def _own_horizon(comparison: Comparison, agent: str) -> int | None:
    """The horizon of an agent without overrides, whose runs are one point of its line."""
    options = comparison.own_options.get(agent, {})
    key = next((option for option in HORIZON_OPTIONS if option in options), None)
    return None if key is None else int(options[key])


def fig4(comparison: Comparison) -> Drawing:
    """Final score against the horizon, one panel per task and one line per agent."""
    lengths = {method: found for method in comparison.methods if (found := horizon_of(comparison, method))}
    swept = {agent for agent, _ in lengths.values()}
    lengths |= {agent: (agent, own) for agent in swept if (own := _own_horizon(comparison, agent)) is not None}
    if not lengths:
        raise UserError(
            "figure 'fig4' needs runs whose overrides set horizon or planner_horizon alone (`run figure-4`), "
            f"or methods named like 'dreamer horizon=20'; these scores hold {', '.join(comparison.methods)}"
        )
    scores = comparison.scores[comparison.scores["method"].isin(lengths)]
    data = task_estimates(scores, comparison.reps)
    data.insert(0, "agent", [lengths[method][0] for method in data["method"]])
    data.insert(1, "horizon", [lengths[method][1] for method in data["method"]])
    data = data.sort_values(["task", "agent", "horizon"], ignore_index=True)
    agents, tasks = sorted(data["agent"].unique()), sorted(data["task"].unique())
    styles = styles_of(agents)
    ticks = sorted(data["horizon"].unique())
    with drawing_style("fig4"):
        figure, every = panels(len(tasks), size=(2.5, 2.1))
        for axes, task in zip(every, tasks):
            for index, agent in enumerate(agents):
                mine = data[(data["task"] == task) & (data["agent"] == agent)]
                # intervals of several agents at one horizon are side by side instead of on top of each other
                place = mine["horizon"] + (index - (len(agents) - 1) / 2) * 0.012 * (ticks[-1] - ticks[0] or 1)
                low = [0.0 if math.isnan(row.low) else row.point - row.low for row in mine.itertuples()]
                high = [0.0 if math.isnan(row.high) else row.high - row.point for row in mine.itertuples()]
                sns.pointplot(
                    x=place,
                    y=mine["point"],
                    native_scale=True,
                    errorbar=None,  # we draw our own intervals, which are stratified and have a fixed seed
                    color=styles[agent].color,
                    markers=styles[agent].marker,
                    linestyles=styles[agent].line,
                    linewidth=1.6,
                    markersize=5,
                    label=agent,
                    legend=False,
                    ax=axes,
                )
                axes.errorbar(
                    place, mine["point"], yerr=[low, high], color=styles[agent].color, fmt="none", capsize=2, elinewidth=0.9
                )
            axes.set(xlabel="", ylabel="")
            axes.set_title(task_label(task), loc="left")
            axes.set_xticks(ticks)
            if comparison.normalization == "dmc":
                axes.set_ylim(-20, 1020)
        label_bottom(every, "horizon (agent steps)")
        figure.supylabel("score (episode return)", fontsize=9)
        legend_below(figure, every[0])
    return Drawing(
        name="fig4",
        title="Score against the horizon",
        figure=figure,
        data=data,
        caption=f"Final score against the imagination horizon (for PlaNet: the planner's), {comparison.title} at "
        f"{comparison.budget} ({comparison.selection.rule}). Mean over seeds with 95% interval "
        f"(stratified bootstrap, {comparison.reps:,} resamples); {seeds_in_words(scores)}.",
    )
