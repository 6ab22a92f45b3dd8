"""The chain of evaluation lines: each line has the hash of the line before, so no single line can be removed or changed.

    origin(manifest) <- line 1 <- line 2 <- ... <- line n <- `chain` of result.json

Times are not in the hashes, so two runs with equal episodes end with the same hash on every machine.
A person who invents a whole record can compute its chain, too. The chain shows changes, not that the scores were earned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocols.spec import canonical_json

PREVIOUS = "previous"
TIMES = frozenset({"seconds", "env_steps_per_second"})
"""Fields that differ between two runs with equal episodes."""

DECIDING = ("protocol", "digest", "agent", "label", "options", "task", "seed", "cohort", "limit_env_steps")
"""Fields of a manifest in the first hash: everything that decides the run, and nothing about time and machine."""


def origin(manifest: Mapping[str, Any]) -> str:
    """The hash in the first line of a run."""
    return _hash({name: manifest[name] for name in DECIDING})


def link(line: Mapping[str, Any]) -> str:
    """The hash in the line after this one."""
    return _hash(_deciding(line))


def end(manifest: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> tuple[str, int | None]:
    """The hash for the next line, and the number (from 1) of the first line whose hash is wrong, or None."""
    expected, broken = origin(manifest), None
    every = list(lines)
    for number, (line, follows) in enumerate(zip(every, _links(every), strict=True), start=1):
        if line.get(PREVIOUS) != expected and broken is None:
            broken = number
        expected = follows
    return expected, broken


def _links(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The `link` of each line. One JSON call for all lines takes two thirds of the time, if its result can be split."""
    apart = canonical_json([_deciding(line) for line in lines])[2:-2].split("},{")
    if len(apart) != len(lines):  # a string or an object in a line contains the separator
        return [link(line) for line in lines]
    return [hashlib.sha256(f"{{{spelled}}}".encode()).hexdigest() for spelled in apart]


def _deciding(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in TIMES}


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
