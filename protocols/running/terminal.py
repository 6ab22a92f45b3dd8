"""Printing tables, times and sizes for people."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from rich.console import Console


class Quiet(Console):
    """A console that stops printing if the output fails: a closed pipe, a full disk, a closed terminal.

    A failed print never ends a run.
    """

    def on_broken_pipe(self) -> None:
        self._fall_silent()

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
            self.file.flush()
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self.quiet = True
        if self.file is sys.stdout:  # the rest of its buffer would fail again when Python exits
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console_for_tables() -> Console:
    """A console on standard output. A pipe is treated as wide enough that no column is cut."""
    return Quiet(highlight=False, width=None if sys.stdout.isatty() else 200)


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def bytes_in_words(count: int) -> str:
    """1.5 GB, 20.0 MB or 10 kB, in powers of 1,000."""
    for unit, least in (("GB", 10**9), ("MB", 10**6)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count / 1000:.0f} kB"
