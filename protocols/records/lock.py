"""The lock of a run (flock), held by the process that works on it. A dead process holds no lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dreamer_bench_base import UserError

LOCK = "lock"


@contextlib.contextmanager
def locked(folders: Sequence[Path]) -> Iterator[None]:
    """Holds the locks of several runs. The kernel releases them when this process ends in any way.

    Raises ValueError if another process works on one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in sorted(folders):
            file = stack.enter_context((folder / LOCK).open("ab"))
            for attempt in range(10):  # `status` tests a lock by taking it for a moment
                if _try_lock(file.fileno(), fcntl.LOCK_EX):
                    break
                time.sleep(0.02 * (attempt + 1))
            else:
                raise UserError(f"another process is working on {folder}; wait for it, or stop it and run again")
        yield


def is_locked(folder: Path) -> bool:
    """Whether a living process works on the run."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
