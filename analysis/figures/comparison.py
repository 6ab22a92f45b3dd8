"""The data of a figure or a section of the report: one set of scores with its labels and notes.

Reads runs through `protocols.records.store` and scores through `analysis.scores.table`; computes no statistics itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.style import Style, short_count, styles_of
from analysis.scores import from_runs, normalize, per_run, references
from dreamer_bench_base import UserError, count
from protocols.records import store
from protocols.spec import ScoreRule

MOST_DRAWN = 20
"""Methods that curves, bars and pairs show side by side: more cannot be told apart, and the pairs grow with their square."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One comparison: methods on the same tasks under the same rules.

    title          protocol id, or the names of the files
    table          long table (`analysis.scores.table.COLUMNS`), with evaluations during training and final ones
    selection      one score per run, and how it was selected
    normalization  name of `analysis.scores.normalize`
    overrides      method -> the options that were set by hand, from the records
    own_options    method -> all options, for methods without options set by hand
    published      rows of `references.appendix_g` for these tasks; empty without such rows
    reps           bootstrap resamples
    notes          what was assumed and left out when the scores were read
    """

    title: str
    table: pd.DataFrame
    selection: per_run.Selection
    normalization: str
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: pd.DataFrame
    reps: int
    notes: tuple[str, ...] = ()

    @cached_property
    def methods(self) -> list[str]:
        return sorted(self.table["method"].unique())

    @cached_property
    def tasks(self) -> list[str]:
        return sorted(self.table["task"].unique())

    @property
    def scores(self) -> pd.DataFrame:
        """Scores in the game's own units."""
        return self.selection.scores

    @cached_property
    def normalized(self) -> pd.DataFrame:
        return normalize.normalize(self.selection.scores, self.normalization)

    @property
    def evaluations(self) -> pd.DataFrame:
        """The table without the separate final evaluation, for learning curves."""
        return self.table[~self.table["final"].astype(bool)]

    @property
    def budget(self) -> str:
        return f"{short_count(self.selection.budget_env_steps)} env steps"

    @property
    def left_out(self) -> str:
        """A sentence for captions about short runs; empty without them."""
        return f" {self.short_runs} left out." if self.short_runs else ""

    @property
    def short_runs(self) -> str:
        """The number of runs without a score, and why: "2 runs that stop before 10k env steps"; empty without such runs."""
        found = Counter(map(self.selection.lacking, self.selection.left_out["env_steps"]))
        parts = []
        for lacks, number in sorted(found.items()):
            one = number == 1
            verb = f"{'has' if one else 'have'} no {lacks}" if lacks else f"{'stops' if one else 'stop'} before {self.budget}"
            parts.append(f"{count(number, 'run')} that {verb}")
        return " and ".join(parts)

    @property
    def complete(self) -> pd.DataFrame:
        """The rows of the runs that reach the budget."""
        if self.selection.left_out.empty:
            return self.table.reset_index(drop=True)
        short = set(self.selection.left_out[["method", "task", "seed"]].astype(str).itertuples(index=False, name=None))
        keys = self.table[["method", "task", "seed"]].astype(str).itertuples(index=False, name=None)
        return self.table[[key not in short for key in keys]].reset_index(drop=True)

    @property
    def raw_units(self) -> bool:
        """Whether the raw scores of all tasks are on one scale and may be averaged."""
        return self.normalization in ("dmc", "none")

    @property
    def one_scale(self) -> bool:
        """Whether scores may be averaged or ranked over the tasks."""
        return normalize.one_scale(self.tasks, self.normalization)

    @property
    def unit(self) -> str:
        """The unit of a mean over tasks."""
        if self.raw_units:
            return "episode return" + (", 0 to 1,000" if self.normalization == "dmc" else "")
        return normalize.NORMALIZATIONS[self.normalization].label

    @property
    def units(self) -> str:
        """The normalisation with its version, "dmc@1"."""
        return normalize.find(self.normalization).id

    @property
    def digits(self) -> int:
        return 1 if self.raw_units else 3

    def only(self, methods: Iterable[str]) -> Comparison:
        """The same comparison with some of its methods."""
        chosen = list(methods)
        scores = self.selection.scores
        selection = replace(self.selection, scores=scores[scores["method"].isin(chosen)].reset_index(drop=True))
        table = self.table[self.table["method"].isin(chosen)].reset_index(drop=True)
        return replace(self, table=table, selection=selection)

    def styles_of(self, methods: Iterable[str]) -> dict[str, Style]:
        """The styles of methods among all methods of the comparison, so that a method looks the same in all its figures."""
        wanted = list(methods)
        every = styles_of([*self.methods, *wanted], self.overrides)
        return {method: every[method] for method in wanted}

    def label(self, method: str) -> str:
        """The method's name for people, with its overrides instead of their digest."""
        changed = self.overrides.get(method)
        if not changed:
            return method
        return method.split("+")[0] + " " + ", ".join(f"{key}={value}" for key, value in sorted(changed.items()))


def seeds_in_words(scores: pd.DataFrame) -> str:
    """ "n = 3 seeds per task", or the range if it differs between tasks, for scores or a table."""
    counts = scores.groupby(["method", "task"])["seed"].nunique()
    if counts.empty:
        return "n = 0"
    low, high = int(counts.min()), int(counts.max())
    return f"n = {count(low, 'seed')} per task" if low == high else f"n = {low} to {high} seeds per task"


def tasks_in_words(scores: pd.DataFrame) -> str:
    return count(scores["task"].nunique(), "task")


def split_paths(paths: Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    """Runs folders, and score files."""
    known = [Path(path) for path in paths]
    for path in known:
        if not path.exists():
            raise UserError(f"{str(path)!r} does not exist; give a runs folder or a score file")
    return [path for path in known if path.is_dir()], [path for path in known if not path.is_dir()]


def runs_of(folders: Sequence[Path]) -> list[store.Run]:
    return [run for folder in folders for run in from_runs.find(folder)]


def published_for(tasks: Sequence[str]) -> pd.DataFrame:
    """Appendix G for these tasks."""
    published = references.appendix_g()
    return published[published["task"].isin(list(tasks))].reset_index(drop=True)


def unscored(table: pd.DataFrame, *, title: str, budget_env_steps: int, normalization: str, reps: int) -> Comparison:
    """A comparison of unfinished runs, with curves and without scores."""
    empty = table.iloc[:0][["method", "task", "seed", "score", "env_steps"]]
    selection = per_run.Selection(
        scores=empty.assign(points=0, carried=False),
        left_out=empty[["method", "task", "seed", "env_steps"]],
        rule="no run has finished yet",
        budget_env_steps=budget_env_steps,
    )
    return Comparison(
        title=title, table=table, selection=selection, normalization=normalization, published=published_for([]), reps=reps
    )


def assemble(
    table: pd.DataFrame,
    *,
    title: str,
    rule: ScoreRule | None = None,
    at: int | None = None,
    window: int = 0,
    short: per_run.Short = "drop",
    normalization: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    own_options: Mapping[str, Mapping[str, Any]] | None = None,
    reps: int = 50_000,
    notes: Sequence[str] = (),
) -> Comparison:
    tasks = sorted(table["task"].unique())
    return Comparison(
        title=title,
        table=table,
        selection=per_run.select(table, rule=rule, at=at, window=window, short=short),
        normalization=normalization or normalize.for_tasks(tasks),
        overrides=overrides or {},
        own_options=own_options or {},
        published=published_for(tasks),
        reps=reps,
        notes=tuple(notes),
    )
