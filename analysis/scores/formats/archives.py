"""Reads NumPy archives without unpickling and within size limits, and the archive that `export rliable` writes."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.scores.formats.raw import MOST_STEPS, Raw
from analysis.scores.formats.source import MOST_BYTES, Source, is_number, problem
from analysis.scores.import_options import Options
from dreamer_bench_base import InvalidData

DAMAGE = (
    *(ValueError, EOFError, OSError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What zipfile, the decompressors that it calls and NumPy raise for a file that is no sound archive of arrays."""


def names_of(source: Source) -> set[str]:
    """The arrays in an archive, by name."""
    return {entry.filename.removesuffix(".npy") for entry in _archive(source).infolist()}


def arrays_of(source: Source) -> dict[str, np.ndarray]:
    """The arrays of an archive. Raises InvalidData if it is damaged, pickled, or larger than a score file can be."""
    archive = _archive(source)
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise problem(source.path, "", f"unpacks to more than {MOST_BYTES // 2**20} MiB", "split it, or thin out its points")
    found = {}
    for entry in entries:
        try:
            with archive.open(entry) as file:
                found[entry.filename.removesuffix(".npy")] = _array(file.read(MOST_BYTES + 1))
        except DAMAGE as error:
            what = f"{entry.filename} is no array of numbers or text ({error})"
            raise problem(source.path, "", what, "save it without pickled objects") from None
    return found


def _array(data: bytes) -> np.ndarray:
    """One array. Its header is checked first, because NumPy would allocate memory for any shape in it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if np.prod([float(size) for size in shape]) * dtype.itemsize > len(data):
        raise ValueError("its header promises more than the file holds")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def parse_rliable(source: Source, options: Options) -> Raw:
    """The archive of `export rliable`: `tasks` [tasks], and scores [runs, tasks] per method."""
    import pandas as pd

    arrays, about = arrays_of(source), _comment(source)
    at = options.at or about.get("budget_env_steps")
    if "tasks" not in arrays:
        raise problem(source.path, "", "holds no array 'tasks'", "expected `tasks`, and scores [runs, tasks] per method")
    if at is None:
        raise problem(
            source.path, "", "does not say when its scores were reached", "give the budget with `import --at ENV_STEPS`"
        )
    if not is_number(at) or not 0 < at <= MOST_STEPS:
        raise problem(
            source.path, "", f"says that its budget is {str(at)[:40]}", "give it in env_steps with `import --at ENV_STEPS`"
        )
    units = about.get("normalization", "none@1")
    if units != "none@1":
        raise problem(
            source.path, "", f"holds scores in units of {units}, not returns", "export it again with `export --normalize none`"
        )
    tasks = [str(task) for task in arrays.pop("tasks").ravel()]
    rows: list[tuple[Any, ...]] = []
    for method, scores in arrays.items():
        if scores.ndim != 2 or scores.shape[1] != len(tasks) or scores.dtype.kind not in "iuf":
            what = f"{method} is {scores.dtype}{list(scores.shape)}"
            raise problem(source.path, "", what, f"expected numbers [runs, {len(tasks)} tasks]")
        rows += [
            (f"{method}, run {run + 1}", method, task, str(run), float(at), float(scores[run, column]))
            for run in range(len(scores))
            for column, task in enumerate(tasks)
        ]
    notes = () if "normalization" in about else ("its scores are taken as returns: the file does not say its units",)
    frame = pd.DataFrame(rows, columns=["place", "method", "task", "seed", "step", "score"])
    return Raw(frame=frame, unit="given", steps="--at", notes=notes)


def with_comment(data: bytes, about: Mapping[str, Any]) -> bytes:
    """The archive with facts in its comment, which rliable and NumPy ignore."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps(dict(about), sort_keys=True).encode()
    return buffer.getvalue()


def _comment(source: Source) -> dict[str, Any]:
    try:
        about = json.loads(_archive(source).comment or b"{}")
    except (ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def _archive(source: Source) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(source.data))
    except (zipfile.BadZipFile, ValueError, OSError):
        raise InvalidData(f"{source.path}: the zip archive is damaged; copy or download the file again") from None
