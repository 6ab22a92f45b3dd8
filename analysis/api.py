"""Records from Python and notebooks: the functions behind the command line, under the same names.

    from analysis import api

    points = api.load("runs")                      # every evaluation episode, one row each
    scores = api.scores(points)                    # one score per run, by the protocol's own rule
    api.aggregates(scores)                         # IQM, median and mean with 95% intervals
    api.figure("fig6", "runs")                     # a matplotlib Figure; "figures" saves it as SVG, PNG and CSV
    api.verdict("runs", reference="reference.csv", method="dreamer").status

Bad input raises `dreamer_bench_base.UserError`; its message is the line that the command prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from analysis.scores import normalize, per_run, table
from analysis.statistics import aggregate
from analysis.verify.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PathLike = str | Path


def load(*paths: PathLike, protocol: str | None = None, own_tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Every recorded point of runs folders and score files, one row each, sorted.

    Columns: protocol, method, task, seed (text), env_steps, episode, score (the undiscounted return), and further fields of the
    records. Runs that never count (cut with --limit, diverged without a rule for them) are left out.

    protocol   read only records of this id
    own_tasks  patterns of task names in score files that no suite has
    Raises UserError for a path that is neither, and InvalidData for damaged records and holes (NaN, a repeated point).
    """
    return table.read(paths, protocol=protocol, own_tasks=own_tasks)


def scores(
    points: pd.DataFrame,
    *,
    at: int | None = None,
    window: int = 0,
    short: Literal["drop", "carry", "fail"] = "fail",
    normalization: str | None = None,
) -> pd.DataFrame:
    """One row per (method, task, seed) with its `score`, in units of the normalization: 0 to 1 on DeepMind Control, raw returns
    with "none".

    at             budget in env_steps; by default the protocol's, with its score rule
    window         mean of the points in the last `window` env_steps before `at`; 0: the last evaluation
    short          runs that stop before the budget: "fail" refuses, "drop" leaves them out, "carry" takes their last points
    normalization  "none", "dmc", "atari-human", "atari-record", ...; by default the one for the tasks
    Raises InvalidData for a short run with "fail", and for tasks without constants of the normalization.
    """
    chosen = per_run.select(points, at=at, window=window, short=short).scores
    return normalize.normalize(chosen, normalization or normalize.for_tasks(chosen["task"].unique()))


def aggregates(
    scores: pd.DataFrame,
    *,
    metrics: Sequence[str] = ("iqm", "median", "mean"),
    reps: int = aggregate.REPS,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Point and stratified-bootstrap interval of each metric for each method: columns of `Estimate` (Agarwal et al. 2021).

    metrics  any of iqm, median, mean and, for normalised scores, optimality-gap

    The same scores give the same digits every time. Raises InvalidData if a method has only one seed on a task.
    """
    found = aggregate.estimates(scores, metrics=metrics, reps=reps, confidence=confidence)
    return pd.DataFrame([asdict(estimate) for estimate in found])


def improvement(scores: pd.DataFrame, first: str, second: str, *, reps: int = aggregate.REPS) -> pd.Series:
    """P(a run of `first` scores above a run of `second`), averaged over tasks, in [0, 1]: `point` with its 95% interval, `low`
    to `high`.

    Raises UserError for a method that the scores do not hold, and InvalidData if the two have different tasks or a single seed.
    """
    return pd.Series(asdict(aggregate.improvement(scores, first, second, reps=reps)))


def figure(name: str, *paths: PathLike, out: PathLike | None = None, references: Sequence[str] = (), **options: Any) -> Figure:
    """One of the figures of `dreamer-bench figure --help` as a matplotlib Figure.

    out         folder for NAME.svg, NAME.png and NAME.csv, the plotted data; None writes nothing
    references  published scores to draw as lines
    options     options of `analysis.figures.gather.gather`: protocol, methods, tasks, at, window, short, normalization, reps
    Raises UserError for an unknown name, and for scores from which the figure cannot be made.
    """
    from analysis.figures import catalog, drawing
    from analysis.figures.gather import gather

    if name in catalog.FROM_RUNS:
        drawn, _ = catalog.FROM_RUNS[name](paths, **options)
    else:
        drawn = catalog.draw(name, gather(paths, several_protocols=name == "fig12", **options), reference_names=references)
    if out is not None:
        drawing.save(drawn, Path(out))
    return drawn.figure


def verdict(*paths: PathLike, reference: PathLike, **options: Any) -> Verdict:
    """The verdict of `dreamer-bench verify` on a reproduction; writes nothing.

    reference  a runs folder, a score file, or a name that ships
    options    options of the command by the same names: protocol, method, margin (in normalised units), at (env_steps), ...

    `status` is "reproduced", "below", "above", "profile-differs", "inconclusive" or "invalid"; `exit_code` is the command's.
    Raises UserError for an unknown name, option value or path; unusable scores are the status "invalid".
    """
    from analysis.commands import VerifyCommand
    from analysis.verify.files import History
    from analysis.verify.procedure import examine

    asked = VerifyCommand(scores=tuple(map(Path, paths)), reference=str(reference), **options)
    return examine(asked, History())[0]
