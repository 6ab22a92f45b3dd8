"""Writes whole files and folders, so that a reader finds the old content or the new, also after a kill.

Imports `dreamer_bench_base`, `dreamer_bench_processes` and the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from dreamer_bench_base import UserError


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file, so that a reader finds the old content or the new, also after a crash of the machine.

    Raises UserError if `path` is not a regular file, OSError if the disk refuses; then the old file stays.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """The same for several files; if one of them cannot be written, no file is replaced.

    The temporary file beside each has a fixed name, so that the next write removes what a killed process left.
    """
    for path in files:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file; give the name of a file to write")
    # A link stays one: the file that it names is replaced.
    targets = {Path(os.path.realpath(path)) if path.is_symlink() else path: data for path, data in files.items()}
    temporary = {path: path.with_name(f"{path.name}.tmp") for path in targets}
    try:
        for path, data in targets.items():
            with temporary[path].open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path, written in temporary.items():
            os.replace(written, path)
    finally:
        for written in temporary.values():
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)
    for folder in {path.parent for path in targets}:
        sync(folder)


def sync(path: Path) -> None:
    """Makes the content of a file, or the names in a folder, durable, if the system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(data: bytes | Path) -> str:
    """Hexadecimal SHA-256 of bytes, or of a file, which is read in pieces."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


TOGETHER = 250
"""So many files are written by one process before it takes others."""
SYNCED_EACH = 200
"""Up to this many files are flushed to the disk one by one; more are flushed all at once, as thousands would take minutes."""


def exchange_folder(
    out: Path, files: Mapping[str, bytes | Callable[[], bytes]], listed: Callable[[Path], Collection[str] | None]
) -> None:
    """Makes `out` a folder of exactly these files, so that a reader finds the old folder or the new one, also after a kill.

    The new folder is written beside it (`.NAME.new`) and then exchanged. Files of an earlier command are removed; files of
    others (a CNAME, a .git) move over.

    files   path below `out` with slashes -> content, or a function that returns it
    listed  folder -> files that an earlier command wrote into it; None if the folder is from something else
    Raises UserError if `out` is a file, a device, or a folder from something else; the old folder then stays.
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
            _write_below(begun, files)
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
        sync(out.parent)


def _write_below(folder: Path, files: Mapping[str, bytes | Callable[[], bytes]]) -> None:
    """Writes files into a folder; many are written by a process for each core."""
    from dreamer_bench_processes import in_order  # brings multiprocessing, which few commands need

    names = list(files)
    parts = [{name: files[name] for name in names[start : start + TOGETHER]} for start in range(0, len(names), TOGETHER)]
    for _ in in_order(partial(_write_part, folder), parts, least=4):
        pass


def _write_part(folder: Path, files: Mapping[str, bytes | Callable[[], bytes]]) -> None:
    made: set[Path] = set()
    for name, content in files.items():
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(content() if callable(content) else content)


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
    """Finishes or undoes what a kill interrupted. `ready` is a complete folder: the new one or, after the swap, the old one."""
    if aside.exists() and not out.exists():
        os.rename(aside, out)
    for leftover in (ready, aside):
        if leftover.exists() and out.exists():
            _carry(leftover, out, listed(leftover) or ())
    for leftover in (begun, ready, aside):
        if leftover.exists():
            shutil.rmtree(leftover)


def _swap(ready: Path, out: Path, aside: Path) -> None:
    """Exchanges two names: in one step if the kernel can (Linux), else in three renames, from which `_recover` can recover."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    here, at_once = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    if exchange is not None and exchange(here, os.fsencode(ready), here, os.fsencode(out), at_once) == 0:
        return
    os.rename(out, aside)
    os.rename(ready, out)
    os.rename(aside, ready)


def _carry(source: Path, target: Path, listed: Collection[str]) -> None:
    """Moves what is not in the list, and whole folders without a listed file."""
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
    """Lets only one process at a time exchange a folder in here, unless folders cannot be locked (some network disks)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
