"""What all four packages need, below them all: the error for users and the exit codes, names with suggestions, whole files.

Imports none of the packages, and nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

EXIT_BAD_INPUT = 2
EXIT_BUG = 5
EXIT_INTERRUPTED = 130


EXTRAS = {
    "torch": "train,dmc",
    "gymnasium": "train,dmc",
    "cma": "train,dmc",
    "dm_control": "dmc",
    "mujoco": "dmc",
    "ale_py": "atari",
    "ray": "cluster",
}
"""Package -> the extra of this project that installs it."""


class UserError(ValueError):
    """Bad input: the message says in one line what was expected, what came and what to do. The command exits with `exit_code`.

    The only exception that becomes one line; every other one is a bug and keeps its traceback.
    """

    exit_code = EXIT_BAD_INPUT


class InvalidData(UserError):
    """Data that cannot be used as it is: one line naming place and cure."""

    exit_code = 4


class Exits:
    """`with Exits():` around a command turns an exception into its exit code.

    UserError: its line and its `exit_code`. An OSError of the disk, or a missing package of an extra: one line, 2. Ctrl-C: 130.
    A reader that closed the pipe: 0. Anything else is a bug: its traceback, 5.
    """

    def __enter__(self) -> Exits:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, SystemExit):
            return
        if isinstance(error, UserError):
            self._leave(f"error: {' '.join(str(error).split())}", error.exit_code)
        if isinstance(error, KeyboardInterrupt):
            self._leave("interrupted", EXIT_INTERRUPTED)
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)
        if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
            self._leave(f"error: this needs {error.name}; install it: pip install 'dreamer-bench[{extra}]'", EXIT_BAD_INPUT)
        if isinstance(error, OSError):
            self._leave(f"error: {os_error_line(error)}", EXIT_BAD_INPUT)
        traceback.print_exception(kind, error, trace)
        raise SystemExit(EXIT_BUG)

    def _leave(self, line: str, code: int) -> None:
        with contextlib.suppress(OSError):  # a closed terminal must not change the exit code
            print(line, file=sys.stderr)
        raise SystemExit(code)


def os_error_line(error: OSError) -> str:
    """An error of the disk in words: which file, and what the system said."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"the system refused a read or a write ({reason}); free some space or write elsewhere"
    return f"{error.filename} cannot be used ({reason}); check the path, or name another"


def suggestion(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """ "; did you mean 'x'?" for a name near a known one, else an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file: a reader finds the old content or the new, also after a crash of the machine.

    The neighbour it writes first has a fixed name, so that what a killed process leaves is gone with the next write.
    Raises UserError where `path` is something else than a regular file, OSError where the disk refuses; the old file stays.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no regular file; name a file to write")
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(data: bytes | Path) -> str:
    """Hexadecimal SHA-256 of bytes, or of a file read in pieces."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
