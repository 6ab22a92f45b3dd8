"""Method, task and seed of a file from its path, by a pattern such as "{method}/{task}/seed-{seed}/*.csv"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dreamer_bench_base import InvalidData, UserError

FIELDS = ("method", "task", "seed")


def from_path(path: str, pattern: str) -> dict[str, str]:
    """The parts of a path's end (or of a run's name) that a pattern names: some of method, task and seed.

    {name} and * match anything without a slash, ** anything. Raises InvalidData if the path does not match.
    """
    found = _expression(pattern).search(path.replace("\\", "/"))
    if found is None:
        raise InvalidData(f"{path}: does not match the pattern {pattern!r}; correct --pattern, or leave the file out")
    return found.groupdict()


def expand(paths: Iterable[Path], pattern: str | None) -> list[Path]:
    """The files of paths. A folder means the files below it that match the pattern."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        if pattern is None:
            raise UserError(
                f'{path} is a folder; name files, or give the pattern of their paths, for example --pattern "{{method}}/'
                '{task}/seed-{seed}/*.csv"'
            )
        expression = _expression(pattern)
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and expression.search(file.as_posix())]
        if not inside:
            raise UserError(f"{path} holds no file that matches the pattern {pattern!r}; correct --pattern")
        found += inside
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    parts = []
    seen: set[str] = set()
    for part in re.split(r"(\{[^{}]*\}|\*\*/?|\*)", pattern):
        if part.startswith("{"):
            name = part[1:-1]
            if name not in FIELDS:
                raise UserError(f"--pattern knows {{method}}, {{task}} and {{seed}}, not {part}")
            if name in seen:
                raise UserError(f"--pattern names {part} twice; keep one")
            seen.add(name)
            parts.append(f"(?P<{name}>[^/]+?)")
        else:
            parts.append(".*" if part.startswith("**") else "[^/]*" if part == "*" else re.escape(part))
    return re.compile(f"(?:^|/){''.join(parts)}$")
