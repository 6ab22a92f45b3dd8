"""Keeps freed memory in the process, because on a CPU an update spends much of its time getting the same pages from the system.

Every update allocates and frees activations of hundreds of MB. glibc returns such blocks to the system at once, so every page
of the next ones causes a page fault and is zeroed. docs/log.md has measurements. Has no effect without glibc's `mallopt`.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tells malloc not to use mmap and to return no memory to the system, for the whole process. True if it accepts."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST_INT))
