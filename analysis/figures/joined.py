"""One agent for several tasks beside an agent for each, at equal episodes per task (PlaNet's figures 6 and 7).

From records alone: runs of a protocol that joins tasks, and runs of the protocol that gives each of them an agent. Both name
the task of every evaluation episode. Line: mean over runs and episodes; band: 95% interval of the mean, runs resampled within
tasks.
Source of the idea: Hafner et al. 2019, appendix C; docs/algorithms/planet.md §7.

    python -m analysis.figures.joined RUNS_TOGETHER RUNS_APART FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.scores import from_runs
from analysis.statistics import bootstrap
from dreamer_bench_base import UserError
from protocols.records import store

if TYPE_CHECKING:
    import pandas as pd

REPS, CONFIDENCE = 10_000, 0.95
LENGTH = 1_000
"""Simulator steps of an episode of DeepMind Control; the protocols here join no others."""
MEAN = "mean of the tasks"
LABELS = {"one": "one agent for all", "each": "an agent for each"}
COLORS = {"one": "#0072b2", "each": "#d55e00"}


def decisions_per_round(data: Mapping[str, Any], task: str) -> int:
    """Decisions of one episode of each task that a run joins, none of which ends early. data: a manifest's `protocol_data`."""
    parts = data.get("joined", {}).get(task)
    if not parts:
        raise UserError(f"{data['id']} joins no tasks in {task!r}; give runs of joined-small@1 and apart-small@1, for example")
    limit = {**{"time_limit_env_steps": data["time_limit_env_steps"]}, **data["task_options"].get(task, {})}[
        "time_limit_env_steps"
    ]
    own = [-(-LENGTH // int(part.partition("*")[2])) for part in parts]
    return sum(length if limit is None else min(int(limit), length) for length in own)


def points(root: Path, group: str) -> pd.DataFrame:
    """Mean score of every run at each of its evaluations: group, method, task, seed, episodes (per task), score."""
    import pandas as pd

    rows = []
    for run in from_runs.find(root):
        data, manifest = run.manifest["protocol_data"], run.manifest
        if run.result() is None:
            continue
        per_round = decisions_per_round(data, str(manifest["task"]))
        for line in from_runs.episodes(run):
            if not line["final"]:
                place = (group, str(manifest["label"]), str(line["task"]), str(manifest["seed"]), line["env_steps"] / per_round)
                rows.append((*place, float("nan") if line["score"] is None else line["score"]))
    if not rows:
        raise UserError(f"{root} holds no finished run on joined tasks; run joined-small@1 or apart-small@1 first")
    table = pd.DataFrame(rows, columns=["group", "method", "task", "seed", "episodes", "score"])
    return table.groupby(["group", "method", "task", "seed", "episodes"], as_index=False)["score"].mean()


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """group, task (or MEAN), episodes, mean, low, high, runs: the mean over runs of each task, and over the tasks."""
    import pandas as pd

    rows = []
    for (group, episodes), part in table.groupby(["group", "episodes"], sort=True):
        by_task = {task: np.sort(rows_of["score"].to_numpy()) for task, rows_of in part.groupby("task", sort=True)}
        for name, chosen in [*((task, [task]) for task in by_task), (MEAN, list(by_task))]:
            values = [by_task[task] for task in chosen]
            low, high = _interval(chosen, values)
            mean = float(np.mean([value.mean() for value in values]))
            rows.append((group, name, float(episodes), mean, low, high, min(map(len, values))))
    return pd.DataFrame(rows, columns=["group", "task", "episodes", "mean", "low", "high", "runs"])


def _interval(tasks: Sequence[str], values: list[np.ndarray]) -> tuple[float, float]:
    """Of the mean over tasks of their runs' means; runs are resampled within tasks."""
    weights = np.concatenate([value / len(value) for value in values]) / len(values)
    generator = bootstrap.generator("joined tasks", tasks, values)
    drawn = bootstrap.draws([len(value) for value in values], REPS, generator)
    low, high = bootstrap.interval(np.concatenate([weights @ counts.astype(np.float64) for counts in drawn]), CONFIDENCE)
    return float(low), float(high)


def draw(found: pd.DataFrame, folder: Path, caption: str) -> list[Path]:
    """Writes one-agent-all-tasks.svg, .png and .csv; a panel per task and one of their mean."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    from analysis.figures.style import RC, task_label

    names = [*sorted(set(found["task"]) - {MEAN}), MEAN]
    settings: Any = {**RC, "svg.hashsalt": "joined"}
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(1, len(names), figsize=(2.4 * len(names), 2.9), sharey=True, squeeze=False)
        for axis, name in zip(axes[0], names):
            for group, label in LABELS.items():
                line = found[(found["group"] == group) & (found["task"] == name)].sort_values("episodes")
                axis.plot(
                    line["episodes"], line["mean"], color=COLORS[group], marker="o" if group == "one" else "s", label=label
                )
                axis.fill_between(line["episodes"], line["low"], line["high"], color=COLORS[group], alpha=0.18, linewidth=0)
            axis.set_title(name if name == MEAN else task_label(name))
            axis.set_xlabel("episodes per task")
        axes[0][0].set_ylabel("return")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        figure.supxlabel(caption, fontsize=7.5)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"one-agent-all-tasks.{kind}" for kind in ("svg", "png", "csv")]
        figure.savefig(paths[0], metadata={"Date": None})
        figure.savefig(paths[1], dpi=120)
        pyplot.close(figure)
    found.round(4).to_csv(paths[2], index=False, lineterminator="\n")
    return paths


def caption_of(roots: Sequence[Path]) -> str:
    """Protocols, agent, commits and n, from the records."""
    runs: list[store.Run] = [run for root in roots for run in from_runs.find(root) if run.result() is not None]
    said = {
        name: ", ".join(sorted({str(run.manifest[name])[: 12 if name == "commit" else None] for run in runs}))
        for name in ("protocol", "label", "commit")
    }
    seeds = len({run.manifest["seed"] for run in runs})
    return f"{said['label']} under {said['protocol']}, commit {said['commit']}; {seeds} seeds; mean, 95% interval"


def main(together: str, apart: str, folder: str) -> None:
    import pandas as pd

    roots = [Path(together), Path(apart)]
    table = pd.concat([points(roots[0], "one"), points(roots[1], "each")], ignore_index=True)
    if table["method"].nunique() > 1:
        raise UserError(f"one agent is compared with itself, but the records are of {', '.join(sorted(set(table['method'])))}")
    for path in draw(curves(table), Path(folder), caption_of(roots)):
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:4])
