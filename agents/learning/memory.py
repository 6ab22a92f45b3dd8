"""Keeps freed memory in the process: on a CPU much of an update's time goes into getting the same pages back from the system.

Activations of hundreds of MB are allocated and freed in every update. glibc returns such blocks at once, and every page of the
next ones faults in anew and is zeroed. Measured in docs/log.md. A C library without `mallopt` is left as it is.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tells malloc to take no block from mmap and to give nothing back; says whether it agreed. Holds for the whole process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST_INT))
