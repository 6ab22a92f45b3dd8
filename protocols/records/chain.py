"""The chain of evaluation lines: each line has the hash of the line before, so no single line can be removed or changed.

    origin(manifest) <- line 1 <- line 2 <- ... <- line n <- `chain` of result.json

Times are not in the hashes, so two runs with equal episodes end with the same hash on every machine.
A person who invents a whole record can compute its chain, too. The chain shows changes, not that the scores were earned.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from types import NoneType
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
    """The `link` of each line; in a third of the time if a field has values of one class in all lines."""
    spelled = _spelled_alike(lines)
    if spelled is None:
        return [link(line) for line in lines]
    return [hashlib.sha256(line.encode("ascii")).hexdigest() for line in spelled]


def _spelled_alike(lines: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The canonical JSON of each line, spelled field by field; None if lines differ in their fields or classes."""
    if not lines or any(line.keys() != lines[0].keys() for line in lines):
        return None
    names, columns = sorted(lines[0].keys() - TIMES), []
    for name in names:
        column = [line[name] for line in lines]
        kinds = set(map(type, column))
        spell = _SPELLING.get(kinds.pop()) if len(kinds) == 1 else None
        if spell is None or (spell is float.__repr__ and not all(map(math.isfinite, column))):
            return None
        columns.append(map(spell, column))
    form = ",".join(encode_basestring_ascii(name).replace("%", "%%") + ":%s" for name in names)
    return [f"{{{form % values}}}" for values in zip(*columns)] if names else None


_SPELLING: Mapping[type, Callable[[Any], str]] = {
    int: int.__repr__,
    float: float.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    str: encode_basestring_ascii,
    NoneType: lambda _: "null",
}
"""Class -> how the JSON encoder of `canonical_json` spells its values."""


def _deciding(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in TIMES}


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
