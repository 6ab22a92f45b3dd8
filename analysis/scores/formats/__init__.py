"""Score files of other projects, with one reader per format, and the formats that this project writes.

A reader knows one format and turns a file into raw points (`Raw`). `raw.finish` checks names, units, holes and repeats for all
formats. `read_file` recognises a file by its content. docs/importing.md lists the formats, with a command for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scores.formats import archives, columns, danijar, dopamine, events, final_scores, marl_eval, run_logs
from analysis.scores.formats.raw import Raw, finish
from analysis.scores.formats.source import Source, problem, read
from analysis.scores.import_options import Options
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[Source, Options], Raw]

READERS: Mapping[str, Reader] = {
    "tidy": columns.parse_tidy,
    "danijar": danijar.parse,
    "marl-eval": marl_eval.parse,
    "dopamine": dopamine.parse,
    "atari-100k": final_scores.parse,
    "tdmpc2": columns.parse_tdmpc2,
    "drqv2": columns.parse_drqv2,
    "slac": columns.parse_slac,
    "csv-log": columns.parse_log,
    "json-lines": run_logs.parse_json_lines,
    "monitor": run_logs.parse_monitor,
    "evaluations": run_logs.parse_evaluations,
    "wandb": run_logs.parse_wandb,
    "tensorboard": events.parse,
    "rliable": archives.parse_rliable,
}


def read_file(path: Path, options: Options | None = None, format: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The points of one score file as a table, and notes on what was assumed and what was left out.

    format  None: recognised by content
    Raises InvalidData (one line: file, line, fix) for a damaged file, and UserError for a file that is not a score file.
    """
    options = options or Options()
    source = read(path)
    if format is not None and format not in READERS:
        raise UserError(f"format {format!r} is not known; choose from {', '.join(READERS)}")
    raw = READERS[format or recognize(source, options)](source, options)
    return finish(raw, path, options)


def recognize(source: Source, options: Options | None = None) -> str:
    """The name of the format of a file. Raises InvalidData with the list of formats if it has none of them."""
    if source.is_archive:
        names = archives.names_of(source)
        found = "evaluations" if {"timesteps", "results"} <= names else "rliable" if "tasks" in names else None
    elif source.is_event_file:
        found = "tensorboard"
    else:
        start = source.text.lstrip()[:1]
        found = (
            _of_lines(source)
            if start == "{"
            else _of_list(source.json)
            if start == "["
            else _of_table(source, options or Options())
        )
    if found is None:
        raise problem(
            source.path,
            1,
            "is not a known score file",
            f"expected one of {', '.join(READERS)} (docs/importing.md); a tidy CSV starts with method,task,seed,env_step,score",
        )
    return found


def _of_lines(source: Source) -> str | None:
    """The format of a file that starts with a JSON object: one JSON value, or one value per line."""
    first, _, rest = source.text.strip().partition("\n")
    lines = _is_object(first)
    if lines and (rest.strip() or any(isinstance(value, (int, float)) for value in _object(first).values())):
        return "json-lines"
    value = source.json
    if final_scores.is_this(value):
        return "atari-100k"
    return "marl-eval" if value and all(isinstance(entry, dict) for entry in value.values()) else None


def _of_list(value: Any) -> str | None:
    entry = value[0] if isinstance(value, list) and value else None
    if not isinstance(entry, dict):
        return None
    if "Iteration" in entry:
        return "dopamine"
    return "danijar" if {"xs", "ys", "task", "method"} & entry.keys() else None


def _of_table(source: Source, options: Options) -> str | None:
    if source.text.lstrip().startswith("#{"):
        return "monitor"
    names = columns.header_of(source)
    header = set(names)
    if run_logs.wandb_runs(names):
        return "wandb"
    if {"method", "task", "seed"} <= header:
        return "tidy"
    if "OriginalEnvironmentSteps" in header:
        return "slac"
    if {"seed", "episode_reward"} <= header and header & {"agent", "Agent"}:
        return "drqv2"
    if {"seed", "step"} <= header and header & {"reward", "return"} and not header & {"task", "env"}:
        return "tdmpc2"
    return "csv-log" if columns.is_log(names, options) else None


def _is_object(line: str) -> bool:
    try:
        return isinstance(_object(line), dict)
    except ValueError:
        return False


def _object(line: str) -> Any:
    import json

    try:
        return json.loads(line)
    except RecursionError:
        raise InvalidData("nested too deeply") from None
