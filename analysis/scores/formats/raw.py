"""The result of every reader, and the checks of names, units, holes and repeats for all score files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.scores import tasks
from analysis.scores.columns import COLUMNS, DEFAULTS
from analysis.scores.formats.naming import from_path
from analysis.scores.formats.source import MOST_ROWS, address, problem
from analysis.scores.import_options import Options, Unit
from dreamer_bench_base import InvalidData, UserError, count

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("method", "task", "seed")

MOST_STEPS = 10**15
"""Most steps in any unit; more is a mistake, and its products would not fit into an integer."""

MOST_SCORE = 1e15
"""Largest absolute score; more is a mistake, and its powers in a variance would not fit into a float."""

ITERATIONS = {"atari": 1_000_000, "mujoco": 1_000}
"""Simulator steps per iteration of Dopamine's baselines: 250,000 agent steps of 4 frames on Atari, 1,000 steps on MuJoCo
(dopamine's baselines/README and the gin files of its agents)."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Points as they are in the file.

    frame    place (line number or "entry 3, point 7"), step, score; optional method, task, seed, episode, protocol, final,
             device_seconds, source, and label (a name of the run, with which a pattern is compared instead of the path)
    unit     unit of the steps according to the file; "iterations"; "given" if the steps are --at; None if the file has no unit
    steps    the name of the step column or key, for messages
    assumed  method, task or seed that the format implies, used with a note if nothing else gives it
    is_log   a log of training: several points at one step are episodes, and rows without a score are not points
    notes    what the reader left out or chose
    """

    frame: pd.DataFrame
    unit: Unit | Literal["iterations", "given"] | None = None
    steps: str = "step"
    assumed: Mapping[str, str] = field(default_factory=dict)
    is_log: bool = False
    notes: tuple[str, ...] = ()


def finish(raw: Raw, path: Path, options: Options) -> tuple[pd.DataFrame, list[str]]:
    """A sorted table (COLUMNS) of raw points, and notes. Raises InvalidData with the place of the first bad point."""
    frame, notes = raw.frame.copy(), [f"{path}: {note}" for note in raw.notes]
    if frame.empty:
        raise InvalidData(f"{path}: holds no points; export the scores again")
    if len(frame) > MOST_ROWS:
        raise InvalidData(f"{path}: holds {len(frame):,} points, more than {MOST_ROWS:,}; split the file, or thin it out")
    notes += _name(frame, raw, path, options)
    frame["task"] = _tasks(frame, path, options)
    _finite(frame, "step", path)
    if "episode" in frame:
        _finite(frame, "episode", path)
    frame["env_steps"] = _env_steps(frame, raw, path, options, notes)
    _finite(frame, "env_steps", path)
    empty = ~np.isfinite(frame["score"].to_numpy(float))
    if empty.any():
        first = frame[empty].iloc[0]
        if options.nulls == "fail" and not raw.is_log:
            raise problem(
                path,
                first["place"],
                f"{_in_words(first)} has no finite score",
                "fix it, or leave such points out with `import --nulls drop`",
            )
        notes.append(f"{path}: {count(int(empty.sum()), 'point')} without a score left out, the first of {_in_words(first)}")
        frame = frame[~empty]
        if frame.empty:
            raise InvalidData(
                f"{path}: no point has a score; export the scores again, or name the column with `import --score`"
            )
    large = frame[frame["score"].abs() > MOST_SCORE]
    if len(large):
        row = large.iloc[0]
        raise problem(path, row["place"], f"{_in_words(row)} has the score {row['score']:g}", "no return is so large; fix it")
    for name, default in {**DEFAULTS, "source": str(path)}.items():
        if name not in frame:
            frame[name] = default
    if options.protocol is not None:
        frame["protocol"] = options.protocol
    keys = ["protocol", "method", "task", "seed", "env_steps", "episode", "final"]
    if raw.is_log:
        frame["episode"] = frame.groupby(["method", "task", "seed", "env_steps"]).cumcount()
    repeated = frame[frame.duplicated(keys)]
    if len(repeated):
        again = repeated.iloc[0]
        raise problem(
            path,
            again["place"],
            f"{_in_words(again)} at {again['env_steps']:,} env_steps is there twice",
            "remove one, or number the episodes of one evaluation in a column 'episode'",
        )
    frame = frame.astype(
        {"env_steps": "int64", "episode": "int64", "score": float, "final": bool, "device_seconds": float, "seed": str}
    )
    frame["place"] = [address(path, place) for place in frame["place"]]
    return frame[list(COLUMNS)].sort_values(keys, ignore_index=True), notes


def _name(frame: pd.DataFrame, raw: Raw, path: Path, options: Options) -> list[str]:
    """Fills method, task and seed: from options, else the path, else the file, else the format. Returns notes."""
    notes, missing = [], []
    by_label = {}
    if options.pattern is not None:
        labels = frame["label"].unique() if "label" in frame else [str(path)]
        by_label = {label: from_path(label, options.pattern) for label in labels}
    for name in NAMES:
        given = getattr(options, name)
        if given is not None:
            frame[name] = given
        elif by_label and all(name in found for found in by_label.values()):
            frame[name] = (
                frame["label"].map(lambda label, name=name: by_label[label][name])
                if "label" in frame
                else (by_label[str(path)][name])
            )
        elif name not in frame and name in raw.assumed:
            frame[name] = raw.assumed[name]
            notes.append(f"{path}: {name} {raw.assumed[name]!r} assumed; say otherwise with `import --{name}`")
        elif name not in frame:
            missing.append(name)
    if missing:
        raise problem(
            path,
            "",
            f"does not say its {' or '.join(missing)}",
            f"give them with `import {' '.join(f'--{name} …' for name in missing)}`, or read them off the path, for example "
            'with `import --pattern "{method}/{task}/seed-{seed}/*.csv"`',
        )
    for name in NAMES:
        frame[name] = frame[name].astype(str).str.strip()
        empty = frame[frame[name].isin(["", "nan", "None"])]
        if len(empty):
            raise problem(path, empty.iloc[0]["place"], f"has no {name}", f"fill it in, or give it with `import --{name}`")
    return notes


def _tasks(frame: pd.DataFrame, path: Path, options: Options) -> pd.Series:
    names = {}
    for name in frame["task"].unique():
        rows = frame["task"] == name
        own = (name,) if "own_task" in frame and frame.loc[rows, "own_task"].all() else ()
        try:
            names[name] = tasks.canonical(name, suite=options.suite, own=(*options.own_tasks, *own))
        except InvalidData as error:
            what, _, cure = str(error).partition("; ")
            raise problem(
                path, frame.loc[rows, "place"].iloc[0], what, f"{cure} (`import --task` names it for a whole file)"
            ) from None
    return frame["task"].map(names)


def _finite(frame: pd.DataFrame, name: str, path: Path) -> None:
    value = frame[name].to_numpy(float)
    bad = frame[~np.isfinite(value) | (value < 0) | (value > MOST_STEPS)]
    if len(bad):
        raise problem(path, bad.iloc[0]["place"], f"{name} is {bad.iloc[0][name]}", "it must be a count of 0 or more")


def _env_steps(frame: pd.DataFrame, raw: Raw, path: Path, options: Options, notes: list[str]) -> pd.Series:
    """Simulator steps including action repeat; frames are simulator steps. Adds notes on what was assumed or overridden."""
    first = frame["place"].iloc[0]
    steps = frame["step"]
    stated: str | None = raw.unit
    if raw.unit == "iterations":
        steps = steps * _iteration_steps(frame, path, options, notes)
        stated = "frames"
    elif options.iteration_steps is not None:
        raise UserError(f"{path} counts no iterations, so --iteration-steps has nothing to convert; leave it out")
    if raw.unit == "given":
        return steps.astype("int64")
    if options.unit is not None and stated is not None and _kind(options.unit) != _kind(stated):
        notes.append(f"{path}: {raw.steps!r} counts {stated} by its name, and is read as {options.unit}, as --unit says")
    if options.unit is None and stated is None and options.action_repeat is None:
        notes.append(
            f"{path}: {raw.steps!r} is read as simulator steps, since the file does not say what it counts; if it counts "
            "agent steps, say `import --unit agent_steps --action-repeat N`"
        )
    if _kind(options.unit or stated) == "agent_steps":
        if options.action_repeat is None:
            raise problem(
                path, first, "the steps are agent steps", "say how many simulator steps one is with `import --action-repeat N`"
            )
        return (steps * options.action_repeat).round().astype("int64")
    if options.action_repeat is not None:
        raise UserError(
            f"{path} counts simulator steps, so --action-repeat has nothing to convert; leave it out or add --unit agent_steps"
        )
    return steps.round().astype("int64")


def _kind(unit: str | None) -> str | None:
    return None if unit is None else "agent_steps" if unit == "agent_steps" else "env_steps"


def _iteration_steps(frame: pd.DataFrame, path: Path, options: Options, notes: list[str]) -> pd.Series:
    """Simulator steps per iteration for each row: from the option, else those of Dopamine's baselines for its suite."""
    if options.iteration_steps is not None:
        return frame["step"] * 0 + options.iteration_steps
    found = {}
    for task in frame["task"].unique():
        family = "mujoco" if tasks.is_gym_mujoco(task) else tasks.suite_of(task)
        if family not in ITERATIONS:
            raise problem(
                path,
                frame.loc[frame["task"] == task, "place"].iloc[0],
                f"counts iterations, whose length on {task} is not known",
                "say how many simulator steps one has with `import --iteration-steps N`",
            )
        found[task] = ITERATIONS[family]
        notes.append(
            f"{path}: an iteration on {task} is read as {ITERATIONS[family]:,} simulator steps, as in Dopamine's baselines; "
            "say otherwise with `import --iteration-steps`"
        )
    return frame["task"].map(found)


def _in_words(row: pd.Series) -> str:
    return f"{row['method']}, {row['task']}, seed {row['seed']}"
