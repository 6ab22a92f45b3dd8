"""The commands `import`, `export`, `aggregate` and `verify`; the other folders have their own `commands.py`.

At the top level it imports only the standard library and tyro, so that `--help` stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from analysis.figures.commands import COMMANDS as FIGURE
from analysis.figures.commands import Words
from analysis.report.commands import COMMANDS as REPORT
from analysis.scores.import_options import Options

Normalization = Literal[
    "auto", "none", "dmc", "atari-human", "atari-record", "atari-gamer", "atari-gamer-record", "atari-gamer-clipped",
    "small-control",
]  # fmt: skip
Short = Literal["fail", "drop", "carry"]


@dataclass(frozen=True, kw_only=True)
class ImportCommand(Options):
    """Turn score files of other projects into one tidy CSV (method, task, seed, env_step, score, and other known columns).

    Resolves task names, converts steps, and reports repeated points, missing points and assumptions. Writes nothing if a file
    has an error. docs/importing.md has a command for each format.
    """

    format: tyro.conf.Positional[
        Literal[
            "auto", "tidy", "danijar", "marl-eval", "dopamine", "atari-100k", "tdmpc2", "drqv2", "slac", "csv-log",
            "json-lines", "monitor", "evaluations", "wandb", "tensorboard", "rliable",
        ]
    ]  # fmt: skip
    """Format of the files; auto recognises each by its content."""
    files: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help_behavior_hint="(required)")]
    """Score files, gzip or plain; with --pattern also folders."""
    out: Path
    """File to write, for example scores.csv.gz."""
    own_tasks: Words = ()
    """Names or patterns ("minigrid_*") of your own tasks; other unknown names are refused."""

    def run(self) -> int:
        from analysis.scores.exchange import import_files

        return import_files(self)


@dataclass(frozen=True, kw_only=True)
class ExportCommand:
    """Write scores in a format that other tools read: rliable (npz of [runs, tasks] per method), tidy CSV, danijar JSON,
    marl-eval JSON."""

    format: tyro.conf.Positional[Literal["rliable", "tidy", "danijar", "marl-eval"]]
    """Format to write."""
    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files."""
    out: Path
    """File to write."""
    protocol: str | None = None
    """Read only records of this protocol: an id, or a file of your own."""
    at: int | None = None
    """rliable: budget in env_steps at which each run becomes one score."""
    window: int = 0
    """rliable: mean of the scores in the last env_steps before the budget; 0: the last evaluation."""
    short: Short = "fail"
    """rliable: runs that end before the budget: fail, drop them, or carry their last score forward."""
    normalize: Normalization = "none"
    """rliable: normalise the scores."""
    methods: Words = ()
    """Methods to write (default: all)."""
    tasks: Words = ()
    """Tasks to write, or patterns such as "dmc_walker_*" (default: all)."""
    own_tasks: Words = ()
    """Names or patterns of your own tasks in score files; other unknown names are refused."""

    def run(self) -> int:
        from analysis.scores.exchange import export_scores

        return export_scores(self)


@dataclass(frozen=True, kw_only=True)
class AggregateCommand:
    """Print IQM, median, mean and optimality gap per method, with stratified bootstrap intervals."""

    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files to compare."""
    metrics: tuple[Literal["iqm", "median", "mean", "optimality-gap"], ...] = ("iqm", "median", "mean", "optimality-gap")
    """Aggregates to print."""
    protocol: str | None = None
    """Read only records of this protocol: an id, or a file of your own."""
    methods: Words = ()
    """Methods to compare (default: all)."""
    tasks: Words = ()
    """Tasks to compare on, or patterns such as "dmc_walker_*" (default: all)."""
    common: bool = False
    """Compare on the tasks that every method has (default: refuse if one is missing)."""
    at: int | None = None
    """Budget in env_steps to compare at (default: the protocol's)."""
    window: int = 0
    """Average the scores of this many env_steps before the budget; 0 takes the last evaluation."""
    short: Short = "fail"
    """Runs that end before the budget: fail, drop them (and list them), or carry their last scores forward."""
    normalize: Normalization = "auto"
    """Units; auto takes those of the tasks' suite."""
    reps: int = 50_000
    """Bootstrap resamples."""
    improvement: bool = False
    """Also print the probability of improvement for every pair of methods."""
    profiles: bool = False
    """Also print performance profiles: the share of runs above each score."""
    efficiency: bool = False
    """Also print the IQM against env_steps."""
    engine: Literal["ours", "rliable"] = "ours"
    """Code that computes the aggregates: ours, or rliable itself (then also print the largest difference to ours)."""
    json: bool = False
    """Print JSON with all digits instead of a table."""
    own_tasks: Words = ()
    """Names or patterns of your own tasks in score files; other unknown names are refused."""

    def run(self) -> int:
        from analysis.statistics.aggregate_table import aggregate_scores

        return aggregate_scores(self)


@dataclass(frozen=True, kw_only=True)
class VerifyCommand:
    """Test whether runs reproduce a reference: equivalence of suite means (two one-sided t-tests) and a task profile test.

    Exit codes: 0 reproduced, 1 not reproduced, 2 wrong use, 3 inconclusive, 4 invalid or incomplete data, 5 a bug. With 0, 1, 3
    and 4 it writes verdict.json; with 2 and 5 there is no verdict, and the file stays unchanged.
    """

    scores: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Runs folders and score files of the method to test."""
    reference: str
    """Reference: a built-in name (dreamer-2020-appendix-g), a score file, or a runs folder."""
    method: str | None = None
    """Method to test, if the scores have several."""
    reference_method: str | None = None
    """Method of the reference, if it has several."""
    protocol: str | None = None
    """Protocol that sets budget, score rule, units and margin: an id, or a file of your own (default: that of the runs)."""
    tasks: Words = ()
    """Tasks to compare on, or patterns such as "dmc_walker_*" (default: all)."""
    at: int | None = None
    """Budget in env_steps to compare at (default: the protocol's)."""
    window: int = 0
    """Average the scores of this many env_steps before the budget; 0 takes the last evaluation."""
    normalize: Normalization = "auto"
    """Units; auto takes the protocol's, or those of the tasks' suite."""
    margin: float | None = None
    """Equivalence margin in normalised units (default: the protocol's). Recorded as set by hand."""
    reference_short: Short = "fail"
    """Reference runs that end before the budget: fail, drop them, or carry their last score forward."""
    json: Path = Path("verdict.json")
    """File for the verdict; it also counts the interim analyses."""
    junit: Path | None = None
    """Also write a JUnit XML file."""
    inconclusive: Literal["fail", "pass"] = "fail"
    """Exit code of an inconclusive verdict: 3 (fail) or 0 (pass)."""
    non_inferior: bool = False
    """Test non-inferiority: the method is not worse than the reference by more than the margin."""
    improves: bool = False
    """Test superiority: a run of the method beats a run of the reference more often than not."""
    allow_better: bool = False
    """Accept a method that is better than the reference."""
    profile: Literal["fail", "warn"] = "fail"
    """If the means agree but single tasks differ in opposite directions: fail, or warn."""
    per_task: bool = False
    """Also print the table per task; it does not decide."""
    interim: Annotated[int | None, tyro.conf.arg(aliases=["--look"])] = None
    """Number of this interim analysis (1 is the first), if verdict.json is not kept between them."""
    own_tasks: Words = ()
    """Names or patterns of your own tasks in score files; other unknown names are refused."""

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
}
