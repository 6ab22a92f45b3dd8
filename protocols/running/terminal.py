"""How tables and times reach a person."""

from __future__ import annotations

import sys

from rich.console import Console


def console_for_tables() -> Console:
    """Standard output; a pipe is given room enough that no column is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
