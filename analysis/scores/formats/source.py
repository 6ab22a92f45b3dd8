"""The bytes of a score file, read within size limits. Nothing from outside is unpacked or parsed before its size is known."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_untrusted import printable

MOST_BYTES = 256 * 2**20
"""Largest size of a file after decompression. The largest published score file that we know has 28 MB."""
MOST_ROWS = 3_000_000
"""Most points in a file. One method with ten seeds on 57 games and a point every 100,000 of 200 million steps has 1,140,000."""

GZIP, ZIP, EVENTS = b"\x1f\x8b", b"PK\x03\x04", b"brain.Event:"


def problem(path: Path, place: object, what: str, cure: str) -> InvalidData:
    """An error of one line with file, place, problem and fix. It quotes the file, so its invisible characters are shown."""
    return InvalidData(printable(f"{address(path, place)}: {what}; {cure}"))


def address(path: Path, place: object) -> str:
    return f"{path}:{place}" if isinstance(place, (int, np.integer)) else f"{path}, {place}" if place else str(path)


@dataclass(frozen=True)
class Source:
    """A score file: its path, and its bytes after decompression."""

    path: Path
    data: bytes

    @property
    def is_archive(self) -> bool:
        return self.data.startswith(ZIP)

    @property
    def is_event_file(self) -> bool:
        """Whether it is a TensorBoard event file, which begins with a record that names its version."""
        return EVENTS in self.data[:64]

    @property
    def stem(self) -> str:
        """The file's name without .csv, .json and .gz."""
        return self.path.name.removesuffix(".gz").rsplit(".", 1)[0]

    @cached_property
    def text(self) -> str:
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.data[: error.start].count(b"\n") + 1
            raise problem(self.path, line, "is not UTF-8 text", "give a CSV or JSON score file, gzip or plain") from None
        if not text.strip():
            raise InvalidData(f"{self.path}: the file is empty; export the scores again")
        return text

    @cached_property
    def json(self) -> Any:
        return load_json(self.text, self.path)


def read(path: Path) -> Source:
    """The file, decompressed if it is gzip. Raises UserError if it cannot be read, InvalidData if it is damaged or larger than
    MOST_BYTES."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a score file or a runs folder") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a score file or a runs folder") from None
    if data.startswith(GZIP):
        data = _unzipped(data, path)
    if len(data) > MOST_BYTES:
        raise InvalidData(
            f"{path}: holds more than {MOST_BYTES // 2**20} MiB, too much for a score file; split it, or thin out its points"
        )
    return Source(path, data)


def load_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise problem(path, error.lineno, f"is no JSON ({error.msg})", "export the file again") from None
    except ValueError:  # of Python's limit on the digits of an integer
        raise problem(path, "", "holds a number with thousands of digits", "export the file again") from None
    except RecursionError:
        raise problem(path, "", "is nested too deeply for a score file", "export the file again") from None


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300)


def _unzipped(data: bytes, path: Path) -> bytes:
    """The decompressed bytes, at most one more than MOST_BYTES."""
    pieces: list[bytes] = []
    size = 0
    rest = memoryview(data)
    try:
        while len(rest) and size <= MOST_BYTES:  # a gzip file can have several members, one after the other
            stream = zlib.decompressobj(wbits=31)
            while len(rest) and not stream.eof and size <= MOST_BYTES:
                piece = stream.decompress(rest[:1_024], MOST_BYTES + 1 - size)  # in pieces, because a damaged one gives nothing
                rest = rest[1_024:]
                pieces.append(piece)
                size += len(piece)
            if not stream.eof and size <= MOST_BYTES:
                raise zlib.error("cut short")
            rest = rest[len(rest) :] if size > MOST_BYTES else memoryview(stream.unused_data + rest)
    except zlib.error:
        line = b"".join(pieces).count(b"\n") + 1
        raise problem(path, line, "the gzip stream is cut short or damaged here", "copy or download the file again") from None
    return b"".join(pieces)
