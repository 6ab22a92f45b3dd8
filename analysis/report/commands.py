"""The command `report`. Large packages are imported only when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from analysis.figures.commands import Words


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Write a report: one self-contained HTML page, its figures as SVG and PNG, and the data behind them."""

    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files to compare."""
    out: Path = Path("report")
    """Folder to write to."""
    protocol: str | None = None
    """Report the records of this protocol only: an id, or a file of your own."""
    reps: int = 50_000
    """Bootstrap resamples."""
    own_tasks: Words = ()
    """Names or patterns of your own tasks in score files; other unknown names are refused."""

    def run(self) -> int:
        from analysis.report import build
        from analysis.scores import cures

        with cures.within(cures.options_of(self), "leave these scores out, or use `dreamer-bench aggregate`: {cure}"):
            summary = build.build(self.scores, self.out, protocol=self.protocol, reps=self.reps, own_tasks=self.own_tasks)
        _print_summary(summary)
        print(f"report: {self.out / 'index.html'}")
        return 0


def _print_summary(summary: dict[str, Any]) -> None:
    """Prints the result as a table on the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from analysis.figures.style import number

    console = Console()
    for section in summary["sections"]:
        table = Table(title=Text(section["title"]), title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name, justify in (
            ("method", "left"),
            ("mean score", "right"),
            ("95% interval", "right"),
            ("to random", "right"),
            ("95% interval", "right"),
            ("runs", "right"),
        ):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        digits = section.get("digits", 1)  # those of the page
        gaps = {row["of"]: row for row in section.get("differences", [])}
        for row in sorted(section.get("means", []), key=lambda row: -row["point"]):
            gap = gaps.get(row["method"])
            table.add_row(
                Text(section["labels"][row["method"]]),
                number(row["point"], digits),
                _ends(row, digits),
                number(gap["point"], digits) if gap else "",
                _ends(gap, digits) if gap else "",
                str(row["runs"]),
            )
        if table.row_count:
            console.print(table)
        for warning in section["warnings"]:
            console.print(f"note: {warning}", markup=False, highlight=False, soft_wrap=True)


def _ends(row: dict[str, Any], digits: int) -> str:
    from analysis.figures.style import number

    return "" if row["low"] is None else f"[{number(row['low'], digits)}, {number(row['high'], digits)}]"


COMMANDS = {"report": ReportCommand}
