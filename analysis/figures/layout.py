"""Layout of figures with several panels: the panels, their axes, and a legend below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.figures.drawing import new_figure
from analysis.figures.style import short_count

MOST_LARGE = 28
"""With more panels than this they are smaller, so that the 55 games of Atari fit on a page."""
LEGEND_COLUMNS = 5


def panels(
    count: int,
    *,
    single: tuple[float, float] = (7.0, 3.6),
    columns: int = 4,
    few: tuple[float, float] = (3.4, 2.6),
    size: tuple[float, float] = (2.5, 1.9),
    legend_rows: int = 1,
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, and room for a legend below. Inches of a panel: `few` of two or three, `size` of more."""
    if count == 1:
        figure = new_figure(single[0], single[1] + 0.22 * legend_rows)
        return figure, [figure.subplots()]
    columns = min(columns if count <= MOST_LARGE else 7, count)
    rows = math.ceil(count / columns)
    width, height = few if count <= 3 else size if count <= MOST_LARGE else (1.75, 1.5)
    figure = new_figure(max(width * columns, 6.0), height * rows + 0.3 + 0.22 * legend_rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    every = list(grid.flat)
    for unused in every[count:]:
        unused.remove()
    return figure, every[:count]


def env_steps_axis(axes: Axes, *, most: int = 4) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))


def label_bottom(every: Sequence[Axes], text: str) -> None:
    """An x label below the lowest panel of every column (a legend outside the axes would cover `supxlabel`)."""
    lowest: dict[int, Axes] = {}
    for axes in every:
        spec = axes.get_subplotspec()
        lowest[spec.colspan.start if spec else 0] = axes
    for axes in lowest.values():
        axes.set_xlabel(text)


def legend_columns(entries: int) -> int:
    """Number of columns for a legend whose rows are about equally long."""
    return math.ceil(entries / math.ceil(entries / LEGEND_COLUMNS)) if entries else 1


def row_major(entries: Sequence[Any], columns: int) -> list[Any]:
    """Legend entries in an order that reads along the rows, because matplotlib fills columns first."""
    return [entries[index] for column in range(columns) for index in range(column, len(entries), columns)]


def legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        unique = dict(zip(labels, handles))
        columns = legend_columns(len(unique))
        labels = row_major(list(unique), columns)
        figure.legend([unique[label] for label in labels], labels, loc="outside lower center", ncols=columns)
