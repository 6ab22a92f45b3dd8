"""`--set name=value`: fields of an agent's options from text, checked against their declared types."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dreamer_bench_base import UserError

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def parse(assignments: Sequence[str], options: Any, agent: str) -> dict[str, Any]:
    """name -> value of every assignment. ValueError, in one line, for unknown names, wrong types and refused values."""
    hints = get_type_hints(type(options))
    known = [field.name for field in fields(options)]
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UserError(f"--set expects name=value, for example {known[0] if known else 'horizon'}=20; got {assignment!r}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            what = f"it has {', '.join(known)}" if known else "it has none; name other agents with --agents"
            raise UserError(f"agent {agent!r} has no option {name!r}; {f'did you mean {near[0]!r}?' if near else what}")
        if name in found:
            raise UserError(f"option {name!r} is set twice; give it once")
        try:
            found[name] = _value(text.strip(), hints[name])
        except ValueError:
            raise UserError(
                f"option {name!r} of agent {agent!r} expects {_name(hints[name])}, got {text!r}; "
                f"its value now is {getattr(options, name)!r}"
            ) from None
    replace(options, **found)  # options may refuse a value, or two values together
    return found


def _value(text: str, kind: Any) -> Any:
    origin = get_origin(kind)
    if origin is Literal:
        for choice in get_args(kind):
            if text == str(choice):
                return choice
        raise UserError(text)
    if origin in (Union, types.UnionType):
        return _first_of(text, get_args(kind))
    if origin is tuple or kind is tuple:
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        inner = get_args(kind) or (str, ...)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_value(part, inner[0]) for part in parts)
        if len(parts) != len(inner):
            raise UserError(text)
        return tuple(_value(part, each) for part, each in zip(parts, inner, strict=True))
    if kind is type(None):
        if text.lower() in ("none", "null"):
            return None
        raise UserError(text)
    if kind is bool:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise UserError(text)
    if kind is int:
        return int(text.replace("_", ""))
    if kind is float:
        return float(text)
    return text


def _first_of(text: str, kinds: tuple[Any, ...]) -> Any:
    """None and numbers before strings, which take everything."""
    for kind in sorted(kinds, key=lambda each: each is str):
        try:
            return _value(text, kind)
        except ValueError:
            continue
    raise UserError(text)


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_name(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return f"{_name(get_args(kind)[0])} values with commas between them"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return names.get(kind, str(kind))
