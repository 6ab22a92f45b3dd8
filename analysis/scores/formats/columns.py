"""Score files that are CSV: tidy ones, TD-MPC(2)'s one file per task, DrQ's and DrQ-v2's curves, SLAC's."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.scores.formats.raw import Options, Raw, Unit, problem

if TYPE_CHECKING:
    import pandas as pd

STEPS: Mapping[str, Unit | None] = {
    "env_step": "env_steps",
    "env_steps": "env_steps",
    "frame": "frames",
    "frames": "frames",
    "OriginalEnvironmentSteps": "env_steps",
    "agent_step": "agent_steps",
    "agent_steps": "agent_steps",
    "step": None,
    "steps": None,
}
"""Step columns and what their names say they count; None: the name does not say."""

EMPTY = ("", "nan", "NaN", "null", "None", "NA")


def header_of(text: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([text.split("\n", 1)[0].strip()]))]


def parse_tidy(text: str, path: Path, options: Options) -> Raw:
    """method, task, seed, a step column, score; optional episode, protocol, final, device_seconds, source, unit."""
    return _parse(text, path, {"method": "method", "task": "task", "seed": "seed", "score": "score"})


def parse_tdmpc2(text: str, path: Path, options: Options) -> Raw:
    """step, reward (or return), seed; the task is the file's name ("walker-walk.csv"), the method "tdmpc2" unless given."""
    score = "return" if "return" in header_of(text) else "reward"
    task = options.task or re.sub(r"\.csv(\.gz)?$", "", path.name)
    return _parse(text, path, {"seed": "seed", "score": score}, {"method": options.method or "tdmpc2", "task": task})


def parse_drqv2(text: str, path: Path, options: Options) -> Raw:
    """agent, task (or env), seed, frame (or step), episode_reward; `hour` where present becomes device_seconds."""
    names = header_of(text)
    task = "task" if "task" in names else "env"
    method = "agent" if "agent" in names else "Agent"
    return _parse(text, path, {"method": method, "task": task, "seed": "seed", "score": "episode_reward"})


def parse_slac(text: str, path: Path, options: Options) -> Raw:
    """domain_name, task_name, trial_id, AverageReturnEvalPolicy, OriginalEnvironmentSteps; a method per decoder variance."""
    raw = _parse(
        text, path, {"seed": "trial_id", "score": "AverageReturnEvalPolicy", "task": "task_name", "domain": "domain_name"}
    )
    raw.frame["task"] = raw.frame["domain"] + "_" + raw.frame["task"]
    variance = raw.frame.get("decoder_var")
    raw.frame["method"] = "slac" if variance is None else "slac_decvar_" + variance.astype(str)
    return raw


def _parse(text: str, path: Path, names: Mapping[str, str], fixed: Mapping[str, str] | None = None) -> Raw:
    """Reads a CSV as text and converts its numbers, so that a bad one can be named with its line."""
    import pandas as pd

    header = header_of(text)
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise problem(path, 1, f"has two columns {repeated[0]!r}", "remove one")
    for wanted in names.values():
        if wanted not in header:
            raise problem(
                path,
                1,
                f"has no column {wanted!r}, only {', '.join(filter(None, header))}",
                "rename the column or choose another format",
            )
    step = _step_column(header, path)
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False, skipinitialspace=True)
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found:
            raise problem(path, int(found[2]), f"has {found[3]} fields instead of {found[1]}", "mend that line") from None
        raise problem(path, "", f"is no readable CSV ({str(error).strip().splitlines()[-1]})", "export it again") from None
    frame.columns = frame.columns.str.strip()
    frame["place"] = range(2, len(frame) + 2)
    frame = frame.fillna("")
    blank = (frame[[name for name in header if name in frame]] == "").all(axis=1)
    frame = frame[~blank].reset_index(drop=True)
    units = sorted(set(frame["unit"])) if "unit" in frame else []
    if len(units) > 1:
        raise problem(
            path,
            int(frame.loc[frame["unit"] != frame["unit"].iloc[0], "place"].iloc[0]),
            f"mixes the units {' and '.join(units)}",
            "convert the steps to one unit",
        )
    if units and units[0] not in ("env_steps", "frames", "agent_steps"):
        raise problem(path, 2, f"has the unit {units[0]!r}", "it must be env_steps, frames or agent_steps")
    result = pd.DataFrame({"place": frame["place"], "step": _number(frame, step, path)})
    for name, column in names.items():
        result[name] = _number(frame, column, path) if name == "score" else frame[column]
    for name, value in (fixed or {}).items():
        result[name] = value
    for name in ("episode", "device_seconds", "hour"):
        if name in frame and not (name == "episode" and "episode_reward" in frame):  # DrQ's `episode` counts training episodes
            result[name] = _number(frame, name, path)
    if "hour" in result:
        result["device_seconds"] = result.pop("hour") * 3_600.0
    if "episode" in result:
        bad = result[result["episode"].isna()]
        if len(bad):
            raise problem(
                path, int(bad["place"].iloc[0]), "has no episode number", "number the episodes of an evaluation from 0"
            )
    if "final" in frame:
        result["final"] = frame["final"].str.lower().isin(["true", "1"])
    for name in ("protocol", "source", "decoder_var"):
        if name in frame:
            result[name] = frame[name]
    unit = STEPS[step] or (units[0] if units else None)
    return Raw(frame=result, unit=unit)  # type: ignore[arg-type]


def _step_column(header: list[str], path: Path) -> str:
    found = [name for name in STEPS if name in header]
    counted = {"agent_steps" if STEPS[name] == "agent_steps" else "env_steps" for name in found}
    if not found:
        raise problem(path, 1, "has no column of steps", f"name one of {', '.join(STEPS)}")
    if len(counted) > 1:
        raise problem(path, 1, f"mixes units: the columns {' and '.join(found)} count different steps", "keep one of them")
    return found[0]


def _number(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    import pandas as pd

    value = pd.to_numeric(frame[name], errors="coerce")
    bad = frame[value.isna() & ~frame[name].isin(EMPTY)]
    if len(bad):
        raise problem(path, int(bad["place"].iloc[0]), f"column {name!r} holds {bad[name].iloc[0]!r}", "it must be a number")
    return value.astype(float)
