"""What all four packages need, below them all: the error for users, the exit codes, suggestions, whole files and folders.

Imports none of the packages, and nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import fcntl
import hashlib
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, TypeVar

Entry = TypeVar("Entry")

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
            self._leave(f"error: {' '.join(str(error).split())}", error.exit_code)  # one line, whatever the input held
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
        """Prints the line with what would move a cursor or turn text around written as its number."""
        line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape", "replace").decode() for sign in line)
        with contextlib.suppress(OSError):  # a closed terminal must not change the exit code
            print(line, file=sys.stderr)
        raise SystemExit(code)


def open_closed_streams() -> None:
    """Gives a process that was started without standard input, output or error (`>&-`, some supervisors) a null one.

    Else the next file that is opened, a record perhaps, would take the free number and get what libraries print.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:  # a lower one that was closed and taken before
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # so that worker processes have one as well
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False))


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


def registered(
    kind: str, group: str, built_in: Mapping[str, Entry], read: Callable[[metadata.EntryPoint], tuple[str, Entry]]
) -> dict[str, Entry]:
    """What a catalog knows by name: the built-ins in their order, then what other packages name in entry points of a group.

    read  entry point -> its name and entry
    """
    known = dict(built_in)
    for point in entry_points(group):
        name, entry = read(point)
        if name in known:
            raise UserError(f"{kind} {name!r} of entry point {point.value!r} is taken; give it another name")
        known[name] = entry
    return known


def entry_points(group: str) -> tuple[metadata.EntryPoint, ...]:
    """What installed packages name in a group; looked up again (30 ms) when the search path or a folder of it has changed."""
    changed = tuple(os.stat(folder).st_mtime_ns if os.path.exists(folder) else 0 for folder in sys.path)
    return _entry_points(metadata.entry_points, group, tuple(sys.path), changed)


@lru_cache(maxsize=16)
def _entry_points(look_up: Callable[..., Any], group: str, path: Any, changed: Any) -> tuple[metadata.EntryPoint, ...]:
    return tuple(look_up(group=group))


def package_of(point: metadata.EntryPoint) -> str:
    """The name of the package that brings an entry point."""
    return point.dist.name if point.dist else "an unknown package"


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that a catalog does not have, with the nearest one and all of them."""
    names = list(known)
    return UserError(f"{kind} {name!r} is not known{suggestion(name, names, cutoff=0.5) or '.'} Known: {', '.join(names)}")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file: a reader finds the old content or the new, also after a crash of the machine.

    The neighbour it writes first has a fixed name, so that what a killed process leaves is gone with the next write.
    Raises UserError where `path` is something else than a regular file, OSError where the disk refuses; the old file stays.
    """
    if path.is_symlink():  # the file it names is replaced, and the link stays one
        path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file; give the name of a file to write")
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


# ---------------------------------------------------------------- whole folders


SYNCED_EACH = 200
"""Up to so many files are brought to the disk one by one; of thousands, which would take minutes, all at once."""


def exchange_folder(
    out: Path, files: Mapping[str, bytes | Callable[[], bytes]], listed: Callable[[Path], Collection[str] | None]
) -> None:
    """Makes `out` a folder of exactly these files: a reader finds the old one or the new one, also after a kill.

    The new one is written beside it (`.NAME.new`) and then swapped in. What an earlier command wrote goes; what somebody
    else put there (a CNAME, a .git) moves over.

    files   path below `out` with slashes -> content, or what gives it when its turn comes
    listed  the files that an earlier command wrote into a folder; None where the folder is not its work
    Raises UserError where `out` is a file, a device, or a folder that holds something else; the old folder then stays.
    """
    out = Path(os.path.realpath(out))
    if out in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"--out {str(out)!r} is the current folder or one above it; give a new or an empty folder")
    begun, ready, aside = (out.with_name(f".{out.name}.{state}") for state in ("new", "ready", "aside"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(out.parent):
        _recover(out, begun, ready, aside, listed)
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {str(out)!r} is a file; give a folder")
        mine = listed(out) if out.exists() and any(out.iterdir()) else ()
        if mine is None:
            raise UserError(f"--out {str(out)!r} holds files that this command did not write; give a new or an empty folder")
        try:
            for name, content in files.items():
                path = begun / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content() if callable(content) else content)
            _sync_below(begun, files)
        except (OSError, UserError):
            shutil.rmtree(begun, ignore_errors=True)
            raise
        os.rename(begun, ready)
        if out.exists():
            _swap(ready, out, aside)
            _carry(ready, out, mine)
            shutil.rmtree(ready)
        else:
            os.rename(ready, out)
        sync_folder(out.parent)


def _sync_below(folder: Path, names: Collection[str]) -> None:
    """Waits until the files of a folder are on the disk."""
    whole = getattr(ctypes.CDLL(None), "syncfs", None)
    if len(names) > SYNCED_EACH and whole is not None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if whole(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    for name in names:
        descriptor = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _recover(out: Path, begun: Path, ready: Path, aside: Path, listed: Callable[[Path], Collection[str] | None]) -> None:
    """Finishes or takes back what a kill cut short. `ready` is a whole folder, the new one or, after the swap, the old one."""
    if aside.exists() and not out.exists():
        os.rename(aside, out)
    for leftover in (ready, aside):
        if leftover.exists() and out.exists():
            _carry(leftover, out, listed(leftover) or ())
    for leftover in (begun, ready, aside):
        if leftover.exists():
            shutil.rmtree(leftover)


def _swap(ready: Path, out: Path, aside: Path) -> None:
    """The two change names: at once where the kernel can (Linux), else in three renames, which `_recover` understands."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    here, at_once = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    if exchange is not None and exchange(here, os.fsencode(ready), here, os.fsencode(out), at_once) == 0:
        return
    os.rename(out, aside)
    os.rename(ready, out)
    os.rename(aside, ready)


def _carry(source: Path, target: Path, listed: Collection[str]) -> None:
    """Moves what is not in the list over, whole folders where nothing in them is."""
    files = set(listed)
    folders = {parent.as_posix() for name in files for parent in PurePosixPath(name).parents}

    def move(folder: str) -> None:
        for entry in sorted(os.scandir(source / folder), key=lambda entry: entry.name):
            name = f"{folder}{entry.name}"
            if name in folders:
                move(f"{name}/")
            elif name not in files and not os.path.lexists(target / name):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.rename(entry.path, target / name)

    move("")


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process at a time exchanges a folder in here; where folders cannot be locked (some network disks), any number."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
