"""Options with their ranges beside the fields, checked in one place, for agents and suites.

    @dataclass(frozen=True, kw_only=True)
    class Options(CheckedOptions):
        step_size: Annotated[float, Above(0)] = 0.5
        \"\"\"Standard deviation of a change.\"\"\"

Imports none of the packages.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import re
import sys
import textwrap
import types
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from dreamer_bench_base import UserError

CITATION = re.compile("(?:(?:docs/algorithms/)?(\\w+\\.md) )?(\N{SECTION SIGN})")
"""A section sign, with the page before it if there is one."""


class Range(Protocol):
    """The allowed values of a field; its text completes "must be ..."."""

    def holds(self, value: Any) -> bool: ...


@dataclass(frozen=True)
class AtLeast:
    least: float

    def holds(self, value: float) -> bool:
        return value >= self.least

    def __str__(self) -> str:
        return f"at least {self.least}"


@dataclass(frozen=True)
class Above:
    """hint  what to set instead of the excluded value."""

    bound: float
    hint: str = ""

    def holds(self, value: float) -> bool:
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True)
class Below:
    bound: float

    def holds(self, value: float) -> bool:
        return value < self.bound

    def __str__(self) -> str:
        return f"below {self.bound}"


@dataclass(frozen=True)
class Between:
    """A range that includes both ends."""

    least: float
    most: float

    def holds(self, value: float) -> bool:
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"between {self.least} and {self.most}"


class OneOf:
    """One of some names, for example the keys of a table."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def holds(self, value: str) -> bool:
        return value in self.names

    def __str__(self) -> str:
        return "one of " + ", ".join(self.names)


class FreeText:
    """Any text."""

    def holds(self, value: str) -> bool:
        return True

    def __str__(self) -> str:
        return "any text"


@dataclass(frozen=True, kw_only=True)
class CheckedOptions:
    """Base class of frozen dataclasses of options; refuses values outside the range of their fields."""

    def __post_init__(self) -> None:
        check(self)


def check(options: Any) -> None:
    """Raises UserError, in one line, for the first field whose value is of another type or outside its range.

    A number is always finite: NaN and infinity are refused everywhere.
    """
    for name, kind in types_of(type(options)).items():
        value = getattr(options, name)
        if not fits(value, kind):
            raise UserError(f"option {name} must be {in_words(kind)}, got {value!r}")


def types_of(options: type) -> dict[str, Any]:
    """Field name -> its declared type, ranges included."""
    hints = get_type_hints(options, include_extras=True)
    return {field.name: hints[field.name] for field in fields(options)}


def fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fits(value, inner[0]) and all(rule.holds(value) for rule in inner[1:])
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        each = inner[:1] * len(value) if isinstance(value, tuple) and inner[1:] == (...,) else inner
        return isinstance(value, tuple) and len(value) == len(each) and all(map(fits, value, each))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def in_words(kind: Any) -> str:
    """What a field expects, to complete "must be ..."."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        ranges = " and ".join(str(rule) for rule in inner[1:])
        return ranges if inner[0] is str else f"{in_words(inner[0])} {ranges}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(in_words, inner))
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is tuple:
        return f"{in_words(inner[0])}, several with commas between them"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return names.get(kind, str(kind))


@dataclass(frozen=True, kw_only=True)
class Described:
    """One option for people: its name, its value, the values that it expects, and its meaning."""

    name: str
    value: Any
    expects: str
    meaning: str


def describe(options: Any) -> list[Described]:
    """Every option of some options, in the order of their declaration."""
    meanings = meanings_of(type(options))
    return [
        Described(name=name, value=getattr(options, name), expects=in_words(kind), meaning=meanings.get(name, ""))
        for name, kind in types_of(type(options)).items()
    ]


def meanings_of(options: type) -> dict[str, str]:
    """Field name -> its meaning on one line, where each section sign names its page of docs/algorithms/.

    That page is the one before the sign, or else the first one that the module of the field names.
    """
    meanings: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        meanings |= _documented(kind)
    return meanings


def _documented(kind: type) -> dict[str, str]:
    """Field name -> the string below it in the source of a class; nothing where there is no source."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
        page = re.search(r"docs/algorithms/(\w+\.md)", inspect.getsource(sys.modules[kind.__module__]))
    except (OSError, TypeError):
        return {}

    def cited(text: str) -> str:
        return CITATION.sub(lambda found: f"{found[1] or page[1]} {found[2]}", text) if page else text

    return {
        field.target.id: cited(" ".join(text.value.value.split()))
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
