"""A drawn figure with its data and its caption, and how it is saved.

The theme is seaborn's "whitegrid" with our changes. Figures are made without pyplot: there is no global state and no window
system, and a figure is freed when nothing refers to it. FacetGrid is not used, because it makes its figure with pyplot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.figures.style import RC, THEME
from analysis.scores.columns import as_cells
from dreamer_bench_files import write_atomically
from dreamer_bench_processes import in_order

PNG_DOTS_PER_INCH = 200
MANY_PANELS = 40
"""So many take about a second; fewer are rendered here."""

Rendered = TypeVar("Rendered")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure.

    name     file stem: "fig6", "curves"
    title    a few words
    caption  what is drawn, from how many runs (n), at which budget, with which intervals
    data     every number in the figure, for the CSV
    """

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame


@contextmanager
def drawing_style(name: str) -> Iterator[None]:
    """seaborn's theme with our settings. The salt makes two drawings of one table equal to the byte."""
    with mpl.rc_context({**sns.axes_style("whitegrid", rc=THEME), **RC, "svg.hashsalt": name}):  # type: ignore[dict-item]
        yield


def new_figure(width_inches: float, height_inches: float) -> Figure:
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def svg_text(drawing: Drawing, *, prefix: str = "") -> str:
    """The figure as one SVG element for a page, with text as text and with its own ids.

    Without its own ids, a page would mix up the clip paths of two figures.
    """
    buffer = io.StringIO()
    with drawing_style(drawing.name):
        _lay_out(drawing.figure)
        FigureCanvasSVG(drawing.figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", prefix + drawing.name) + "--"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif")  # the first may not be installed
    label = drawing.title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def png_bytes(drawing: Drawing) -> bytes:
    buffer = io.BytesIO()
    with drawing_style(drawing.name):
        _lay_out(drawing.figure)
        drawing.figure.set_dpi(PNG_DOTS_PER_INCH)  # savefig would draw once more, to find out how large the figure is
        FigureCanvasAgg(drawing.figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def rendered(drawings: Sequence[Drawing], render: Callable[[Drawing], Rendered]) -> list[Rendered]:
    """`render` of each drawing, in a process per core where they hold as many panels as are worth it."""
    panels = sum(len(drawing.figure.axes) for drawing in drawings)
    largest_first = sorted(range(len(drawings)), key=lambda number: -len(drawings[number].figure.axes))
    found = in_order(render, [drawings[number] for number in largest_first], least=1 if panels >= MANY_PANELS else panels + 1)
    by_number = dict(zip(largest_first, found, strict=True))
    return [by_number[number] for number in range(len(drawings))]


def _lay_out(figure: Figure) -> None:
    """Computes the layout once. It takes a third of the time of a figure of 57 panels, which every format would repeat."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def csv_text(table: pd.DataFrame) -> str:
    return as_cells(table).to_csv(index=False, float_format="%.10g", lineterminator="\n")


def save(drawing: Drawing, folder: Path, *, svg: str | None = None) -> list[Path]:
    """Writes NAME.svg, NAME.png and NAME.csv, after rendering all of them. `svg`: the SVG, if already rendered."""
    contents = {
        ".svg": (svg or svg_text(drawing)).encode(),
        ".png": png_bytes(drawing),
        ".csv": csv_text(drawing.data).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, content in contents.items():
        path = folder / f"{drawing.name}{suffix}"
        write_atomically(path, content)
        paths.append(path)
    return paths
