"""Named, versioned normalisations of scores. The name in a caption or a verdict decides every constant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.scores.tasks import suite_of
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """For example name "atari-human", version 1, label for axes "human-normalised score", and the source of the constants.

    reference  column of the table that becomes 1; None without a table
    table      "atari": references/atari_human_random_record.csv; "k1": Table K.1 of DreamerV2;
               "small": references/small_control_random_optimum.csv
    ceiling    largest score; scores above it are set to it
    logarithmic  tasks differ by orders of magnitude, so `verify` compares log(1 + score), and its margin is a share of the IQM
    scale      score that becomes 1 without a table
    suite      suite of the tasks for which it is defined; "" for any
    """

    name: str
    version: int
    label: str
    source: str
    reference: str | None = None
    table: str = "atari"
    ceiling: float = math.inf
    logarithmic: bool = False
    scale: float = 1.0
    suite: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


_ATARI_SOURCE = (
    "(x - random) / (reference - random); random and human: DQN Zoo atari_data.py (57 games; James Bond 29.0 and 302.8, which "
    "dreamerv2's baselines.json has shifted); record: dreamerv2 baselines.json"
)

_K1_SOURCE = (
    "(x - random) / (reference - random), constants of Table K.1 of Hafner et al. 2021: those of atari-human but for random "
    "play in James Bond (7, not 29) and Alien (228.8, not 227.8)"
)

NORMALIZATIONS: Mapping[str, Normalization] = {
    entry.name: entry
    for entry in (
        Normalization(name="none", version=1, label="episode return", source="the return itself"),
        Normalization(
            name="dmc",
            version=1,
            label="return / 1000",
            scale=1_000.0,
            suite="dmc",
            source="1,000 env_steps an episode, rewards in [0, 1] (Tassa et al. 2018)",
        ),
        Normalization(
            name="atari-human",
            version=1,
            label="human-normalised score",
            logarithmic=True,
            reference="human",
            suite="atari",
            source=_ATARI_SOURCE,
        ),
        Normalization(
            name="atari-record",
            version=1,
            label="record-normalised score",
            reference="record",
            suite="atari",
            source=_ATARI_SOURCE,
        ),
        Normalization(
            name="atari-gamer",
            version=1,
            label="gamer-normalised score",
            logarithmic=True,
            reference="human",
            table="k1",
            suite="atari",
            source=_K1_SOURCE,
        ),
        Normalization(
            name="atari-gamer-record",
            version=1,
            label="record-normalised score",
            reference="record",
            table="k1",
            suite="atari",
            source=_K1_SOURCE,
        ),
        Normalization(
            name="atari-gamer-clipped",
            version=1,
            label="clipped record-normalised score",
            reference="record",
            table="k1",
            ceiling=1.0,
            suite="atari",
            source=_K1_SOURCE,
        ),
        Normalization(
            name="small-control",
            version=1,
            label="return, random 0, optimum 1",
            reference="optimum",
            table="small",
            source="(x - random) / (optimum - random); random: ours, uniform actions; optimum: the most that an episode can "
            "hold, Pendulum's by dynamic programming, Acrobot's where Gymnasium calls it solved",
        ),
    )
}
"""none, dmc (score / 1000), atari-human ((x - random) / (human - random)), atari-record, DreamerV2's three, small-control."""


def find(name: str) -> Normalization:
    """The normalisation with this name or id ("dmc", "dmc@1")."""
    entry = NORMALIZATIONS.get(name.partition("@")[0])
    if entry is None or ("@" in name and name != entry.id):
        raise UserError(
            f"normalisation {name!r} is not known; choose from {', '.join(entry.id for entry in NORMALIZATIONS.values())}"
        )
    return entry


def normalize(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The same table or scores with `score` in normalised units. Raises ValueError for an unknown name, InvalidData for a task
    without constants."""
    entry = find(name)
    result = table.copy()
    tasks = sorted(table["task"].unique())
    for task in tasks:
        if entry.suite not in ("", suite_of(task)):
            raise InvalidData(
                f"{entry.id} is not defined for {task}; choose another --normalize, or leave the task out with --tasks"
            )
    if entry.reference is None:
        result["score"] = table["score"] / entry.scale
        return result
    zero, one = _constants(entry, tasks)
    lowest = table["task"].map(zero)
    result["score"] = ((table["score"] - lowest) / (table["task"].map(one) - lowest)).clip(upper=entry.ceiling)
    return result


def for_tasks(tasks: Iterable[str]) -> str:
    """The normalisation for these tasks: "dmc", "atari-human", "small-control" for tasks of its table, or "none" for mixed
    tasks and other suites."""
    chosen = set(tasks)
    if chosen and chosen <= _small_control_tasks():
        return "small-control"
    suites = {suite_of(task) for task in chosen}
    return {"dmc": "dmc", "atari": "atari-human"}.get(suites.pop(), "none") if len(suites) == 1 else "none"


def _small_control_tasks() -> set[str]:
    from analysis.scores import references

    return set(references.small_control()["task"])


def one_scale(tasks: Iterable[str], name: str) -> bool:
    """Whether scores of these tasks in these units may be averaged over tasks: normalised, all of dm_control, or one task."""
    names = set(tasks)
    return find(name).name != "none" or len(names) == 1 or {suite_of(task) for task in names} == {"dmc"}


def refuse_mixed_scales(tasks: Iterable[str], name: str) -> None:
    """Raises InvalidData if a mean over these tasks would add returns of different scales."""
    names = sorted(set(tasks))
    if one_scale(names, name):
        return
    if not names:
        raise InvalidData("no task has scores of every method, so there is nothing to compare; give scores of the same tasks")
    suites = sorted({suite_of(task) for task in names})
    if len(suites) > 1:
        raise InvalidData(
            f"the tasks are of the suites {' and '.join(suites)}, and no normalisation covers all of them, so nothing can be "
            f"averaged or ranked over them; compare one suite at a time, for example --tasks '{suites[0]}_*'"
        )
    raise InvalidData(
        f"the returns of {len(names)} tasks of {suites[0]} are raw and have no common scale, so nothing can be averaged or "
        f"ranked over them; name one task with --tasks, for example --tasks {names[0]!r}, or choose another --normalize"
    )


def _constants(entry: Normalization, tasks: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    from analysis.scores import references

    rows = {"atari": references.atari_scores, "k1": references.table_k1, "small": references.small_control}[
        entry.table
    ]().set_index("task")
    for task in tasks:
        if task not in rows.index or not rows.loc[task, entry.reference] == rows.loc[task, entry.reference]:
            raise InvalidData(f"{entry.id} has no {entry.reference} score of {task}; leave the task out with --tasks")
    return rows["random"].to_dict(), rows[entry.reference].to_dict()
