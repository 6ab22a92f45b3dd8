"""One section of the report for the template: headings, cards, tables, figures, and the files beside the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from analysis.figures.drawing import Drawing, csv_text, png_bytes, svg_text
from dreamer_bench_base import InvalidData
from dreamer_bench_processes import in_order

MOST_CHARACTERS, MOST_ROWS, MOST_INCHES = 85, 20, 10.0
"""Largest table (characters of a row, rows) and figure (inches) in one column; a larger block takes both of a wide page."""


@dataclass
class Section:
    """One protocol (with one digest) on the page. `files`: name -> content beside the page; `summary`: its part of the JSON."""

    anchor: str
    title: str
    purpose: str = ""
    warnings: list[str] = field(default_factory=list)
    cards_title: str = ""
    cards: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    folder: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    headline: str = ""
    lead: list[str] = field(default_factory=list)
    drawings: list[_Wanted] = field(default_factory=list)

    def add(self, heading: str, *paragraphs: str, **content: Any) -> None:
        anchor = re.sub(r"[^a-z0-9]+", "-", f"{self.anchor}-{heading}".lower()).strip("-")
        table = content.get("table") or {"columns": (), "rows": ()}
        wide = content.pop("wide", False) or _characters(table) > MOST_CHARACTERS or len(table["rows"]) > MOST_ROWS
        self.blocks.append({"heading": heading, "anchor": anchor, "paragraphs": paragraphs, "wide": wide, **content})

    def draw(
        self,
        make: Callable[[], Drawing],
        heading: str,
        *paragraphs: str,
        first: bool = False,
        optional: bool = False,
        **content: Any,
    ) -> None:
        """Adds a figure to the page; `render` makes it, and its SVG, PNG and CSV.

        first     it takes long, and is begun before the others
        optional  left out if its numbers cannot be had (InvalidData)
        """
        self.add(heading, *paragraphs, **content)
        self.drawings.append(_Wanted(make, self.blocks[-1], first, optional))

    def render(self) -> Section:
        """This section with its figures, which are made in a process per core."""
        wanted = sorted(self.drawings, key=lambda one: not one.first)
        for one, made in zip(wanted, in_order(partial(_made, f"{self.anchor}-"), wanted, least=2), strict=True):
            if made is None:
                self.blocks[:] = [block for block in self.blocks if block is not one.block]
                continue
            path = f"{self.folder}{made.name}"
            one.block.update(svg=made.svg, caption=made.caption, csv=f"{path}.csv", png=f"{path}.png")
            one.block.update(wide=one.block["wide"] or made.wide, stretch=made.wide)
            self.files |= {f"{path}.csv": made.csv, f"{path}.svg": made.svg.encode(), f"{path}.png": made.png}
        self.drawings.clear()
        return self


class _Wanted(NamedTuple):
    """A figure to make, and its block on the page."""

    make: Callable[[], Drawing]
    block: dict[str, Any]
    first: bool
    optional: bool


class _Made(NamedTuple):
    """A figure as files, without the figure itself, so that a process can send it to another."""

    name: str
    caption: str
    wide: bool
    svg: str
    png: bytes
    csv: bytes


def _made(prefix: str, wanted: _Wanted) -> _Made | None:
    try:
        drawing = wanted.make()
    except InvalidData:
        if wanted.optional:
            return None
        raise
    return _Made(
        name=drawing.name,
        caption=drawing.caption,
        wide=drawing.figure.get_figwidth() > MOST_INCHES,
        svg=svg_text(drawing, prefix=prefix),
        png=png_bytes(drawing),
        csv=csv_text(drawing.data).encode(),
    )


def _characters(table: Mapping[str, Any]) -> int:
    """Characters of a row in which every column is as wide as its longest text, with three between columns."""
    lines = [table["columns"], *table["rows"]]
    widths = [max(len(cell.get(key, "")) for cell in column for key in ("text", "interval")) for column in zip(*lines)]
    return sum(widths) + 3 * len(widths)
