"""Published numbers that ship with the project, each with its source, and any score file as a reference for `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analysis.scores.table import Short, read, select
from dreamer_bench_base import InvalidData, UserError, sha256
from protocols.spec import ScoreRule

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).with_name("references")

NAMES = ("dreamer-2020-appendix-g", "dreamer-2021-table-k1")
"""References that `verify --reference NAME` knows."""

K1_METHODS = {"DreamerV2": "dreamerv2", "IQN": "iqn", "Rainbow": "rainbow"}
"""Methods of Table K.1 -> its columns."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Something to compare with; never a bare number.

    kind    "raw": scores has one row per run; "mean": one row per task, the mean of `seeds` runs that are not available
    seeds   runs per task (the fewest, where they differ)
    scores  method, task, seed ("" where kind is "mean"), score, in unnormalised units; place where kind is "raw"
    window_env_steps  over which each score was averaged; None: the source does not say
    sha256  of the file, "" for a runs folder
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


def appendix_g() -> pd.DataFrame:
    """Appendix G of Hafner et al. 2020: task, method ("A3C", "D4PG", "PlaNet", "Dreamer"), modality, env_steps, score, source.

    Only reported cells: A3C and D4PG have 18 tasks (no quadruped), PlaNet and Dreamer 20. The budgets of A3C and D4PG are those
    of the original code's baselines file; PlaNet's and Dreamer's 5e6 is from the text, since the table's own row of steps
    is lost
    in the copy these numbers were taken from.
    """
    import pandas as pd

    return pd.read_csv(FOLDER / "dreamer_2020_appendix_g.csv")


def appendix_g_means() -> pd.DataFrame:
    """method, tasks, mean (over the method's own tasks, as printed), mean_common (over the 18 tasks all four have)."""
    rows = appendix_g()
    wide = rows.pivot(index="task", columns="method", values="score")
    result = rows.groupby("method").agg(tasks=("task", "size"), mean=("score", "mean"))
    result["mean_common"] = wide.dropna().mean()
    return result.reset_index()


def table_k1() -> pd.DataFrame:
    """Table K.1 of Hafner et al. 2021: task, random, human, record, rainbow, iqn, dreamerv2; 55 games after 200e6 frames.

    The means over seeds that the paper prints, typed from its text (arXiv 2010.02193 v3); five seeds by its Figure F.1.
    """
    import pandas as pd

    return pd.read_csv(FOLDER / "dreamer_v2_2021_table_k1.csv")


def table_k1_scores() -> pd.DataFrame:
    """The same as rows: method ("DreamerV2", "IQN", "Rainbow"), task, score."""
    import pandas as pd

    table = table_k1()
    return pd.concat(
        [table[["task"]].assign(method=method, score=table[column].astype(float)) for method, column in K1_METHODS.items()],
        ignore_index=True,
    )


def small_control() -> pd.DataFrame:
    """task, random, optimum of the tasks of small@1, and where both come from."""
    import pandas as pd

    return pd.read_csv(FOLDER / "small_control_random_optimum.csv")


def atari_scores() -> pd.DataFrame:
    """task, random, human, record (NaN where none is known), in_atari57, in_dreamerv2_55, in_atari100k_26 (0 or 1), and
    the sources."""
    import pandas as pd

    return pd.read_csv(FOLDER / "atari_human_random_record.csv")


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

    method   which method of the file; needed where there are several
    at, window, rule, short   how a file's curves become one score per run, see `analysis.scores.table.select`
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
    table = read([path], protocol=protocol, own_tasks=own_tasks)
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
        source=str(path),
        licence="not stated in the file",
        kind="raw",
        seeds=int(scores.groupby("task").size().min()),
        budget_env_steps=selection.budget_env_steps,
        window_env_steps=window or None,
        evaluation=selection.rule,
        scores=scores,
        sha256=sha256(path) if path.is_file() else "",
    )


def _dreamer_2020(method: str) -> Reference:
    rows = appendix_g()
    rows = rows[rows["method"] == method]
    if rows.empty:
        raise InvalidData(f"{NAMES[0]} has no method {method!r}; it has A3C, D4PG, Dreamer and PlaNet")
    return Reference(
        name=NAMES[0],
        title=f"{method} in Appendix G of Dream to Control",
        source=rows["source"].iloc[0],
        licence="facts from a paper",
        kind="mean",
        seeds=5,  # caption of Figure 11; the table itself does not say
        budget_env_steps=int(rows["env_steps"].iloc[0]),
        window_env_steps=None,
        evaluation="not stated: the text says after 5e6 environment steps, without episodes or window",
        scores=rows[["method", "task", "score"]].assign(seed="")[["method", "task", "seed", "score"]].reset_index(drop=True),
        sha256=sha256(FOLDER / "dreamer_2020_appendix_g.csv"),
    )


def _dreamer_2021(method: str) -> Reference:
    if method not in K1_METHODS:
        raise InvalidData(f"{NAMES[1]} has no method {method!r}; it has {', '.join(K1_METHODS)}")
    rows = table_k1_scores()
    return Reference(
        name=NAMES[1],
        title=f"{method} in Table K.1 of Mastering Atari with Discrete World Models",
        source="Hafner et al. 2021 (arXiv 2010.02193 v3), Table K.1",
        licence="facts from a paper",
        kind="mean",
        seeds=5,  # of Figure F.1; the table itself does not say
        budget_env_steps=200_000_000,
        window_env_steps=None,
        evaluation="not stated: at 200M frames; the shipped files hold a point of ten episodes per 1e6 frames",
        scores=rows[rows["method"] == method].assign(seed="")[["method", "task", "seed", "score"]].reset_index(drop=True),
        sha256=sha256(FOLDER / "dreamer_v2_2021_table_k1.csv"),
    )
