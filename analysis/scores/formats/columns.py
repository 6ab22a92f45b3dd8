"""Score files in CSV: tidy files, TD-MPC(2)'s files per task, curves of DrQ and DrQ-v2, SLAC's, and logs of one run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.scores.formats import log_names
from analysis.scores.formats.log_names import STEPS
from analysis.scores.formats.raw import Raw
from analysis.scores.formats.source import Source, problem
from analysis.scores.import_options import Options

if TYPE_CHECKING:
    import pandas as pd

EMPTY = ("", "nan", "NaN", "null", "None", "NA")


def header_of(source: Source) -> list[str]:
    """The names of the columns. Raises InvalidData if the first line is no line of a CSV."""
    try:
        return [name.strip() for name in next(csv.reader([source.text.lstrip().split("\n", 1)[0].strip()]), [])]
    except csv.Error as error:
        raise problem(
            source.path, 1, f"is no readable CSV ({error})", "export it again, with a line feed after each row"
        ) from None


def parse_tidy(source: Source, options: Options) -> Raw:
    """method, task, seed, a step column, score; optional episode, protocol, final, device_seconds, source, unit, own_task."""
    names = {"method": "method", "task": "task", "seed": "seed", "score": options.score or "score"}
    return _parse(source, names, options)


def parse_tdmpc2(source: Source, options: Options) -> Raw:
    """step, reward (or return), seed; the task is the file's name ("walker-walk.csv"), the method "tdmpc2" unless given."""
    score = options.score or ("return" if "return" in header_of(source) else "reward")
    return _parse(source, {"seed": "seed", "score": score}, options, assumed={"method": "tdmpc2", "task": source.stem})


def parse_drqv2(source: Source, options: Options) -> Raw:
    """agent, task (or env), seed, frame (or step), episode_reward; `hour`, if present, becomes device_seconds."""
    header = header_of(source)
    return _parse(source, {"seed": "seed", "score": options.score or "episode_reward", **_columns(header)}, options)


def parse_slac(source: Source, options: Options) -> Raw:
    """domain_name, task_name, trial_id, AverageReturnEvalPolicy, OriginalEnvironmentSteps; one method per decoder variance."""
    names = {"seed": "trial_id", "score": "AverageReturnEvalPolicy", "task": "task_name", "domain": "domain_name"}
    raw = _parse(source, names, options)
    raw.frame["task"] = raw.frame["domain"] + "_" + raw.frame["task"]
    variance = raw.frame.get("decoder_var")
    raw.frame["method"] = "slac" if variance is None else "slac_decvar_" + variance.astype(str)
    return raw


def parse_log(source: Source, options: Options) -> Raw:
    """The log of one run (eval.csv, progress.csv): a step column and a return, under the names that training programs use."""
    header = header_of(source)
    score = options.score or log_names.first(log_names.SCORES, header)
    if score is None:
        raise problem(source.path, 1, "has no column of returns known here", "name it with `import --score COLUMN`")
    seed = {"seed": "seed"} if "seed" in header else {}
    return _parse(source, {"score": score, **seed, **_columns(header)}, options, is_log=True)


def is_log(header: list[str], options: Options) -> bool:
    score = options.score or log_names.first(log_names.SCORES, header)
    return score in header and (options.step or log_names.first(STEPS, header)) in header


def _columns(header: list[str]) -> dict[str, str]:
    """Columns with the method and the task, if there are any."""
    found = {"method": log_names.first(log_names.METHODS, header), "task": log_names.first(log_names.TASKS, header)}
    return {name: column for name, column in found.items() if column is not None}


def table_of(source: Source) -> pd.DataFrame:
    """A CSV as text, with a column `place` for the line of each row and without blank lines."""
    import pandas as pd

    header = header_of(source)
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise problem(source.path, 1, f"has two columns {repeated[0]!r}", "remove one")
    try:
        frame = pd.read_csv(
            io.StringIO(source.text), dtype=str, keep_default_na=False, skip_blank_lines=False, skipinitialspace=True
        )
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found:
            raise problem(
                source.path, int(found[2]), f"has {found[3]} fields instead of {found[1]}", "correct that line"
            ) from None
        what = f"is no readable CSV ({str(error).strip().splitlines()[-1]})"
        raise problem(source.path, "", what, "export it again") from None
    frame.columns = frame.columns.str.strip()
    frame["place"] = range(2, len(frame) + 2)
    frame = frame.fillna("")
    blank = (frame[[name for name in header if name in frame]] == "").all(axis=1)
    return frame[~blank].reset_index(drop=True)


def _parse(
    source: Source,
    names: Mapping[str, str],
    options: Options,
    *,
    assumed: Mapping[str, str] | None = None,
    is_log: bool = False,
) -> Raw:
    """Converts the columns of a CSV one by one, so that an error can name the line of a bad number."""
    import pandas as pd

    path, header = source.path, header_of(source)
    for wanted in names.values():
        if wanted not in header:
            raise problem(
                path,
                1,
                f"has no column {wanted!r}, only {', '.join(filter(None, header))}",
                "rename the column or choose another format",
            )
    step = _step_column(header, path, options)
    frame = table_of(source)
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
    result = pd.DataFrame({"place": frame["place"]})
    result["step"] = float(options.at or 0) if step is None else number_of(frame, step, path)
    for name, column in names.items():
        result[name] = number_of(frame, column, path) if name == "score" else frame[column]
    if "score" in frame.columns and "method" in names:  # in other files, `episode` counts training episodes
        for name in ("episode",):
            if name in frame:
                result[name] = number_of(frame, name, path)
    if "device_seconds" in frame:
        result["device_seconds"] = number_of(frame, "device_seconds", path)
    if "hour" in frame:
        result["device_seconds"] = number_of(frame, "hour", path) * 3_600.0
    if "episode" in result:
        bad = result[result["episode"].isna()]
        if len(bad):
            raise problem(
                path, int(bad["place"].iloc[0]), "has no episode number", "number the episodes of an evaluation from 0"
            )
    for name in ("final", "own_task"):
        if name in frame:
            result[name] = frame[name].str.lower().isin(["true", "1"])
    for name in ("protocol", "source", "decoder_var"):
        if name in frame:
            result[name] = frame[name]
    notes: tuple[str, ...] = (f"scores are the column {names['score']!r}",) if is_log and options.score is None else ()
    if is_log:
        result = result[result["score"].notna() & result["step"].notna()].reset_index(drop=True)  # other rows log other things
        left = len(frame) - len(result)
        notes += (f"{left} rows without {names['score']!r} left out",) if left else ()
    unit = "given" if step is None else STEPS.get(step) or (units[0] if units else None)
    return Raw(
        frame=result,
        unit=unit,  # type: ignore[arg-type]
        steps=step or "--at",
        assumed=assumed or {},
        is_log=is_log,
        notes=notes,
    )


def _step_column(header: list[str], path: Path, options: Options) -> str | None:
    """The column of steps; None if there is none and --at gives the step."""
    if options.step is not None:
        if options.step not in header:
            raise problem(path, 1, f"has no column {options.step!r}", "name one of the file with --step")
        return options.step
    found = [name for name in STEPS if name in header]
    counted = {"agent_steps" if STEPS[name] == "agent_steps" else "env_steps" for name in found if STEPS[name]}
    if not found:
        if options.at is not None:
            return None
        known = ", ".join(name for name, unit in STEPS.items() if unit)
        raise problem(
            path, 1, "has no column of steps", f"call it one of {known}, name it with `import --step`, or give `import --at`"
        )
    if len(counted) > 1:
        raise problem(path, 1, f"mixes units: the columns {' and '.join(found)} count different steps", "keep one of them")
    return found[0]


def number_of(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """A column as numbers, NaN where it is empty. Raises InvalidData with the line of any other value."""
    import pandas as pd

    value = pd.to_numeric(frame[name], errors="coerce")
    bad = frame[value.isna() & ~frame[name].isin(EMPTY)]
    if len(bad):
        raise problem(path, int(bad["place"].iloc[0]), f"column {name!r} holds {bad[name].iloc[0]!r}", "it must be a number")
    return value.astype(float)
