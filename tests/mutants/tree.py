"""Copies of this source tree that a mutation may change, and commands that run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutations import Mutation, apply

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("agents", "analysis", "protocols", "suites")
ALONE = ("*.py", "pyproject.toml", "constraints.txt")


def copy_of(mutation: Mutation, folder: Path, *, also: Sequence[str] = ()) -> Path:
    """A new copy of the source in `folder`, with the mutation applied. also: more folders of the tree."""
    folder.mkdir(parents=True)
    for name in (*COPIED, *also):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ALONE:
        for path in ROOT.glob(pattern):
            shutil.copy2(path, folder / path.name)
    apply(mutation, folder)
    return folder


def environment(root: Path) -> dict[str, str]:
    """Of a process that imports the copy in place of the installed package, on one core."""
    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def dreamer_bench(root: Path, arguments: Sequence[str]) -> int:
    """The exit code of a command of the copy's own command line; what it prints goes where ours goes."""
    return subprocess.run(
        [sys.executable, "-m", "dreamer_bench", *arguments], cwd=root, env=environment(root), check=False
    ).returncode


def commit() -> str:
    """Of the tree that is copied, "+changes" where files differ from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", *COPIED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return head + ("+changes" if status else "")
