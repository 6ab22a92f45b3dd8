"""Published numbers that ship with the project, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).with_name("references")

NAMES = ("dreamer-2020-appendix-g", "dreamer-2021-table-k1")
"""Names for `verify --reference NAME`."""

K1_METHODS = {"DreamerV2": "dreamerv2", "IQN": "iqn", "Rainbow": "rainbow"}
"""Methods of Table K.1 -> its columns."""


def appendix_g() -> pd.DataFrame:
    """Appendix G of Hafner et al. 2020: task, method ("A3C", "D4PG", "PlaNet", "Dreamer"), modality, env_steps, score, source.

    Only reported values: A3C and D4PG have 18 tasks (no quadruped), PlaNet and Dreamer 20. The budgets of A3C and D4PG are
    those of the original code's baselines file. The 5e6 of PlaNet and Dreamer is from the text, because the table's own row of
    steps is missing in the copy from which these numbers were taken.
    """
    import pandas as pd

    return pd.read_csv(FOLDER / "dreamer_2020_appendix_g.csv")


def appendix_g_means() -> pd.DataFrame:
    """Columns method, tasks, mean (over the method's own tasks, as printed), mean_common (over the 18 tasks that all have)."""
    rows = appendix_g()
    wide = rows.pivot(index="task", columns="method", values="score")
    result = rows.groupby("method").agg(tasks=("task", "size"), mean=("score", "mean"))
    result["mean_common"] = wide.dropna().mean()
    return result.reset_index()


def table_k1() -> pd.DataFrame:
    """Table K.1 of Hafner et al. 2021: task, random, human, record, rainbow, iqn, dreamerv2; 55 games after 200e6 frames.

    The means over seeds that the paper prints, copied from its text (arXiv 2010.02193 v3); five seeds, from its Figure F.1.
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
    """Columns task, random, optimum of the tasks of small@1, and the source of both."""
    import pandas as pd

    return pd.read_csv(FOLDER / "small_control_random_optimum.csv")


def atari_scores() -> pd.DataFrame:
    """Columns task, random, human, record (NaN if unknown), in_atari57, in_dreamerv2_55, in_atari100k_26 (0 or 1), and the
    sources."""
    import pandas as pd

    return pd.read_csv(FOLDER / "atari_human_random_record.csv")
