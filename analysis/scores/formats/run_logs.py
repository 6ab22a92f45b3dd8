"""Logs of one run by training programs: JSON Lines, stable-baselines3's monitor and evaluations, wandb's export."""

from __future__ import annotations

import json
import re

import numpy as np

from analysis.scores.formats import archives, columns, log_names
from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, is_number, load_json, problem
from analysis.scores.import_options import Options


def parse_json_lines(source: Source, options: Options) -> Raw:
    """Dreamer's metrics.jsonl and scores.jsonl: one object per line, with `step` and a return."""
    import pandas as pd

    lines = []
    for number, line in enumerate(source.text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = load_json(line, source.path)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise problem(source.path, number, "is not a JSON object", "remove the line, or export the log again")
        lines.append((number, entry))
    keys = {key for _, entry in lines for key in entry}
    score = options.score or log_names.first(log_names.SCORES, keys)
    step = options.step or log_names.first(log_names.STEPS, keys)
    if score not in keys:
        raise problem(
            source.path, "", "holds no return known here", f"name its key with `import --score`, one of {_some(keys)}"
        )
    if step not in keys:
        raise problem(source.path, "", "holds no count of steps", f"name its key with `import --step`, one of {_some(keys)}")
    rows = []
    for number, entry in lines:
        if entry.get(score) is None or entry.get(step) is None:
            continue
        for key in (score, step):
            if not is_number(entry[key]):
                raise problem(source.path, number, f"{key!r} is {entry[key]!r}", "it must be a number")
        rows.append((number, float(entry[step]), float(entry[score])))
    notes: tuple[str, ...] = (f"scores are the key {score!r}",) if options.score is None else ()
    if len(rows) < len(lines):
        notes += (f"{len(lines) - len(rows)} lines without {score!r} left out",)
    frame = pd.DataFrame(rows, columns=["place", "step", "score"])
    return Raw(frame=frame, unit=log_names.STEPS.get(str(step)), steps=str(step), is_log=True, notes=notes)


def parse_monitor(source: Source, options: Options) -> Raw:
    """stable-baselines3's monitor.csv: a line of JSON with env_id, then r, l, t for every training episode."""
    import pandas as pd

    head, _, rest = source.text.lstrip().partition("\n")
    try:
        about = json.loads(head[1:])
    except (ValueError, RecursionError):
        raise problem(source.path, 1, "is no JSON after the #", "take the file as stable-baselines3 wrote it") from None
    body = columns.table_of(Source(source.path, rest.encode()))
    for name in ("r", "l"):
        if name not in body:
            raise problem(source.path, 2, f"has no column {name!r}", "take the file as stable-baselines3 wrote it")
    lengths = columns.number_of(body, "l", source.path)
    frame = pd.DataFrame(
        {"place": body["place"] + 1, "step": lengths.cumsum(), "score": columns.number_of(body, "r", source.path)}
    )
    task = str(about.get("env_id") or "") if isinstance(about, dict) else ""
    notes = ("the steps are those of this file's environment alone: a run with N environments has N such files",)
    return Raw(
        frame=frame.assign(task=task) if task and task != "None" else frame, steps="the sum of l", is_log=True, notes=notes
    )


def parse_evaluations(source: Source, options: Options) -> Raw:
    """stable-baselines3's evaluations.npz: timesteps [T], results [T, episodes]."""
    import pandas as pd

    arrays = archives.arrays_of(source)
    for name in ("timesteps", "results"):
        if name not in arrays:
            raise problem(source.path, "", f"holds no array {name!r}", "take the file as stable-baselines3 wrote it")
    steps, results = arrays["timesteps"], arrays["results"]
    if results.ndim == 1:
        results = results[:, None]
    if (
        steps.ndim != 1
        or results.ndim != 2
        or len(steps) != len(results)
        or {steps.dtype.kind, results.dtype.kind} - set("iuf")
    ):
        raise problem(
            source.path,
            "",
            f"timesteps {steps.dtype}{list(steps.shape)} and results {results.dtype}{list(results.shape)} do not fit",
            "expected numbers, timesteps [T] and results [T, episodes]",
        )
    evaluations, episodes = results.shape
    frame = pd.DataFrame(
        {
            "place": [f"evaluation {number}" for number in np.repeat(np.arange(1, evaluations + 1), episodes)],
            "step": np.repeat(steps, episodes).astype(float),
            "score": results.ravel().astype(float),
            "episode": np.tile(np.arange(episodes), evaluations),
        }
    )
    return Raw(frame=frame, steps="timesteps")


def parse_wandb(source: Source, options: Options) -> Raw:
    """wandb's CSV export of a chart: a step column, and for each run "RUN - METRIC" with its __MIN and __MAX."""
    import pandas as pd

    body = columns.table_of(source)
    step = options.step or columns.header_of(source)[0]
    if step not in body:
        raise problem(source.path, 1, f"has no column {step!r}", "name the column of steps with `import --step`")
    runs = wandb_runs(list(body.columns))
    metrics = sorted({metric for _, metric in runs.values()})
    chosen = options.score or (metrics[0] if len(metrics) == 1 else None)
    if chosen not in metrics:
        raise problem(source.path, 1, f"holds the metrics {', '.join(metrics)}", "choose one with `import --score`")
    steps = columns.number_of(body, step, source.path)
    parts = []
    for column, (run, metric) in runs.items():
        if metric == chosen:
            score = columns.number_of(body, column, source.path)
            part = pd.DataFrame({"place": body["place"], "step": steps, "score": score, "label": run, "seed": run})
            parts.append(part[part["score"].notna()])
    notes = (f"scores are {chosen!r}, the run's name is its seed unless `import --pattern` says otherwise",)
    unit = log_names.STEPS.get(step) if step not in ("Step", "_step") else None
    return Raw(frame=pd.concat(parts, ignore_index=True), unit=unit, steps=step, is_log=True, notes=notes)


def wandb_runs(header: list[str]) -> dict[str, tuple[str, str]]:
    """Column -> run and metric, for the columns that have a minimum and a maximum from wandb."""
    found = {}
    for column in header:
        named = re.fullmatch(r"(.+?) - (.+)", column)
        if named and f"{column}__MIN" in header and f"{column}__MAX" in header:
            found[column] = (named[1].strip(), named[2].strip())
    return found


def _some(keys: set[str]) -> str:
    return ", ".join(sorted(keys)[:8])
