"""One section of the report for the template: headings, cards, tables, figures, and the files beside the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from analysis.figures.drawing import Drawing, csv_text, png_bytes, rendered, svg_text

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
    drawings: list[tuple[Drawing, dict[str, Any]]] = field(default_factory=list)

    def add(self, heading: str, *paragraphs: str, **content: Any) -> None:
        anchor = re.sub(r"[^a-z0-9]+", "-", f"{self.anchor}-{heading}".lower()).strip("-")
        table = content.get("table") or {"columns": (), "rows": ()}
        wide = content.pop("wide", False) or _characters(table) > MOST_CHARACTERS or len(table["rows"]) > MOST_ROWS
        self.blocks.append({"heading": heading, "anchor": anchor, "paragraphs": paragraphs, "wide": wide, **content})

    def draw(self, drawing: Drawing, heading: str, *paragraphs: str, **content: Any) -> None:
        """Adds a figure to the page, and its SVG, PNG and CSV to the files; `render` makes the pictures."""
        path = f"{self.folder}{drawing.name}"
        self.files[f"{path}.csv"] = csv_text(drawing.data).encode()
        wide = drawing.figure.get_figwidth() > MOST_INCHES
        beside = {"csv": f"{path}.csv", "png": f"{path}.png"}
        self.add(heading, *paragraphs, caption=drawing.caption, wide=wide, stretch=wide, **beside, **content)
        self.drawings.append((drawing, self.blocks[-1]))

    def render(self) -> Section:
        """This section, with the pictures of what was drawn; the drawings are let go."""
        pictures = rendered([drawing for drawing, _ in self.drawings], partial(_pictures, f"{self.anchor}-"))
        for (drawing, block), (svg, png) in zip(self.drawings, pictures, strict=True):
            block["svg"] = svg
            self.files[f"{self.folder}{drawing.name}.svg"] = svg.encode()
            self.files[f"{self.folder}{drawing.name}.png"] = png
        self.drawings.clear()
        return self


def _characters(table: Mapping[str, Any]) -> int:
    """Characters of a row in which every column is as wide as its longest text, with three between columns."""
    lines = [table["columns"], *table["rows"]]
    widths = [max(len(cell.get(key, "")) for cell in column for key in ("text", "interval")) for column in zip(*lines)]
    return sum(widths) + 3 * len(widths)


def _pictures(prefix: str, drawing: Drawing) -> tuple[str, bytes]:
    return svg_text(drawing, prefix=prefix), png_bytes(drawing)
