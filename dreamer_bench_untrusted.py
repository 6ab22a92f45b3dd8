"""Data from outside: reads files without following links, and makes text harmless. JSON is in dreamer_bench_json.py.

A record, a score file, a card or a plan is data that somebody else wrote. All code that reads one uses this file: its size is
limited before it is parsed, and text from it cannot move a terminal's cursor, reverse a line or start a formula. Imports only
the standard library and `dreamer_bench_base`.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from dreamer_bench_base import InvalidData

MOST_FILE_BYTES = 1 << 30
"""Most bytes of a JSON Lines file; the longest published protocol writes 2 MB."""

SPREADSHEET_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that a spreadsheet treats as a formula (OWASP, "CSV Injection")."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_printable(text: str) -> bool:
    """Whether all characters are visible: no control characters (or line breaks), bidi overrides or lone surrogates."""
    return (text.isascii() and text.isprintable()) or not any(unicodedata.category(sign) in _INVISIBLE for sign in text)


def printable(text: str) -> str:
    """The text with the number of every invisible character in its place: "\\u001b", "\\u202e"."""
    if is_printable(text):
        return text
    return "".join(sign if unicodedata.category(sign) not in _INVISIBLE else _number_of(sign) for sign in text)


def _number_of(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def check_name(text: str, what: str, *, most: int = 200) -> str:
    """A name for printing, figures and files. Raises InvalidData if it has an invisible character or is too long."""
    if not is_printable(text):
        raise InvalidData(f"{what} {printable(text[:80])!r} holds an invisible character; rename it")
    if len(text) > most:
        raise InvalidData(f"{what} {text[:40] + '…'!r} has {len(text):,} characters; at most {most} are read, shorten it")
    return text


def as_cell(text: str) -> str:
    """Text for a cell of a CSV, with an apostrophe before text that a spreadsheet would treat as a formula."""
    return f"'{text}" if text.startswith(SPREADSHEET_STARTS) else text


def read_regular(path: Path, *, most_bytes: int = MOST_FILE_BYTES) -> bytes:
    """The bytes of a regular file. Raises InvalidData for a link, a device, a pipe or a file that is too long; else OSError.

    It does not follow a link in place of the file, but links in the folders above it (`read_tree` follows none).
    """
    return _read(path, None, most_bytes)


def read_tree(
    root: Path, wanted: Iterable[tuple[str, ...]], *, most_bytes: int = MOST_FILE_BYTES
) -> dict[tuple[str, ...], bytes]:
    """Files of a stranger's folder by the parts of their paths. Follows no link below `root` and leaves out missing files."""
    found = {}
    for parts in wanted:
        descriptors = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
        try:
            for depth, part in enumerate(parts[:-1], start=1):
                try:
                    entry = os.stat(part, dir_fd=descriptors[-1], follow_symlinks=False)
                    if not stat.S_ISDIR(entry.st_mode):
                        raise InvalidData(f"{root.joinpath(*parts[:depth])} is {_kind(entry.st_mode)}; expected a folder")
                    descriptors.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptors[-1]))
                except FileNotFoundError:
                    break
            else:
                try:
                    found[parts] = _read(root.joinpath(*parts), descriptors[-1], most_bytes)
                except FileNotFoundError:
                    continue
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    return found


def _read(path: Path, folder: int | None, most_bytes: int) -> bytes:
    name: str | Path = path if folder is None else path.name
    entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(entry.st_mode):
        raise InvalidData(f"{path} is {_kind(entry.st_mode)}; expected a regular file")
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):
            raise InvalidData(f"{path} is {_kind(opened.st_mode)}; expected a regular file")
        data = file.read(min(opened.st_size, most_bytes) + 1)  # not most_bytes + 1: a gibibyte would be set aside
        if opened.st_size < len(data) <= most_bytes:  # the file has grown
            data += file.read(most_bytes + 1 - len(data))
    if len(data) > most_bytes:
        raise InvalidData(f"{path} has more than {most_bytes:,} bytes; expected a smaller file")
    return data


def _kind(mode: int) -> str:
    for matches, words in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISREG, "a regular file"),
    ):
        if matches(mode):
            return words
    return "a device"
