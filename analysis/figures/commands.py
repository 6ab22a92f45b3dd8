"""The command `figure`. Large packages are imported only when it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dreamer_bench_base import UserError

FigureName = Literal[
    "fig4", "fig6", "fig7", "fig8", "fig9", "fig10", "fig11", "fig12",
    "atari55", "aggregates", "profiles", "improvement", "difference", "efficiency", "curves", "joined",
]  # fmt: skip
Words = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]
"""Words whose default, none, the help text says itself."""


@dataclass(frozen=True, kw_only=True)
class FigureCommand:
    """Draw one figure as SVG and PNG, with the CSV it plots."""

    name: tyro.conf.Positional[FigureName]
    """Figure, by its number in the Dreamer paper or by what it shows."""
    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files to compare."""
    references: Words = ()
    """Final scores to draw as lines (curves, fig7, fig9, fig10): dreamer-2020-appendix-g, a score file, or
    FILE:method,method for some of its methods."""
    out: Path = Path("figures")
    """Folder to write to."""
    protocol: str | None = None
    """Protocol whose runs to draw, if the folders hold several: an id, or a file of your own."""
    methods: Words = ()
    """Methods to draw (default: all)."""
    tasks: Words = ()
    """Tasks to draw (default: all)."""
    at: int | None = None
    """Budget in env_steps to compare at (default: the protocol's)."""
    window: int = 0
    """Average the scores of this many env_steps before the budget; 0 takes the last evaluation."""
    short: Literal["drop", "carry", "fail"] = "drop"
    """Runs that end before the budget: drop them and say so, carry their last score forward, or fail."""
    normalize: Literal[
        "none", "dmc", "atari-human", "atari-record", "atari-gamer", "atari-gamer-record", "atari-gamer-clipped",
        "small-control",
    ] | None = None  # fmt: skip
    """Units of the aggregates (default: those of the tasks' suite)."""
    reps: int = 50_000
    """Bootstrap resamples."""
    own_tasks: Words = ()
    """Names or patterns of your own tasks in score files; other unknown names are refused."""

    def run(self) -> int:
        from analysis.figures import catalog, drawing
        from analysis.figures.gather import gather

        if self.name in catalog.FROM_RUNS:
            return self._from_runs()
        subject = gather(
            self.scores,
            several_protocols=self.name == "fig12",
            protocol=self.protocol,
            methods=self.methods,
            tasks=self.tasks,
            at=self.at,
            window=self.window,
            short=self.short,
            normalization=self.normalize,
            reps=self.reps,
            own_tasks=self.own_tasks,
        )
        drawn = catalog.draw(self.name, subject, reference_names=self.references)
        for path in drawing.save(drawn, self.out):
            print(path)
        for row in subject.selection.left_out.itertuples():
            lacks = subject.selection.lacking(row.env_steps)
            verb = f"has no {lacks}, and ends" if lacks else "stops"
            print(f"left out: {row.method}, {row.task}, seed {row.seed} {verb} at {row.env_steps:,} env steps")
        for note in subject.notes:
            print(f"note: {note}", file=sys.stderr)
        print(drawn.caption)
        return 0

    def _from_runs(self) -> int:
        """Draws a figure that combines protocols. It refuses options that have a meaning only under one protocol."""
        from analysis.figures import catalog, drawing

        for given in fields(self):
            if given.name not in FOR_ALL and getattr(self, given.name) != given.default:
                option = f"--{given.name.replace('_', '-')}"
                raise UserError(f"{option} does not apply to figure {self.name!r}, which reads complete runs; leave it out")
        drawn, notes = catalog.FROM_RUNS[self.name](self.scores, methods=self.methods, tasks=self.tasks, reps=self.reps)
        for path in drawing.save(drawn, self.out):
            print(path)
        for note in notes:
            print(note)
        print(drawn.caption)
        return 0


FOR_ALL = ("name", "scores", "out", "methods", "tasks", "reps")
"""Options that every figure accepts."""

COMMANDS = {"figure": FigureCommand}
