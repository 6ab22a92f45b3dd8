"""Record files that a resumed run continues: lines after its checkpoint stay until they are made again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_json import parse_lines
from protocols.records.chain import PREVIOUS, TIMES, link
from protocols.records.json_files import append_lines, finite


class LineLog:
    """A JSON Lines file, and the position up to which this process, or its checkpoint, has confirmed the content.

    A kill leaves lines after the last checkpoint. They are true, so they stay. When the resumed run makes these lines again, it
    finds them in the file and moves on. If its lines differ (a GPU does not repeat to the bit), they replace the old ones.

    origin  hash in the first line, in place of that of a line before; None if lines have no hashes
    """

    def __init__(self, path: Path, vouched_bytes: int, origin: str | None = None) -> None:
        self.path = path
        vouched = b""
        if path.exists():
            with path.open("rb") as file:
                vouched = file.read(min(vouched_bytes, os.fstat(file.fileno()).st_size))
        self.bytes = len(vouched)
        self._hash = hashlib.sha256(vouched)
        self._next = origin
        if origin is not None and vouched:
            self._next = link(_last(vouched, path))

    @property
    def sha256(self) -> str:
        """SHA-256 of the confirmed content."""
        return self._hash.hexdigest()

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Makes these records the next lines of the file, and returns when they are on the disk.

        Raises UserError if the file has lost lines.
        """
        records = [self._chained(record) for record in records]
        following = self._following(len(records))
        if following is None or not _same(following, records):
            if self.path.exists() and self.path.stat().st_size > self.bytes:
                with self.path.open("rb+") as file:
                    file.truncate(self.bytes)
            following = append_lines(self.path, records)
        self._hash.update(following)
        self.bytes += len(following)

    def _chained(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._next is None:
            return record
        chained = {**finite(record), PREVIOUS: self._next}
        self._next = link(chained)
        return chained

    def _following(self, count: int) -> bytes | None:
        """The next `count` complete lines that are already in the file; None if there are fewer."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self.bytes:
            raise UserError(
                f"{self.path} was cut or deleted during the run: it had {self.bytes} bytes and has {size}; "
                "restore it from a copy, then run the command again, or start the run in another folder"
            )
        if size == self.bytes:
            return None
        with self.path.open("rb") as file:
            file.seek(self.bytes)
            lines = [file.readline() for _ in range(count)]
        return b"".join(lines) if all(line.endswith(b"\n") for line in lines) else None


def _last(lines: bytes, path: Path) -> Mapping[str, Any]:
    try:
        return parse_lines(lines[lines.rfind(b"\n", 0, -1) + 1 :], path, whole=True)[-1]
    except InvalidData:
        raise InvalidData(f"{path} does not end with a line where its checkpoint says; restore the run folder") from None


def _same(lines: bytes, records: Sequence[Mapping[str, Any]]) -> bool:
    try:
        found = [json.loads(line) for line in lines.splitlines()]
    except ValueError:
        return False
    return all(isinstance(one, dict) for one in found) and [_timeless(one) for one in found] == [
        _timeless(json.loads(json.dumps(finite(record)))) for record in records
    ]


def _timeless(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in TIMES}
