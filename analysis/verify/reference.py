"""The reference of `verify`: published numbers by name, or any score file or runs folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analysis.scores import references
from analysis.scores.per_run import Short, select
from analysis.scores.references import NAMES
from analysis.scores.table import read
from dreamer_bench_base import UserError
from dreamer_bench_files import sha256
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Scores to compare with, and what is known about them.

    kind    "raw": scores has one row per run; "mean": one row per task, the mean of `seeds` runs that are not available
    seeds   runs per task (the smallest number if they differ)
    scores  method, task, seed ("" for kind "mean"), score, in unnormalised units; place for kind "raw"
    window_env_steps  env_steps over which each score was averaged; None if the source does not say
    sha256  hash of the file; "" for a runs folder
    notes   what was left out, and why
    """

    name: str
    title: str
    source: str
    licence: str
    kind: Literal["raw", "mean"]
    seeds: int
    budget_env_steps: int
    window_env_steps: int | None
    evaluation: str
    scores: pd.DataFrame
    sha256: str = ""
    notes: tuple[str, ...] = ()


def load(
    name_or_path: str | Path,
    *,
    method: str | None = None,
    at: int | None = None,
    window: int = 0,
    rule: ScoreRule | None = None,
    short: Short = "fail",
    protocol: str | None = None,
    own_tasks: Sequence[str] = (),
) -> Reference:
    """A shipped reference by name, or a score file or runs folder as a raw reference.

    method   method to take, if the file has several
    protocol  protocol to take, if a runs folder has several
    at, window, rule, short   how the curves of a file become one score per run, see `analysis.scores.per_run.select`
    Raises UserError for an unknown name, path or method, InvalidData for a reference that cannot be compared.
    """
    if str(name_or_path) == NAMES[0]:
        return _dreamer_2020(method or "Dreamer")
    if str(name_or_path) == NAMES[1]:
        return _dreamer_2021(method or "DreamerV2")
    path = Path(name_or_path)
    if not path.exists():
        raise UserError(
            f"reference {str(path)!r} is neither a file nor one of {', '.join(NAMES)}; give a score file or a known name"
        )
    notes: list[str] = []
    table = read([path], protocol=protocol if path.is_dir() else None, own_tasks=own_tasks, notes=notes)
    methods = sorted(table["method"].unique())
    if method is None and len(methods) > 1:
        raise UserError(f"{path} holds the methods {', '.join(methods)}; choose one with --reference-method")
    method = method or methods[0]
    if method not in methods:
        raise UserError(f"{path} holds no method {method!r}; it holds {', '.join(methods)}")
    selection = select(table[table["method"] == method], rule=rule, at=at, window=window, short=short)
    scores = selection.scores[["method", "task", "seed", "score", "place"]]
    return Reference(
        name=f"{path.name}:{method}",
        title=f"{method} in {path.name}",
        source=path.name,
        licence="not stated in the file",
        kind="raw",
        seeds=int(scores.groupby("task").size().min()),
        budget_env_steps=selection.budget_env_steps,
        window_env_steps=window or None,
        evaluation=selection.rule,
        scores=scores,
        sha256=sha256(path) if path.is_file() else "",
        notes=tuple(notes),
    )


def _dreamer_2020(method: str) -> Reference:
    rows = references.appendix_g()
    rows = rows[rows["method"] == method]
    if rows.empty:
        raise UserError(f"{NAMES[0]} has no method {method!r}; it has A3C, D4PG, Dreamer and PlaNet")
    return Reference(
        name=NAMES[0],
        title=f"{method} in Appendix G of Dream to Control",
        source=rows["source"].iloc[0],
        licence="facts from a paper",
        kind="mean",
        seeds=5,  # from the caption of Figure 11; the table does not say
        budget_env_steps=int(rows["env_steps"].iloc[0]),
        window_env_steps=None,
        evaluation="not stated: the text says after 5e6 environment steps, without episodes or window",
        scores=rows[["method", "task", "score"]].assign(seed="")[["method", "task", "seed", "score"]].reset_index(drop=True),
        sha256=sha256(references.FOLDER / "dreamer_2020_appendix_g.csv"),
    )


def _dreamer_2021(method: str) -> Reference:
    if method not in references.K1_METHODS:
        raise UserError(f"{NAMES[1]} has no method {method!r}; it has {', '.join(references.K1_METHODS)}")
    rows = references.table_k1_scores()
    return Reference(
        name=NAMES[1],
        title=f"{method} in Table K.1 of Mastering Atari with Discrete World Models",
        source="Hafner et al. 2021 (arXiv 2010.02193 v3), Table K.1",
        licence="facts from a paper",
        kind="mean",
        seeds=5,  # from Figure F.1; the table does not say
        budget_env_steps=200_000_000,
        window_env_steps=None,
        evaluation="not stated: at 200M frames; the shipped files hold a point of ten episodes per 1e6 frames",
        scores=rows[rows["method"] == method].assign(seed="")[["method", "task", "seed", "score"]].reset_index(drop=True),
        sha256=sha256(references.FOLDER / "dreamer_v2_2021_table_k1.csv"),
    )
