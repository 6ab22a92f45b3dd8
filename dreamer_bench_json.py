"""JSON from outside: with limits on bytes, lines, nesting and numbers, and with the types on which its reader relies.

Imports `dreamer_bench_base`, `dreamer_bench_untrusted` and the standard library.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import is_printable, printable

MOST_JSON_BYTES = 16 << 20
"""Most bytes of a JSON document; a manifest has 10 kB, a plan or a bench of everything 1 MB."""

MOST_LINE_BYTES = 1 << 20
"""Most bytes of a line; 300 bytes are usual."""

MOST_LINES = 5_000_000
MOST_DEPTH = 32
"""Most levels of nesting; a manifest has 4. Beyond Python's own limit there would be a RecursionError."""

MOST_NUMBER = 1e300

Count = Annotated[int, 0]
Positive = Annotated[int, 1]
"""Whole numbers with their least value."""


# Bytes of JSON that can encode an unprintable character: every escape but \" \\ \/ \n \t, and everything that is not ASCII.
_SUSPICIOUS = re.compile(rb'\\[^"\\/nt]|[^\x20-\x7e\n\r\t]')


def parse_json(data: bytes, where: object, *, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """One JSON document. Raises InvalidData with `where` if it is too large or deep, not JSON, or not plain text.

    Strings may have line breaks and tabs; numbers are finite. The message has no fix, which the caller adds.
    """
    if len(data) > most_bytes:
        raise InvalidData(f"{where} is damaged: it has {len(data):,} bytes; at most {most_bytes:,} are read")
    try:
        value = json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise InvalidData(f"{where} is damaged: nested more than {MOST_DEPTH} levels deep") from None
    except ValueError as error:
        raise InvalidData(f"{where} is damaged: not JSON ({printable(str(error))})") from None
    if data.count(b"[") + data.count(b"{") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise InvalidData(f"{where} is damaged: nested more than {MOST_DEPTH} levels deep")
    if _SUSPICIOUS.search(data):
        _check_strings(value, where)
    return value


def parse_lines(data: bytes, where: object, *, whole: bool = False) -> list[dict[str, Any]]:
    """The objects of JSON Lines. Text after the last line break is incomplete: left out, or refused with `whole`."""
    lines = data.count(b"\n") + 1
    if lines > MOST_LINES:
        raise InvalidData(f"{where} is damaged: it has {lines:,} lines; at most {MOST_LINES:,} are read")
    if whole and not data.endswith(b"\n") and data:
        raise InvalidData(f"{where} is damaged: its last line is cut short")
    records = _plain_lines(data, lines - 1)
    return _each_line(data, where) if records is None else records


def _each_line(data: bytes, where: object) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        record = parse_json(line, f"{where} line {number}", most_bytes=MOST_LINE_BYTES)
        if not isinstance(record, dict):
            raise InvalidData(f"{where} line {number} is damaged: expected a JSON object, found {_said(record)}")
        records.append(record)
    return records


def _plain_lines(data: bytes, lines: int) -> list[dict[str, Any]] | None:
    """The same for lines that this project writes, many times as fast: flat objects of plain ASCII, parsed as one list.

    None if the data has anything else; `_each_line` then reports it or accepts it. Every line begins with its only opening
    brace, so no object holds another or continues in the next line, and no text does: JSON allows no line break in a text.
    """
    if not data.isascii() or b"\\" in data or b"\x7f" in data or b"[" in data or data.count(b"{") != lines:
        return None  # JSON itself refuses every other invisible character
    text = data[: data.rfind(b"\n") + 1].decode("ascii")
    if len(text) > MOST_LINE_BYTES and max(map(len, text.split("\n"))) > MOST_LINE_BYTES:
        return None
    if not lines or text[0] != "{" or text.count("\n{") != lines - 1:
        return None
    try:
        records = _DECODER.decode(f"[{text[:-1]}]".replace("\n", ",\n"))
    except ValueError:
        return None
    return records if len(records) == lines else None


def check_shape(value: Any, shape: Any, where: object) -> None:
    """Raises InvalidData with the field if a JSON value is not of a type: a TypedDict, list, dict, Literal or union."""
    fault = mismatch(value, shape)
    if fault is not None:
        raise InvalidData(f"{where} {fault}" if fault.startswith("lacks") else f"{where}: {fault}")


def mismatch(value: Any, shape: Any, field: str = "", *, closed: bool = False) -> str | None:
    """What is wrong with a value, in words, or None.

    field   its name, "" for a whole document
    closed  an object holds no fields but those of its TypedDict
    """
    origin, arguments = get_origin(shape), get_args(shape)
    inside: Iterable[tuple[Any, Any, str]] = ()
    if shape is Any:
        return None
    if origin in (NotRequired, Required):
        return mismatch(value, arguments[0], field, closed=closed)
    if origin is Annotated and mismatch(value, arguments[0]) is None:
        fits = value >= arguments[1]
    elif origin in (Union, types.UnionType):
        fits = any(mismatch(value, option, field, closed=closed) is None for option in arguments)
    elif origin is Literal:
        fits = value in arguments
    elif is_typeddict(shape):
        fits = isinstance(value, dict)
        if fits:
            hints, dot = type_hints(shape), f"{field}." if field else ""
            missing = [name for name, kind in hints.items() if get_origin(kind) is not NotRequired and name not in value]
            if missing:
                return f"lacks {', '.join(f'{dot}{name}' for name in missing)}"
            if closed and (unknown := [name for name in value if name not in hints]):
                return f"{dot}{printable(unknown[0][:40])} is no field here"
            inside = ((value[name], kind, f"{dot}{name}") for name, kind in hints.items() if name in value)
    elif origin in (list, tuple):
        fits = isinstance(value, list)
        inside = ((entry, arguments[0], f"{field}[{index}]") for index, entry in enumerate(value if fits else ()))
    elif origin in (dict, Mapping):
        fits = isinstance(value, dict)
        inside = ((entry, arguments[1], f"{field}.{printable(name)}") for name, entry in (value.items() if fits else ()))
    else:
        fits = origin is not Annotated and _is(value, shape)
    if not fits:
        return f"{field or 'it'} is {_said(value)}; expected {_words(shape)}"
    return next((fault for each in inside if (fault := mismatch(*each, closed=closed)) is not None), None)


@cache
def type_hints(shape: Any) -> dict[str, Any]:
    """Field of a TypedDict -> its type. Not `__required_keys__`: Python 3.11 cannot tell them where annotations are strings."""
    return get_type_hints(shape, include_extras=True)


def _is(value: Any, kind: Any) -> bool:
    if kind in (None, type(None)):
        return value is None
    if kind is float:  # Python reads 1e999 as infinity, and 10**400 overflows as a float
        return isinstance(value, (int, float)) and not isinstance(value, bool) and -MOST_NUMBER < value < MOST_NUMBER
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return isinstance(value, kind)


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def _words(shape: Any) -> str:
    if get_origin(shape) is Literal:
        return " or ".join(repr(choice) for choice in get_args(shape))
    if get_origin(shape) in (Union, types.UnionType):
        return " or ".join(_words(option) for option in get_args(shape))
    if get_origin(shape) is Annotated:
        return f"a whole number from {get_args(shape)[1]}"
    return _NAMES.get(get_origin(shape) or shape, "an object")


def _said(value: Any) -> str:
    """A value for a message, in a few words."""
    if isinstance(value, (dict, list)):
        return _NAMES[type(value)]
    if value is None:
        return "null"
    text = printable(json.dumps(value)) if not isinstance(value, str) else repr(printable(value[:40]))
    return text if len(text) <= 60 else text[:57] + "..."


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (_INFINITY, -_INFINITY):  # what Python makes of 1e999
        raise ValueError(f"{text if len(text) < 20 else text[:17] + '...'} is too large a number")
    return number


_INFINITY = float("inf")
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


def _depth(value: Any) -> int:
    """Levels of nesting, counted up to one more than allowed."""
    level, depth = [value], 0
    while depth <= MOST_DEPTH:
        level = [entry for entry in level if isinstance(entry, (dict, list))]
        if not level:
            break
        depth += 1
        level = [entry for container in level for entry in (container.values() if isinstance(container, dict) else container)]
    return depth


def _check_strings(value: Any, where: object) -> None:
    """Raises InvalidData for text with invisible characters other than line breaks and tabs."""
    rest = [value]
    while rest:
        entry = rest.pop()
        if isinstance(entry, dict):
            rest += [*entry.keys(), *entry.values()]
        elif isinstance(entry, list):
            rest += entry
        elif isinstance(entry, str) and not is_printable(entry.replace("\n", "").replace("\t", "")):
            raise InvalidData(f"{where} is damaged: it holds an invisible character in {printable(entry[:60])!r}")
