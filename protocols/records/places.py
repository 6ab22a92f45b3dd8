"""Which folders hold runs: one rule for every command that reads records.

A runs folder has folders named protocol@version. A folder without such a folder means all folders named `runs` up to three
levels below it, as in a leaderboard, a submission, a study or `results/`. Other files (a README, a card, score files, pictures)
are ignored. A folder with neither is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from dreamer_bench_base import UserError

PROTOCOL_FOLDER = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+")
RUNS = "runs"
_BELOW = (RUNS, f"*/{RUNS}", f"*/*/{RUNS}")


def check_runs_folder(root: Path) -> None:
    """Raises UserError if `root` is a file or a folder with something other than runs; a missing or empty folder is allowed."""
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"runs folder {str(root)!r} is a file; expected a folder, give another one with --runs")
    if not holds_protocols(root) and (found := _entries(root)):
        raise UserError(
            f"{str(root)!r} is not a runs folder: expected folders named protocol@version, "
            f"found {found[0]!r}; give an empty or a new folder"
        )


def runs_folders(root: Path) -> list[Path]:
    """The runs folders that `root` is or contains; an empty folder is one without runs. Raises UserError if there is none."""
    if not root.exists():
        raise UserError(f"runs folder {str(root)!r} does not exist; give the folder that `run --runs` wrote")
    if not root.is_dir():
        raise UserError(f"runs folder {str(root)!r} is a file; expected the folder that `run --runs` wrote")
    if holds_protocols(root) or not (found := _entries(root)):
        return [root]
    below = sorted(path for pattern in _BELOW for path in root.glob(pattern) if path.is_dir() and holds_protocols(path))
    if not below:
        raise UserError(
            f"{str(root)!r} is not a runs folder: expected folders named protocol@version, or folders named {RUNS!r} that hold "
            f"them, found {found[0]!r}; give the folder that `run --runs` wrote"
        )
    return below


def holds_protocols(folder: Path) -> bool:
    return any(PROTOCOL_FOLDER.fullmatch(entry.name) and entry.is_dir() for entry in folder.iterdir())


def _entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
