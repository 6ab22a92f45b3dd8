"""The commands that read records: import, export, aggregate, verify; each other wing has a `commands.py` of its own.

Top level: standard library and tyro only, so that `--help` stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from analysis.figures.commands import COMMANDS as FIGURE
from analysis.leaderboard.commands import COMMANDS as LEADERBOARD
from analysis.report.commands import COMMANDS as REPORT

Normalization = Literal[
    "auto", "none", "dmc", "atari-human", "atari-record", "atari-gamer", "atari-gamer-record", "atari-gamer-clipped",
    "small-control",
]  # fmt: skip
Short = Literal["fail", "drop", "carry"]


@dataclass(frozen=True, kw_only=True)
class ImportCommand:
    """Turn score files of other projects into one tidy CSV (method,task,seed,env_step,score, and what else is known).

    Task names are resolved, steps converted, repeated and missing points named, assumptions noted. Nothing is written unless
    all files are good. The formats, with a command each: docs/importing.md.
    """

    format: tyro.conf.Positional[
        Literal[
            "auto", "tidy", "danijar", "marl-eval", "dopamine", "atari-100k", "tdmpc2", "drqv2", "slac", "csv-log",
            "json-lines", "monitor", "evaluations", "wandb", "tensorboard", "rliable",
        ]
    ]  # fmt: skip
    """Format of the files; "auto" recognises each by its content."""
    files: tyro.conf.Positional[tuple[Path, ...]]
    """Score files, gzip or plain; with --pattern also folders."""
    out: Path
    """File to write, for example scores.csv.gz."""
    method: str | None = None
    """Method name to use instead of the file's own."""
    task: str | None = None
    """Task to use instead of the file's own."""
    seed: str | None = None
    """Seed to use instead of the file's own."""
    pattern: str | None = None
    """Where the paths say method, task and seed, for example "{method}/{task}/seed-{seed}/*.csv"."""
    protocol: str | None = None
    """Protocol id to file the points under; only where they really followed it."""
    unit: Literal["env_steps", "frames", "agent_steps"] | None = None
    """What the step column counts, whatever its name says; frames are simulator steps."""
    action_repeat: int | None = None
    """Simulator steps per agent step, to convert agent steps."""
    iteration_steps: int | None = None
    """Steps per iteration, for files that count iterations (Dopamine)."""
    at: int | None = None
    """Simulator steps at which the scores were reached, for files without steps (Atari-100k, rliable)."""
    score: str | None = None
    """Column, key or tag of the returns, where it has no usual name."""
    step: str | None = None
    """Column or key of the steps, where it has no usual name."""
    suite: str | None = None
    """Prefix of the tasks of another package."""
    own_tasks: tuple[str, ...] = ()
    """Names or patterns ("minigrid_*") of tasks that are your own; any other unknown name is refused."""
    nulls: Literal["fail", "drop"] = "fail"
    """Points without a score: name the first one, or leave them out and say how many."""

    def run(self) -> int:
        from analysis.scores.exchange import import_files

        return import_files(self)


@dataclass(frozen=True, kw_only=True)
class ExportCommand:
    """Write scores in a format that other tools read: rliable (npz of [runs, tasks] per method), tidy CSV, danijar JSON,
    marl-eval JSON."""

    format: tyro.conf.Positional[Literal["rliable", "tidy", "danijar", "marl-eval"]]
    """Format to write."""
    scores: tyro.conf.Positional[tuple[Path, ...]]
    """Runs folders and score files."""
    out: Path
    """File to write."""
    protocol: str | None = None
    """Only records of this protocol."""
    at: int | None = None
    """rliable: budget in env_steps at which each run becomes one score."""
    window: int = 0
    """rliable: mean of the scores in the last env_steps before the budget; 0: the last evaluation."""
    short: Short = "fail"
    """rliable: what to do with runs that stop short of the budget."""
    normalize: Normalization = "none"
    """rliable: normalise the scores."""
    own_tasks: tuple[str, ...] = ()
    """Names or patterns of tasks in score files that are your own; any other unknown name is refused."""

    def run(self) -> int:
        from analysis.scores.exchange import export_scores

        return export_scores(self)


@dataclass(frozen=True, kw_only=True)
class AggregateCommand:
    """IQM, median, mean and optimality gap per method with stratified-bootstrap intervals."""

    scores: tyro.conf.Positional[tuple[Path, ...]]
    """Runs folders and score files, side by side."""
    metrics: tuple[Literal["iqm", "median", "mean", "optimality-gap"], ...] = ("iqm", "median", "mean", "optimality-gap")
    """Aggregates to print."""
    protocol: str | None = None
    """Only records of this protocol."""
    methods: tuple[str, ...] = ()
    """Only these methods; all where none is named."""
    tasks: tuple[str, ...] = ()
    """Only these tasks; all where none is named."""
    common: bool = False
    """Compare on the tasks that every method has instead of refusing holes."""
    at: int | None = None
    """Budget in env_steps to compare at; the protocol's where there is one."""
    window: int = 0
    """Mean of the scores in the last env_steps before the budget; 0: the last evaluation."""
    short: Short = "fail"
    """Runs that stop short of the budget: refuse, leave out (listed), or carry their last scores forward."""
    normalize: Normalization = "auto"
    """Units; "auto" takes the one of the tasks' suite."""
    reps: int = 50_000
    """Bootstrap resamples."""
    improvement: bool = False
    """Also the probability of improvement of every pair of methods."""
    profiles: bool = False
    """Also performance profiles: the share of runs above each score."""
    efficiency: bool = False
    """Also the IQM along env_steps."""
    json: bool = False
    """Print JSON with all digits instead of a table."""
    own_tasks: tuple[str, ...] = ()
    """Names or patterns of tasks in score files that are your own; any other unknown name is refused."""

    def run(self) -> int:
        from analysis.statistics.aggregate_table import aggregate_scores

        return aggregate_scores(self)


@dataclass(frozen=True, kw_only=True)
class VerifyCommand:
    """Does a set of runs reproduce a reference? Equivalence of suite means by two one-sided t-tests, with a check of the
    profile.

    Exit codes: 0 reproduced, 1 not, 2 usage, 3 inconclusive, 4 invalid or incomplete data, 5 internal. verdict.json is
    always written.
    """

    scores: tyro.conf.Positional[tuple[Path, ...]]
    """Runs folders and score files of the method in question."""
    reference: str
    """A name that ships (dreamer-2020-appendix-g), a score file, or a runs folder."""
    method: str | None = None
    """Method in question, where the scores hold several."""
    reference_method: str | None = None
    """Method of the reference, where it holds several."""
    protocol: str | None = None
    """Protocol that fixes budget, score rule, units and margin; that of the runs where they have one."""
    tasks: tuple[str, ...] = ()
    """Only these tasks, on both sides."""
    at: int | None = None
    """Budget in env_steps to compare at, instead of the protocol's."""
    window: int = 0
    """Mean of the scores in the last env_steps before the budget; 0: the last evaluation."""
    normalize: Normalization = "auto"
    """Units; "auto" takes the protocol's, else the one of the tasks' suite."""
    margin: float | None = None
    """Equivalence margin in normalised units instead of the protocol's; recorded as chosen by hand."""
    reference_short: Short = "fail"
    """Reference runs that stop short of the budget."""
    json: Path = Path("verdict.json")
    """Where the verdict goes; the looks at one question are counted in it."""
    junit: Path | None = None
    """Also a JUnit XML file."""
    inconclusive: Literal["fail", "pass"] = "fail"
    """Exit code of an inconclusive verdict: 3, or 0."""
    non_inferior: bool = False
    """Ask only whether the method is not worse than the reference by more than the margin."""
    improves: bool = False
    """Ask whether a run of the method beats a run of the reference more often than not."""
    allow_better: bool = False
    """Let a method above the reference pass."""
    profile: Literal["fail", "warn"] = "fail"
    """Tasks that differ in opposite directions while the means agree: not reproduced, or a remark."""
    per_task: bool = False
    """Print the per-task table, too; it never decides."""
    look: int | None = None
    """Number of this look, where verdict.json is not kept between them."""
    own_tasks: tuple[str, ...] = ()
    """Names or patterns of tasks in score files that are your own; any other unknown name is refused."""

    def run(self) -> int:
        from analysis.verify.procedure import verify_scores

        return verify_scores(self)


COMMANDS: dict[str, Any] = {
    "import": ImportCommand,
    "export": ExportCommand,
    "aggregate": AggregateCommand,
    "verify": VerifyCommand,
    **FIGURE,
    **REPORT,
    **LEADERBOARD,
}
