"""How tables and times reach a person."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from rich.console import Console


class Quiet(Console):
    """A console that falls silent where nobody can be told any more: a closed pipe, a full disk, a terminal that is gone.

    Telling about the work never ends the work.
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
        if self.file is sys.stdout:  # what is still in its buffer would fail once more when Python ends
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console_for_tables() -> Console:
    """Standard output; a pipe is given room enough that no column is cut."""
    return Quiet(highlight=False, width=None if sys.stdout.isatty() else 200)


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
