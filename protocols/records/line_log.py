"""Record files that a resumed run goes on writing: what is there beyond its checkpoint stays until it is made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocols.records.store import append_lines, encode_lines

TIMES = frozenset({"seconds", "env_steps_per_second"})
"""Fields that differ between two runs of the same thing."""


class LineLog:
    """A JSON Lines file with the place up to which this process, or the checkpoint it goes on from, vouches for it.

    A kill leaves lines beyond the last checkpoint. They are true, so they stay; when the resumed run comes to them again it
    finds its own lines there and passes on. Where it made others (a GPU does not repeat itself to the bit) the old ones go.
    """

    def __init__(self, path: Path, vouched_bytes: int) -> None:
        self.path = path
        self.bytes = min(vouched_bytes, path.stat().st_size) if path.exists() else 0

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Makes these the next lines of the file; they are on the disk when it returns."""
        data = encode_lines(records)
        following = self._following(len(records))
        if following is None or not _same(following, data):
            if self.path.exists() and self.path.stat().st_size > self.bytes:
                with self.path.open("rb+") as file:
                    file.truncate(self.bytes)
            append_lines(self.path, records)
            self.bytes += len(data)
        else:
            self.bytes += len(following)

    def _following(self, count: int) -> bytes | None:
        """The next `count` whole lines that the file has already."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            file.seek(self.bytes)
            lines = [file.readline() for _ in range(count)]
        return b"".join(lines) if all(line.endswith(b"\n") for line in lines) else None


def _same(left: bytes, right: bytes) -> bool:
    try:
        pairs = list(zip(left.splitlines(), right.splitlines(), strict=True))
        return all(_timeless(one) == _timeless(other) for one, other in pairs)
    except ValueError:
        return False


def _timeless(line: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key not in TIMES}
