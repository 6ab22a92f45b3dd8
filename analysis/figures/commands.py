"""`figure`, `report` and `leaderboard` as commands; everything heavy is imported when one of them runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

FigureName = Literal[
    "fig4", "fig6", "fig7", "fig8", "fig9", "fig10", "fig11", "fig12",
    "aggregates", "profiles", "improvement", "difference", "efficiency", "curves",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Write the report of runs: one self-contained HTML page, its figures as SVG and PNG, and the data behind them."""

    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files, side by side."""
    out: Path = Path("report")
    """Folder of the report."""
    reps: int = 50_000
    """Bootstrap resamples."""

    def run(self) -> int:
        from analysis.report import build

        summary = build.build(self.scores, self.out, reps=self.reps)
        _print_summary(summary)
        print(f"report: {self.out / 'index.html'}")
        return 0


@dataclass(frozen=True, kw_only=True)
class FigureCommand:
    """Draw one figure: SVG, PNG and the CSV it plots."""

    name: tyro.conf.Positional[FigureName]
    """Which figure: those of the Dreamer paper by number, or by what they show."""
    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files, side by side."""
    references: tuple[str, ...] = ()
    """Whose final scores are drawn as lines (curves, fig7, fig9, fig10): dreamer-2020-appendix-g, or a score file,
    FILE:method,method for some of it."""
    out: Path = Path("figures")
    """Folder of the three files."""
    protocol: str | None = None
    """Which protocol's runs, where the folders hold several."""
    methods: tuple[str, ...] = ()
    """Only these methods."""
    tasks: tuple[str, ...] = ()
    """Only these tasks."""
    at: int | None = None
    """Budget in env steps to compare at; the protocol's by default."""
    window: int = 0
    """Mean of the scores in the last so many env steps before the budget."""
    short: Literal["drop", "carry", "fail"] = "drop"
    """Runs that stop before the budget: leave them out and say so, carry their last score forward, or refuse."""
    normalize: Literal["none", "dmc", "atari-human", "atari-record"] | None = None
    """Normalisation of the aggregates; the one that fits the tasks by default."""
    reps: int = 50_000
    """Bootstrap resamples."""

    def run(self) -> int:
        from analysis.figures import catalog, drawing
        from analysis.figures.gather import gather

        subject = gather(
            self.scores, several_protocols=self.name == "fig12", protocol=self.protocol, methods=self.methods, tasks=self.tasks,
            at=self.at, window=self.window, short=self.short, normalization=self.normalize, reps=self.reps,
        )  # fmt: skip
        drawn = catalog.draw(self.name, subject, reference_names=self.references)
        for path in drawing.save(drawn, self.out):
            print(path)
        for row in subject.selection.left_out.itertuples():
            print(f"left out: {row.method}, {row.task}, seed {row.seed} stops at {row.env_steps:,} env steps")
        print(drawn.caption)
        return 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardAdd:
    """Check a submission and copy it to the leaderboard's folder; exit code 4 when it does not pass."""

    submission: tyro.conf.Positional[Path]
    """Folder with card.json and runs/ (or scores/, for published scores)."""
    to: Path
    """Folder of the leaderboard."""

    def run(self) -> int:
        from analysis.leaderboard import submissions

        print(f"added: {submissions.add(self.submission, self.to)}")
        return 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardBuild:
    """Write the static site of a leaderboard's folder; exit code 4 when a record was changed since it was added."""

    folder: tyro.conf.Positional[Path]
    """Folder that `leaderboard add` filled."""
    out: Path = Path("site")
    """Folder of the site."""
    reps: int = 20_000
    """Bootstrap resamples."""

    def run(self) -> int:
        from analysis.leaderboard import site

        files = site.build(self.folder, self.out, reps=self.reps)
        print(f"{len(files)} files; open {self.out / 'index.html'}")
        return 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardCommand:
    """Keep a leaderboard: add checked submissions, build its static site."""

    action: Annotated[
        Annotated[LeaderboardAdd, tyro.conf.subcommand("add")] | Annotated[LeaderboardBuild, tyro.conf.subcommand("build")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        return self.action.run()


def _print_summary(summary: dict[str, Any]) -> None:
    """The result as a table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    from analysis.figures.style import number

    console = Console()
    for section in summary["sections"]:
        table = Table(title=section["title"], title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name, justify in (("method", "left"), ("mean score", "right"), ("95% interval", "right"), ("to random", "right"),
                              ("95% interval", "right"), ("runs", "right")):  # fmt: skip
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        gaps = {row["of"]: row for row in section.get("differences", [])}
        for row in sorted(section.get("means", []), key=lambda row: -row["point"]):
            gap = gaps.get(row["method"])
            table.add_row(
                section["labels"][row["method"]], number(row["point"]), _ends(row), number(gap["point"]) if gap else "",
                _ends(gap) if gap else "", str(row["runs"]),
            )  # fmt: skip
        if table.row_count:
            console.print(table)
        for warning in section["warnings"]:
            console.print(f"note: {warning}", markup=False, highlight=False, soft_wrap=True)


def _ends(row: dict[str, Any]) -> str:
    from analysis.figures.style import number

    return "" if row["low"] is None else f"[{number(row['low'])}, {number(row['high'])}]"


COMMANDS: dict[str, Any] = {"figure": FigureCommand, "report": ReportCommand, "leaderboard": LeaderboardCommand}
