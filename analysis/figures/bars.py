"""Figure 6: final scores as bars, ours beside the published ones of Appendix G in another style."""

from __future__ import annotations

import math

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from analysis.figures.comparison import Comparison, seeds_in_words
from analysis.figures.drawing import Drawing, drawing_style
from analysis.figures.intervals import estimate_table, task_estimates
from analysis.figures.layout import legend_columns, panels, row_major
from analysis.figures.style import INK, MUTED, bar_number, short_count, task_label
from analysis.scores import references
from analysis.statistics import aggregate

PUBLISHED_ORDER = ("A3C", "D4PG", "PlaNet", "Dreamer")
GAP = 0.8
COMMON, OWN = "mean_common", "mean_own"
WHOLE_SET = 20


def _ours(comparison: Comparison) -> pd.DataFrame:
    """Our bars: one row per task and method, and the mean over the published tasks for methods that have all of them."""
    scores = comparison.scores
    per_task = task_estimates(scores, comparison.reps)
    published = comparison.published
    if published["task"].nunique() < WHOLE_SET:
        return per_task
    by_method = published.groupby("method")["task"].agg(set)
    means = {COMMON: set.intersection(*by_method), OWN: set.union(*by_method)}
    for panel, tasks in means.items():
        inside = scores[scores["task"].isin(tasks)]
        whole = [method for method, part in inside.groupby("method") if set(part["task"]) == tasks]
        inside = inside[inside["method"].isin(whole)]
        if whole:
            rows = estimate_table(aggregate.estimates(inside, metrics=["mean"], reps=comparison.reps, single_seed="omit"))
            per_task = pd.concat([per_task, rows.assign(task=panel)], ignore_index=True)
    return per_task


def bar_data(comparison: Comparison) -> pd.DataFrame:
    """All bars, with columns panel, method, origin, score, low, high, runs, tasks, env_steps, source."""
    ours = _ours(comparison).rename(columns={"task": "panel", "point": "score"})
    ours = ours.assign(origin="recorded", env_steps=comparison.selection.budget_env_steps, source=comparison.title)
    published = comparison.published.rename(columns={"task": "panel"}).assign(origin="published", tasks=1)
    parts = [ours, published]
    if comparison.published["task"].nunique() == WHOLE_SET:
        means = references.appendix_g_means().merge(
            comparison.published.groupby("method", as_index=False).agg(
                env_steps=("env_steps", "first"), source=("source", "first")
            ),
            on="method",
        )
        own = means.rename(columns={"mean": "score"}).assign(panel=OWN, origin="published")
        common_tasks = comparison.published.groupby("task")["method"].nunique().eq(len(PUBLISHED_ORDER)).sum()
        common = (
            means.drop(columns="mean")
            .rename(columns={"mean_common": "score"})
            .assign(panel=COMMON, origin="published", tasks=int(common_tasks))
        )
        parts += [own, common]
    columns = ["panel", "method", "origin", "score", "low", "high", "runs", "tasks", "env_steps", "source"]
    return pd.concat([part.reindex(columns=columns) for part in parts], ignore_index=True)


def _panel(
    axes: Axes,
    bars: pd.DataFrame,
    seeds: pd.DataFrame,
    colors: dict[str, str],
    *,
    published: list[str],
    roomy: bool,
    labels: dict[str, str],
) -> None:
    """Recorded bars (solid, every seed as a dot), a gap, published bars (hatched), and a cross for a value not reported."""
    position, ticks, names = 0.0, [], []
    dots: list[tuple[float, float]] = []
    for origin in ("recorded", "published"):
        rows = bars[bars["origin"] == origin]
        if origin == "published" and len(rows):
            rows = rows.set_index("method").reindex(published).rename_axis("method").reset_index()
            if position:
                axes.axvline(position + GAP / 2 - 0.5, color="#999999", linewidth=0.8, linestyle=":")
                position += GAP
        for row in rows.itertuples():
            recorded = origin == "recorded"
            if math.isnan(row.score):
                axes.annotate(
                    "×", (position, 0), xytext=(0, 1), textcoords="offset points", ha="center", color=MUTED, fontsize=8
                )
                position += 1
                continue
            axes.bar(
                position,
                row.score,
                width=0.82,
                color=colors[row.method] if recorded else "white",
                edgecolor=colors[row.method],
                hatch=None if recorded else "////",
                linewidth=1.0,
            )
            own = seeds[seeds["method"] == row.method]["score"] if recorded else pd.Series(dtype=float)
            if recorded and not math.isnan(row.low):
                outline = [withStroke(linewidth=3.2, foreground="white")]  # legible on a dark bar, too
                above = 4 if len(own) > 10 else 2  # so many dots would hide it
                axes.vlines(position, row.low, row.high, color=INK, linewidth=1.5, path_effects=outline, zorder=above)
            spread = [position + 0.26 * (index - (len(own) - 1) / 2) / max(len(own) - 1, 1) for index in range(len(own))]
            dots += zip(spread, own)
            if roomy:
                top = max([row.score, *own] + ([row.high] if recorded and not math.isnan(row.high) else []))
                axes.annotate(
                    bar_number(row.score), (position, top), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=8
                )
            ticks.append(position)
            names.append(labels.get(row.method, row.method) if recorded else row.method)
            position += 1
    if dots:
        places, values = zip(*dots)
        # not stripplot: it draws every place apart, which takes a third of the time of a figure of twenty panels
        sns.scatterplot(
            x=places, y=values, s=3.3**2, color="white", edgecolor=INK, linewidth=0.7, zorder=3, legend=False, ax=axes
        )
        axes.set(xlabel="", ylabel="")
    axes.set_xlim(-0.7, position - 0.3)
    axes.grid(axis="x", visible=False)
    axes.tick_params(axis="x", length=0)
    if roomy:
        axes.set_xticks(ticks, names)
        if len(names) > 7 or max(map(len, names)) > 10:
            axes.tick_params(axis="x", labelrotation=30)
            for text in axes.get_xticklabels():
                text.set_horizontalalignment("right")
                text.set_rotation_mode("anchor")
    else:
        axes.set_xticks([])


def fig6(comparison: Comparison) -> Drawing:
    """Bars per task and their mean, beside Appendix G."""
    data = bar_data(comparison)
    tasks = [task for task in sorted(data["panel"].unique()) if task not in (COMMON, OWN)]
    names = [*tasks, *(panel for panel in (COMMON, OWN) if panel in set(data["panel"]))]
    methods = sorted(data[data["origin"] == "recorded"]["method"].unique())
    in_the_table = set(data[data["origin"] == "published"]["method"])  # a user's method may be named "Dreamer", too
    published = [name for name in PUBLISHED_ORDER if name in in_the_table]
    colors = {name: chosen.color for name, chosen in comparison.styles_of([*methods, *published]).items()}
    labels = {method: comparison.label(method) for method in methods}
    roomy = len(names) <= 2
    common = int(data[data["panel"] == COMMON]["tasks"].max()) if COMMON in names else 0
    titles = {COMMON: f"Mean, common {common}", OWN: "Mean, own tasks"}
    with drawing_style("fig6"):
        figure, every = panels(
            len(names),
            columns=6,
            few=(4.8, 3.4) if roomy else (3.4, 2.6),
            size=(1.85, 1.6),
            legend_rows=0 if roomy else 2,
            single=(7.5, 3.9),
        )
        for axes, name in zip(every, names):
            _panel(
                axes,
                data[data["panel"] == name],
                comparison.scores[comparison.scores["task"] == name],
                colors,
                published=published,
                roomy=roomy,
                labels=labels,
            )
            axes.set_title(
                titles.get(name, task_label(name)),
                loc="left",
                fontsize=9 if roomy else 8,
                fontweight="bold" if name in titles else "normal",
            )
            if comparison.normalization == "dmc":
                axes.set_ylim(0, 1040)
        figure.supylabel("score (episode return)", fontsize=9)
        handles = [Patch(facecolor=colors[name], edgecolor=colors[name], label=labels[name]) for name in methods]
        handles += [
            Patch(facecolor="white", edgecolor=colors[name], hatch="////", label=f"{name} (published)") for name in published
        ]
        if not roomy:
            columns = legend_columns(len(handles))
            figure.legend(handles=row_major(handles, columns), loc="outside lower center", ncols=columns)
        elif published and methods:
            figure.legend(
                handles=[
                    Patch(facecolor=MUTED, label=f"recorded: {comparison.title}, {comparison.budget}"),
                    Patch(facecolor="white", edgecolor=MUTED, hatch="////", label="published: Appendix G"),
                ],
                loc="outside upper left",
                ncols=2,
            )
    return Drawing(
        name="fig6", title="Scores beside the published ones", figure=figure, data=data, caption=_caption(comparison, common)
    )


def _caption(comparison: Comparison, common: int) -> str:
    words = (
        f"Final scores. Solid: {comparison.title} at {comparison.budget} ({comparison.selection.rule}), mean with 95% interval "
        f"(stratified bootstrap, {comparison.reps:,} resamples), every seed a dot, {seeds_in_words(comparison.scores)}."
        f"{comparison.left_out}"
    )
    if comparison.published.empty:
        return words
    budgets = ", ".join(
        f"{name} {short_count(part['env_steps'].iloc[0])} env steps ({part['modality'].iloc[0]})"
        for name in PUBLISHED_ORDER
        if len(part := comparison.published[comparison.published["method"] == name])
    )
    words += (
        f" Hatched, apart: published numbers of another protocol, Hafner et al. 2020, Appendix G: {budgets}; "
        "no seeds or intervals were printed with them; ×: not reported."
    )
    if common:
        means = references.appendix_g_means().set_index("method")
        own = ", ".join(f"{name} {means.loc[name, 'mean']:.2f} of {means.loc[name, 'tasks']}" for name in PUBLISHED_ORDER)
        alike = ", ".join(f"{name} {means.loc[name, 'mean_common']:.2f}" for name in PUBLISHED_ORDER)
        words += (
            f" The printed means cover different task sets ({own} tasks: A3C and D4PG have no quadruped); "
            f"over the common {common}: {alike}."
        )
    return words
