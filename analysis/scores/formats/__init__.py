"""Score files of other projects, each read by a module of its own, and the formats that this project writes.

A reader turns bytes into raw points (`Raw`) and knows one format; `raw.finish` is where names, units, holes and repeats
are checked,
once for all of them. `read_file` recognises a file by its content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.scores.formats import columns, danijar, dopamine, marl_eval
from analysis.scores.formats.raw import Options, Raw, content, finish, problem
from dreamer_bench_base import UserError

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[str, Path, Options], Raw]

READERS: Mapping[str, Reader] = {
    "danijar": danijar.parse,
    "tidy": columns.parse_tidy,
    "tdmpc2": columns.parse_tdmpc2,
    "drqv2": columns.parse_drqv2,
    "slac": columns.parse_slac,
    "dopamine": dopamine.parse,
    "marl-eval": marl_eval.parse,
}


def read_file(path: Path, options: Options | None = None, format: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The points of one score file as a table, and notes on what was left out.

    format None: recognised by content. Raises InvalidData (one line: file, line, cure) or ValueError for what is not a
    score file.
    """
    options = options or Options()
    text = content(path)
    if format is not None and format not in READERS:
        raise UserError(f"format {format!r} is not known; choose from {', '.join(READERS)}")
    raw = READERS[format or recognize(text, path)](text, path, options)
    return finish(raw, path, options)


def recognize(text: str, path: Path) -> str:
    """The name of the format a text is in."""
    start = text.lstrip()[:1]
    if start == "[":
        return "dopamine" if '"Iteration"' in text[:2_000] else "danijar"
    if start == "{":
        return "marl-eval"
    header = set(columns.header_of(text))
    if {"method", "task", "seed"} <= header:
        return "tidy"
    if "OriginalEnvironmentSteps" in header:
        return "slac"
    if {"seed", "episode_reward"} <= header:
        return "drqv2"
    if {"seed", "step"} <= header and header & {"reward", "return"}:
        return "tdmpc2"
    raise problem(
        path,
        1,
        "is no score file known here",
        f"expected one of {', '.join(READERS)}; a tidy CSV starts with method,task,seed,env_step,score",
    )
