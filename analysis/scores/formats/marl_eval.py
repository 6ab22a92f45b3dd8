"""marl-eval's JSON (Gorsane et al. 2022): environment -> task -> algorithm -> run -> step -> {step_count, metric: [values]}."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scores import tasks
from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, is_number, problem
from analysis.scores.import_options import Options
from dreamer_bench_base import InvalidData

if TYPE_CHECKING:
    import pandas as pd

ABSOLUTE = "absolute_metrics"
METRICS = ("return", "episode_return", "mean_episode_return", "score")
"""Names of returns, of which the first one present is read. The values of a list are the episodes of an evaluation."""


def parse(source: Source, options: Options) -> Raw:
    """Raw points. Absolute metrics become the final evaluation at the last step of the run."""
    import pandas as pd

    path = source.path
    rows = []
    for environment, task, method, run, steps in _runs(source.json, path):
        place = f"{environment}/{task}/{method}/{run}"
        name = _task(environment, task, options)
        last = 0.0
        for step, entry in sorted(steps.items(), key=lambda item: item[0] == ABSOLUTE):
            if not isinstance(entry, dict):
                raise problem(path, f"{place}/{step}", "is no object", "expected {step_count, metric: [values]}")
            metric = next((metric for metric in METRICS if metric in entry), None)
            if metric is None:
                raise problem(
                    path, f"{place}/{step}", f"holds none of {', '.join(METRICS)}", "rename the metric that is the return"
                )
            if step != ABSOLUTE and not is_number(entry.get("step_count")):
                raise problem(path, f"{place}/{step}", "has no step_count", "add the number of simulator steps")
            count = last if step == ABSOLUTE else float(entry["step_count"])
            last = max(last, count)
            values = entry[metric] if isinstance(entry[metric], list) else [entry[metric]]
            for episode, value in enumerate(values):
                if value is not None and not is_number(value):
                    raise problem(path, f"{place}/{step}", f"{metric} holds {value!r}", "it must be a number or null")
                score = float("nan") if value is None else float(value)
                rows.append(
                    (
                        place,
                        method,
                        name,
                        run.removeprefix("seed_").removeprefix("run_"),
                        count,
                        episode,
                        score,
                        step == ABSOLUTE,
                    )
                )
    frame = pd.DataFrame(rows, columns=["place", "method", "task", "seed", "step", "episode", "score", "final"])
    return Raw(frame=frame, steps="step_count")


def dump(table: pd.DataFrame) -> str:
    """The table as this JSON, with the suite as environment and final episodes as absolute metrics."""
    tree: dict[str, Any] = {}
    for (task, method, seed), group in table.groupby(["task", "method", "seed"], sort=True):
        suite = tasks.suite_of(str(task))
        name = str(task)[len(suite) + 1 :]
        run = tree.setdefault(suite, {}).setdefault(name, {}).setdefault(method, {}).setdefault(f"seed_{seed}", {})
        regular = group[~group["final"]]
        for number, (env_steps, points) in enumerate(regular.groupby("env_steps")):
            run[f"step_{number}"] = {
                "step_count": int(str(env_steps)),
                "return": points.sort_values("episode")["score"].tolist(),
            }
        final = group[group["final"]]
        if len(final):
            run[ABSOLUTE] = {"return": final.sort_values("episode")["score"].tolist()}
    return json.dumps(tree, allow_nan=False) + "\n"


def _runs(tree: Any, path: Path) -> Iterator[tuple[str, str, str, str, dict[str, Any]]]:
    def entries(node: Any, place: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, dict):
            raise problem(path, place, "is no object", "expected environment -> task -> algorithm -> run -> step")
        yield from node.items()

    for environment, of_environment in entries(tree, ""):
        for task, of_task in entries(of_environment, environment):
            for method, of_method in entries(of_task, f"{environment}/{task}"):
                for run, steps in entries(of_method, f"{environment}/{task}/{method}"):
                    yield environment, task, method, run, dict(entries(steps, f"{environment}/{task}/{method}/{run}"))


def _task(environment: str, task: str, options: Options) -> str:
    """`dmc` + `walker_walk`, or only the name of the task if the environment is not one of our suites."""
    for name in (f"{environment}_{task}", task):
        try:
            return tasks.canonical(name, suite=options.suite, own=options.own_tasks)
        except InvalidData:
            continue
    return f"{environment}_{task}"
