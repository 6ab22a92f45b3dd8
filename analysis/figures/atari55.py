"""The 55 games at 200M frames, as in DreamerV2's Figure 1 and Table 1: our methods beside Rainbow, IQN and DreamerV2.

Left: every game, gamer-normalised. Right: the four aggregates. Published numbers are means without seeds or intervals.
"""

from __future__ import annotations

import pandas as pd

from analysis.figures.comparison import Comparison, seeds_in_words, tasks_in_words
from analysis.figures.drawing import Drawing, drawing_style, new_figure
from analysis.figures.style import INK, MUTED, task_label
from analysis.scores import normalize, references
from analysis.statistics.atari_aggregates import AGGREGATES, table_1
from dreamer_bench_base import UserError

LINEAR_UP_TO = 1.0
"""Gamer-normalised scores range from below 0 to above 100, so the axis is linear up to human level and logarithmic above it."""


PUBLISHED = {f"{method} (published)": method.lower().replace("v2", "_v2") for method in references.K1_METHODS}
"""Name of a method of Table K.1 in the figure -> the method whose style it gets."""


def _published(tasks: list[str]) -> pd.DataFrame:
    scores = references.table_k1_scores()
    return scores[scores["task"].isin(tasks)].assign(method=lambda rows: rows["method"] + " (published)")


def atari55(comparison: Comparison) -> Drawing:
    """Our scores (filled) and the published means (hollow) for every game, and their aggregates over the same games."""
    tasks = [task for task in references.table_k1()["task"] if task in set(comparison.scores["task"])]
    if not tasks:
        raise UserError("figure 'atari55' shows the games of DreamerV2's Table K.1; these scores hold none of them")
    ours = comparison.scores[comparison.scores["task"].isin(tasks)]
    whole = ours.groupby("method")["task"].nunique() == len(tasks)
    published = _published(tasks)
    means = pd.concat([ours.groupby(["method", "task"], as_index=False)["score"].mean(), published], ignore_index=True)
    games = normalize.normalize(means, "atari-gamer").rename(columns={"score": "value"}).merge(means, on=["method", "task"])
    aggregates = table_1(means[means["method"].isin([*whole[whole].index, *published["method"]])])
    long = aggregates.melt(id_vars=["method", "games"], value_vars=list(AGGREGATES), var_name="panel")
    seeds = ours.groupby("method")["seed"].nunique()
    data = pd.concat([games.assign(panel=games["task"], games=1), long], ignore_index=True)
    data = data.assign(
        origin=["published" if name in PUBLISHED else "recorded" for name in data["method"]],
        seeds=[seeds.get(name) for name in data["method"]],
    )[["panel", "method", "origin", "value", "score", "games", "seeds"]]

    methods = [*sorted(whole.index), *sorted(published["method"].unique())]
    known = {name: PUBLISHED.get(name, name) for name in methods}
    styles = comparison.styles_of(known.values())
    style = {name: styles[known[name]] for name in methods}
    order = games.groupby("task")["value"].max().sort_values().index.tolist()
    with drawing_style("atari55"):
        figure = new_figure(9.6, 0.165 * len(order) + 2.0)
        grid = figure.add_gridspec(len(AGGREGATES), 2, width_ratios=(1.7, 1))
        left = figure.add_subplot(grid[:, 0])
        for name in methods:
            rows = games[games["method"] == name]
            hollow = name in PUBLISHED
            left.scatter(
                rows["value"],
                [order.index(task) for task in rows["task"]],
                s=20,
                marker=style[name].marker,
                facecolor="none" if hollow else style[name].color,
                edgecolor=style[name].color,
                linewidth=0.9,
                label=name,
                zorder=2 if hollow else 3,
            )
        left.axvline(1.0, color=MUTED, linewidth=0.8, linestyle=":")
        left.set_xscale("symlog", linthresh=LINEAR_UP_TO)
        left.set_yticks(range(len(order)), [task_label(task).removeprefix("Atari ") for task in order])
        left.tick_params(axis="y", labelsize=6.5, length=0)
        left.set_ylim(-0.8, len(order) - 0.2)
        left.set_xlabel("gamer-normalised score (linear to 1, then logarithmic; dotted: human)")
        for number, panel in enumerate(AGGREGATES):
            axes = figure.add_subplot(grid[number, 1])
            rows = (
                long[long["panel"] == panel]
                .set_index("method")
                .reindex([name for name in methods if name in set(long["method"])])
            )
            for position, (name, value) in enumerate(rows["value"][::-1].items()):
                hollow = name in PUBLISHED
                axes.barh(
                    position,
                    value,
                    color="white" if hollow else style[name].color,
                    edgecolor=style[name].color,
                    hatch="////" if hollow else None,
                )
                axes.annotate(
                    f"{value:.3f}",
                    (max(value, 0.0), position),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7,
                    color=INK,
                )
            axes.set_yticks(range(len(rows)), list(rows.index[::-1]), fontsize=7)
            axes.set_title(panel, loc="left", fontsize=8)
            axes.margins(x=0.2)
            axes.grid(axis="y", visible=False)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(methods)))
    short = [name for name in whole.index if not whole[name]]
    caption = (
        f"{tasks_in_words(ours)} of {comparison.title} at {comparison.budget} ({comparison.selection.rule}), "
        f"{seeds_in_words(ours)}, seeds averaged before normalising, no intervals.{comparison.left_out} "
        f"Hollow and hatched: Table K.1 of Hafner et al. 2021 at 200M frames, means over seeds, printed without intervals. "
        f"Constants of that table ({normalize.find('atari-gamer').id}). Aggregates over the same {len(tasks)} games"
        + (f"; without {', '.join(short)}, which lack some." if short else ".")
    )
    return Drawing(name="atari55", title="Atari: 55 games", figure=figure, data=data, caption=caption)
