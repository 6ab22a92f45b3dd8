"""One agent for several tasks compared with one agent per task, at equal episodes per task (PlaNet's figures 6 and 7).

It needs only records: runs of a protocol that joins tasks, and runs of the protocol with one agent per task. Both name the
task of every evaluation episode. Line: mean over runs and episodes. Band: 95% interval of the mean; runs are resampled within
tasks.
Source of the idea: Hafner et al. 2019, appendix C; docs/algorithms/planet.md §7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns

from analysis.figures import comparison
from analysis.figures.drawing import Drawing, drawing_style, new_figure
from analysis.figures.style import task_label
from analysis.scores import from_runs
from analysis.scores.tasks import named
from analysis.statistics import bootstrap
from dreamer_bench_base import InvalidData, UserError, count
from dreamer_bench_json import Positive, mismatch
from protocols.records import store

CONFIDENCE = 0.95
LENGTH = 1_000
"""Simulator steps of an episode of DeepMind Control."""
MEAN = "mean of the tasks"
LABELS = {"one": "one agent for all", "each": "an agent for each"}
COLORS = {"one": "#0072b2", "each": "#d55e00"}
MARKERS = {"one": "o", "each": "s"}


def decisions_per_round(data: Mapping[str, Any], task: str) -> int:
    """Decisions in one round, an episode of each joined task, if none ends early. data: `protocol_data` of a manifest."""
    parts = data.get("joined", {}).get(task)
    if not parts:
        raise UserError(f"{data['id']} joins no tasks in {task!r}; give runs of joined-small@2 and apart-small@2, for example")
    limit = {**{"time_limit_env_steps": data["time_limit_env_steps"]}, **data.get("task_options", {}).get(task, {})}[
        "time_limit_env_steps"
    ]
    if fault := mismatch(limit, Positive | None, "time_limit_env_steps"):
        raise InvalidData(f"{data['id']}: {fault}; restore its manifest")
    repeats = [re.fullmatch(r"[^*]+\*([1-9]\d{0,3})", str(part)) for part in parts]
    if not all(repeats):
        raise InvalidData(f"{data['id']} joins {', '.join(map(str, parts))}; expected task*repeat each; restore its manifest")
    own = [-(-LENGTH // int(repeat[1])) for repeat in repeats if repeat]
    return sum(length if limit is None else min(limit, length) for length in own)


def group_of(run: store.Run) -> str | None:
    """ "one" for a run that joins several tasks, "each" for a run with a joined list of one task, None for any other run."""
    parts = run.manifest["protocol_data"].get("joined", {}).get(run.manifest["task"], ())
    return None if not parts else "one" if len(parts) > 1 else "each"


def points(runs: Sequence[store.Run]) -> pd.DataFrame:
    """Mean score of every run at each of its evaluations: group, method, task, seed, episodes (per task), score."""
    rows = []
    for run in runs:
        manifest = run.manifest
        per_round = decisions_per_round(manifest["protocol_data"], str(manifest["task"]))
        for line in from_runs.episodes(run):
            if not line["final"]:
                place = (group_of(run), str(manifest["label"]), str(line["task"]), str(manifest["seed"]))
                rows.append((*place, line["env_steps"] / per_round, line["score"]))
    table = pd.DataFrame(rows, columns=["group", "method", "task", "seed", "episodes", "score"])
    return table.groupby(["group", "method", "task", "seed", "episodes"], as_index=False)["score"].mean()


def curves(table: pd.DataFrame, reps: int) -> pd.DataFrame:
    """Columns group, task (or MEAN), episodes, mean, low, high, runs: the mean over runs for each task, and over the tasks."""
    rows = []
    for (group, episodes), part in table.groupby(["group", "episodes"], sort=True):
        by_task = {task: np.sort(rows_of["score"].to_numpy()) for task, rows_of in part.groupby("task", sort=True)}
        for name, chosen in [*((task, [task]) for task in by_task), (MEAN, list(by_task))]:
            values = [by_task[task] for task in chosen]
            low, high = _interval(chosen, values, reps)
            mean = float(np.mean([value.mean() for value in values]))
            rows.append((group, name, float(episodes), mean, low, high, min(map(len, values))))
    return pd.DataFrame(rows, columns=["group", "task", "episodes", "mean", "low", "high", "runs"])


def _interval(tasks: Sequence[str], values: list[np.ndarray], reps: int) -> tuple[float, float]:
    """Interval of the mean over tasks of the means of their runs; runs are resampled within tasks."""
    weights = np.concatenate([value / len(value) for value in values]) / len(values)
    generator = bootstrap.generator("joined tasks", tasks, values)
    drawn = bootstrap.draws([len(value) for value in values], reps, generator)
    low, high = bootstrap.interval(np.concatenate([weights @ counts.astype(np.float64) for counts in drawn]), CONFIDENCE)
    return float(low), float(high)


def draw(found: pd.DataFrame, caption: str) -> Drawing:
    """One panel per task, and one for their mean."""
    names = [*sorted(set(found["task"]) - {MEAN}), MEAN]
    with drawing_style("joined"):
        figure = new_figure(2.4 * len(names), 2.9)
        axes = figure.subplots(1, len(names), sharey=True, squeeze=False)
        for axis, name in zip(axes[0], names):
            for group, label in LABELS.items():
                line = found[(found["group"] == group) & (found["task"] == name)].sort_values("episodes")
                sns.lineplot(
                    x=line["episodes"],
                    y=line["mean"],
                    estimator=None,
                    color=COLORS[group],
                    marker=MARKERS[group],
                    label=label,
                    legend=False,
                    ax=axis,
                )
                axis.fill_between(line["episodes"], line["low"], line["high"], color=COLORS[group], alpha=0.18, linewidth=0)
            axis.set_title(name if name == MEAN else task_label(name))
            axis.set_xlabel("episodes per task")
        axes[0][0].set_ylabel("return")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return Drawing(name="joined", title="One agent for all tasks", figure=figure, data=found, caption=caption)


def caption_of(runs: Sequence[store.Run]) -> str:
    """Protocols, agent, commits and n, from the records."""
    said = {
        name: ", ".join(sorted({str(run.manifest[name])[: 12 if name == "commit" else None] for run in runs}))
        for name in ("protocol", "label", "commit")
    }
    numbers = {group: len({run.manifest["seed"] for run in runs if group_of(run) == group}) for group in LABELS}
    return (
        f"One agent for all tasks (n = {count(numbers['one'], 'seed')}) beside an agent for each (n = {numbers['each']}) at "
        f"equal episodes per task: {said['label']} under {said['protocol']}, commit {said['commit']}. Lines: mean over runs; "
        "bands: 95% interval of the mean."
    )


def joined(
    paths: Sequence[str | Path], *, methods: Sequence[str] = (), tasks: Sequence[str] = (), reps: int = 10_000
) -> tuple[Drawing, list[str]]:
    """The figure from runs folders with both kinds of runs, and one line about each thing that was left out.

    methods  the agent to draw, if the folders have several
    tasks    tasks to draw; all joined tasks by default

    Raises UserError if a kind of run is missing, and for several agents, because the figure compares an agent with itself.
    """
    folders, files = comparison.split_paths(paths)
    if files:
        raise UserError(
            f"figure 'joined' reads the tasks of episodes from records, and {files[0]} is a score file; give runs folders"
        )
    of_methods = f" for {', '.join(methods)}" if methods else ""
    of_joined = [run for run in comparison.runs_of(folders) if group_of(run) is not None]
    found = [run for run in of_joined if not methods or run.manifest["label"] in methods]
    counted = [run for run in found if run.state() == "done" and run.manifest["limit_env_steps"] is None]
    notes = [
        f"left out: {run.manifest['label']}, {run.manifest['task']}, seed {run.manifest['seed']} is cut or not complete"
        for run in found
        if run not in counted
    ]
    for group, protocol in (("one", "joined-small@2"), ("each", "apart-small@2")):
        if not any(group_of(run) == group for run in counted):
            raise UserError(
                f"these hold no complete run of {LABELS[group]}{of_methods}; "
                f"figure 'joined' compares two protocols: run {protocol}, for example, and name its folder too"
            )
    labels = sorted({str(run.manifest["label"]) for run in counted})
    if len(labels) > 1:
        raise UserError(
            f"figure 'joined' compares an agent with itself, and these runs are of {', '.join(labels)}; "
            "choose one with --methods"
        )
    table = points(counted)
    both = set.intersection(*(set(table.loc[table["group"] == group, "task"]) for group in LABELS))
    shown = both & set(named(tasks)) if tasks else both
    if not shown:
        among = f" among {', '.join(tasks)}" if tasks else ""
        raise UserError(f"these runs have no task of both kinds{among}; they share {', '.join(sorted(both)) or 'none'}")
    return draw(curves(table[table["task"].isin(shown)], reps), caption_of(counted)), notes
