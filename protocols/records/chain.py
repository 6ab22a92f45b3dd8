"""The chain of evaluation lines: each carries the hash of the line before, so that none is taken out or changed alone.

    origin(manifest) <- line 1 <- line 2 <- ... <- line n <- `chain` of result.json

Times are left out of the hashes, so two runs whose episodes are equal end in the same hash wherever they ran.
Whoever fabricates a whole record can compute a chain as well; the chain shows a change, not an earning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocols.spec import canonical_json

PREVIOUS = "previous"
TIMES = frozenset({"seconds", "env_steps_per_second"})
"""Fields that differ between two runs of the same thing."""

DECIDING = ("protocol", "digest", "agent", "label", "options", "task", "seed", "cohort", "limit_env_steps")
"""What of a manifest the first line names: everything that decides the run, and nothing of when and where."""


def origin(manifest: Mapping[str, Any]) -> str:
    """What the first line of a run carries."""
    return _hash({name: manifest[name] for name in DECIDING})


def link(line: Mapping[str, Any]) -> str:
    """What the line after this one carries."""
    return _hash(_deciding(line))


def end(manifest: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> tuple[str, int | None]:
    """What the next line would carry, and the number (from 1) of the first line that does not follow from those before."""
    expected, broken = origin(manifest), None
    every = list(lines)
    for number, (line, follows) in enumerate(zip(every, _links(every), strict=True), start=1):
        if line.get(PREVIOUS) != expected and broken is None:
            broken = number
        expected = follows
    return expected, broken


def _links(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The `link` of each: spelled all at once, which takes two thirds of the time, where the spellings can be told apart."""
    apart = canonical_json([_deciding(line) for line in lines])[2:-2].split("},{")
    if len(apart) != len(lines):  # a string or an object in a line holds what stands between two
        return [link(line) for line in lines]
    return [hashlib.sha256(f"{{{spelled}}}".encode()).hexdigest() for spelled in apart]


def _deciding(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in TIMES}


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
