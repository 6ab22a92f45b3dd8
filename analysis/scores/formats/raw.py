"""What every reader hands over, and the one place where names, units, holes and repeats of score files are checked."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.scores import tasks
from analysis.scores.columns import COLUMNS
from dreamer_bench_base import InvalidData, UserError

if TYPE_CHECKING:
    import pandas as pd

Unit = Literal["env_steps", "frames", "agent_steps"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a file does not say itself.

    method, task   names to use instead of the file's own
    protocol       protocol id to file the points under
    unit           what the step column counts; None: what its name says, else simulator steps
    action_repeat  simulator steps per agent step, needed for agent steps
    suite          prefix of the tasks of another package
    nulls          points without a score: "fail" names the first one, "drop" leaves them out and says how many
    """

    method: str | None = None
    task: str | None = None
    protocol: str | None = None
    unit: Unit | None = None
    action_repeat: int | None = None
    suite: str | None = None
    nulls: Literal["fail", "drop"] = "fail"


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Points as the file has them.

    frame  place (line number or "entry 3, point 7"), method, task, seed, step, score; optional episode, protocol, final,
           device_seconds, source
    unit   what the file says its steps count; None where it says nothing
    notes  what the reader left out
    """

    frame: pd.DataFrame
    unit: Unit | None = None
    notes: tuple[str, ...] = ()


def problem(path: Path, place: object, what: str, cure: str) -> InvalidData:
    """One line that names file, line and cure."""
    return InvalidData(f"{_address(path, place)}: {what}; {cure}")


def _address(path: Path, place: object) -> str:
    return f"{path}:{place}" if isinstance(place, (int, np.integer)) else f"{path}, {place}" if place else str(path)


def content(path: Path) -> str:
    """The text of a file, decompressed where it is gzip."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a score file or a runs folder") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a score file or a runs folder") from None
    if data[:2] == b"\x1f\x8b":
        data = _unzipped(data, path)
    if data[:4] == b"PK\x03\x04":
        raise UserError(f"{path} is a zip or npz archive; unpack it, or import the score file it was made from")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise problem(path, line, "is not UTF-8 text", "give a CSV or JSON score file, gzip or plain") from None
    if not text.strip():
        raise InvalidData(f"{path}: the file is empty; export the scores again")
    return text


def _unzipped(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        line, stream = 1, zlib.decompressobj(wbits=31)
        with contextlib.suppress(zlib.error):  # in pieces, since a damaged piece gives nothing
            for start in range(0, len(data), 1_024):
                line += stream.decompress(data[start : start + 1_024]).count(b"\n")
        raise problem(path, line, "the gzip stream is cut short or damaged here", "copy or download the file again") from None


def finish(raw: Raw, path: Path, options: Options) -> tuple[pd.DataFrame, list[str]]:
    """A table (COLUMNS) of raw points, sorted, and notes. Raises InvalidData naming the first bad point."""
    frame, notes = raw.frame.copy(), list(raw.notes)
    if frame.empty:
        raise InvalidData(f"{path}: holds no points; export the scores again")
    if options.method is not None:
        frame["method"] = options.method
    if options.task is not None:
        frame["task"] = options.task
    _named(frame, path)
    frame["task"] = _tasks(frame, path, options)
    _finite(frame, "step", path)
    frame["env_steps"] = _env_steps(frame, raw.unit, path, options)
    empty = ~np.isfinite(frame["score"].to_numpy(float))
    if empty.any():
        first = frame[empty].iloc[0]
        if options.nulls == "fail":
            raise problem(
                path,
                first["place"],
                f"{_cell(first)} has no finite score",
                "mend it, or leave such points out with `import --nulls drop`",
            )
        notes.append(f"{path}: {int(empty.sum())} points without a score left out, the first of {_cell(first)}")
        frame = frame[~empty]
    for name, default in {"protocol": "", "episode": 0, "final": False, "device_seconds": np.nan, "source": str(path)}.items():
        if name not in frame:
            frame[name] = default
    if options.protocol is not None:
        frame["protocol"] = options.protocol
    keys = ["protocol", "method", "task", "seed", "env_steps", "episode", "final"]
    repeated = frame[frame.duplicated(keys)]
    if len(repeated):
        again = repeated.iloc[0]
        raise problem(
            path,
            again["place"],
            f"{_cell(again)} at {again['env_steps']:,} env_steps is there twice",
            "remove one, or number the episodes of one evaluation in a column 'episode'",
        )
    frame = frame.astype(
        {"env_steps": "int64", "episode": "int64", "score": float, "final": bool, "device_seconds": float, "seed": str}
    )
    frame["place"] = [_address(path, place) for place in frame["place"]]
    return frame[list(COLUMNS)].sort_values(keys, ignore_index=True), notes


def _named(frame: pd.DataFrame, path: Path) -> None:
    for name in ("method", "task", "seed"):
        frame[name] = frame[name].astype(str).str.strip()
        empty = frame[frame[name].isin(["", "nan", "None"])]
        if len(empty):
            raise problem(
                path, empty.iloc[0]["place"], f"has no {name}", f"fill it in{f', or give --{name}' if name != 'seed' else ''}"
            )


def _tasks(frame: pd.DataFrame, path: Path, options: Options) -> pd.Series:
    names = {}
    for name in frame["task"].unique():
        try:
            names[name] = tasks.canonical(name, suite=options.suite)
        except InvalidData as error:
            what, _, cure = str(error).partition("; ")
            raise problem(path, frame.loc[frame["task"] == name, "place"].iloc[0], what, cure) from None
    return frame["task"].map(names)


def _finite(frame: pd.DataFrame, name: str, path: Path) -> None:
    value = frame[name].to_numpy(float)
    bad = frame[~np.isfinite(value) | (value < 0)]
    if len(bad):
        raise problem(path, bad.iloc[0]["place"], f"{name} is {bad.iloc[0][name]}", "it must be a count of 0 or more")


def _env_steps(frame: pd.DataFrame, unit: Unit | None, path: Path, options: Options) -> pd.Series:
    """Simulator steps, action repeat included; frames are simulator steps."""
    stated, given = ("agent_steps" if kind == "agent_steps" else "env_steps" if kind else None for kind in (unit, options.unit))
    if stated and given and stated != given:
        raise problem(
            path,
            frame["place"].iloc[0],
            f"the steps are {unit} by their column's name, not {options.unit}",
            "leave --unit out, or rename the column",
        )
    if (stated or given) == "agent_steps":
        if options.action_repeat is None:
            raise problem(
                path,
                frame["place"].iloc[0],
                "the steps are agent steps",
                "say how many simulator steps one is with `import --action-repeat N`",
            )
        return (frame["step"] * options.action_repeat).round().astype("int64")
    if options.action_repeat is not None:
        raise UserError(
            f"{path} counts simulator steps, so --action-repeat has nothing to convert; leave it out or add --unit agent_steps"
        )
    return frame["step"].round().astype("int64")


def _cell(row: pd.Series) -> str:
    return f"{row['method']}, {row['task']}, seed {row['seed']}"
