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
    every = list(lines)
    links = [origin(manifest), *_links(every)]
    found = [line.get(PREVIOUS) for line in every]
    broken = None if found == links[:-1] else next(n for n, own in enumerate(found, start=1) if own != links[n - 1])
    return links[-1], broken


def _links(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The `link` of each line; in a third of the time if a field has values of one class in all lines."""
    spelled = _spelled_alike(lines)
    if spelled is None:
        return [link(line) for line in lines]
    sha256 = hashlib.sha256
    return [sha256(line.encode("ascii")).hexdigest() for line in spelled]


def _spelled_alike(lines: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The canonical JSON of each line, spelled field by field; None if lines differ in their fields or classes."""
    if not lines or any(map(tuple(lines[0]).__ne__, map(tuple, lines))):
        return None
    forms, columns = [], []
    for name in sorted(lines[0].keys() - TIMES):
        column = [line[name] for line in lines]
        kinds = set(map(type, column))
        spelled = _SPELLED[kinds.pop()](column) if len(kinds) == 1 and kinds <= _SPELLED.keys() else None
        if spelled is None:
            return None
        forms.append(encode_basestring_ascii(name).replace("%", "%%") + ":" + spelled[0])
        columns.append(spelled[1])
    form = "{" + ",".join(forms) + "}"
    return [form % values for values in zip(*columns)] if forms else None


Spelled = tuple[str, Iterable[Any]]
"""How `%` spells the values of a column, and what it is given for each."""


def _floats(column: list[float]) -> Spelled | None:
    return ("%r", column) if all(map(math.isfinite, column)) else None


def _texts(column: list[str]) -> Spelled:
    """Texts are not spelled one by one if the encoder changes no character of any of them."""
    every = "".join(column)
    return ('"%s"', column) if encode_basestring_ascii(every) == f'"{every}"' else ("%s", map(encode_basestring_ascii, column))


_SPELLED: Mapping[type, Callable[[list[Any]], Spelled | None]] = {
    int: lambda column: ("%d", column),
    float: _floats,
    bool: lambda column: ("%s", map({True: "true", False: "false"}.__getitem__, column)),
    str: _texts,
    NoneType: lambda column: ("null%.0s", column),
}
"""Class -> how the JSON encoder of `canonical_json` spells a column of its values."""


def _deciding(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in TIMES}


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
