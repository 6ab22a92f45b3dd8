"""Whether the files of a run have the fields of their types (`schema`). Many lines are checked column by column.

A column is the values of one field in all lines. Its classes, its least and its largest number are found many times as fast as
each value is checked; only lines with a column that does not fit are checked one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, NotRequired, Union, get_args, get_origin

from dreamer_bench_base import InvalidData
from dreamer_bench_json import MOST_NUMBER, mismatch, type_hints
from protocols.records.schema import MetricsLine


class Field(NamedTuple):
    """A field of a type.

    plain  the classes of its values; empty if a class alone does not tell
    least, most  what all its numbers are between
    """

    optional: bool
    hint: Any
    plain: frozenset[type]
    least: float
    most: float

    def fits(self, column: Sequence[Any]) -> bool:
        """Whether all values fit. If not, the values may still be right."""
        kinds = {*map(type, column)}
        if not self.plain.issuperset(kinds):
            return False
        if kinds.isdisjoint((int, float)):
            return True
        numbers = column if NoneType not in kinds else [value for value in column if value is not None]
        return bool(self.least < min(numbers) and max(numbers) < self.most)


def problems(kind: type, value: Any) -> Iterator[str]:
    """How a value from a file differs from one of these types, one line each. Unknown fields are violations, too."""
    if not isinstance(value, dict):
        yield f"expected an object, found {value!r:.40}"
        return
    fields = _fields(kind)
    for name, field in fields.items():
        if name not in value:
            if not field.optional:
                yield f"{name} is missing"
        elif (fault := mismatch(value[name], field.hint, name, closed=True)) is not None:
            yield fault
    for name in value:
        if name not in fields and not (kind is MetricsLine and mismatch(value[name], float | None) is None):
            yield f"{str(name)!r:.40} is no field here"


def line_problems(kind: type, lines: Iterable[Any]) -> set[str]:
    """`problems` of many lines."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        alike.setdefault(tuple(line), []).append(line)
    return {
        problem
        for names, group in alike.items()
        if not _all_fit(kind, names, group)
        for line in group
        for problem in problems(kind, line)
    }


def _all_fit(kind: type, names: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether lines with these fields and no others fit, as far as columns tell."""
    fields = _fields(kind)
    if any(not field.optional and name not in names for name, field in fields.items()):
        return False
    own = _MEASURED if kind is MetricsLine else None
    columns = ((fields.get(name, own), [line[name] for line in lines]) for name in names)
    return all(field is not None and field.fits(column) for field, column in columns)


def check_lines(kind: type, lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Raises InvalidData for the first line without a field of the type, or with another value. Other fields are allowed."""
    if all(_column_fits(lines, name, field) for name, field in _fields(kind).items()):
        return
    for number, line in enumerate(lines, start=1):
        fault = mismatch(line, kind)
        if fault is not None:
            raise InvalidData(f"{path}:{number}: {fault}; restore the file from a copy")


def _column_fits(lines: Sequence[dict[str, Any]], name: str, field: Field) -> bool:
    try:
        column = [line[name] for line in lines]
    except KeyError:
        if not field.optional:
            return False
        column = [line[name] for line in lines if name in line]
    return field.fits(column)


def _field(hint: Any, *, optional: bool = False) -> Field:
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = {choice for choice in choices if choice in (int, float, bool, str, NoneType)}
    least, most = -MOST_NUMBER, MOST_NUMBER
    if float in plain:
        plain.add(int)
    elif int in plain:
        least, most = -(2**63) - 1, 2**63
    for choice in choices:
        if get_origin(choice) is Annotated:  # `Count` or `Positive`
            plain.add(int)
            least, most = get_args(choice)[1] - 1, 2**63
    return Field(optional, hint, frozenset(plain), least, most)


@cache
def _fields(kind: type) -> dict[str, Field]:
    found = {}
    for name, hint in type_hints(kind).items():
        optional = get_origin(hint) is NotRequired
        found[name] = _field(get_args(hint)[0] if optional else hint, optional=optional)
    return found


_MEASURED = _field(float | None)
"""A metric of the agent."""
