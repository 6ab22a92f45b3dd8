"""JSON and JSON Lines files of a record: read within size limits, written completely, never with NaN."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_files import write_atomically
from dreamer_bench_json import check_shape, parse_json, parse_lines

_TAIL_BYTES = 1 << 16  # far more than one line


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file; [] if it is missing. The last line may be incomplete; other damage is an error."""
    if not path.exists():
        return []
    try:
        return parse_lines(path.read_bytes(), path)
    except InvalidData as error:
        raise InvalidData(f"{error}; restore the file from a copy") from None


def last_record(path: Path) -> dict[str, Any] | None:
    """The last complete line of a JSON Lines file, read from its end; None if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    try:
        return parse_lines(lines[-1] + b"\n", path)[0] if lines else None
    except InvalidData:
        raise InvalidData(f"the last line of {path} is damaged; restore the file from a copy") from None


def append_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> bytes:
    """Appends complete lines, waits until they are on the disk, and returns them. Drops an incomplete last line first.

    If the disk is full, the file stays as it was.
    """
    data = encode_lines(records)
    with path.open("ab+") as file:
        end = _end_of_last_line(file)
        file.truncate(end)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, end)
            raise
    return data


def encode_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(finite(record), allow_nan=False).encode() + b"\n" for record in records)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a complete file or nothing: temporary file, fsync, rename, fsync of the folder."""
    write_atomically(path, (json.dumps(finite(value), indent=1, allow_nan=False) + "\n").encode())


def _end_of_last_line(file: Any) -> int:
    """Number of bytes up to and including the last newline."""
    file.seek(0)
    return int(file.read().rfind(b"\n") + 1)


def read_json(path: Path, shape: Any) -> dict[str, Any]:
    try:
        value = parse_json(path.read_bytes(), path)
        if isinstance(value, dict):
            check_shape(value, shape, path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; expected a run folder") from None
    except InvalidData as error:
        raise InvalidData(f"{error}; restore the file from a copy or move the run folder away") from None
    if not isinstance(value, dict):
        raise InvalidData(
            f"{path} is damaged: expected a JSON object; restore the file from a copy or move the run folder away"
        )
    return value


def finite(value: Any) -> Any:
    """The value for JSON, which has no NaN: a number that is not finite becomes None, and NumPy scalars become Python's."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
