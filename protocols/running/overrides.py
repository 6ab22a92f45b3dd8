"""`--set name=value`: reads fields of an agent's options from text and checks them against their declared types."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dreamer_bench_base import UserError, suggestion
from dreamer_bench_options import check, in_words, types_of

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def parse(assignments: Sequence[str], options: Any, agent: str) -> dict[str, Any]:
    """name -> value of every assignment. Raises UserError for unknown names, wrong types and values outside their range."""
    known = types_of(type(options))
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UserError(f"--set expects name=value, for example {next(iter(known), 'horizon')}=20; got {assignment!r}")
        if name not in known:
            what = f"it has {', '.join(known)}" if known else "it has none; name other agents with --agents"
            hint = suggestion(name, known, cutoff=0.5) or f"; {what}"
            raise UserError(f"agent {agent!r} has no option {name!r}{hint}")
        if name in found:
            raise UserError(f"option {name!r} is set twice; give it once")
        try:
            found[name] = _value(text.strip(), known[name])
        except ValueError:
            raise UserError(
                f"option {name!r} of agent {agent!r} expects {in_words(known[name])}, got {text!r}; "
                f"its value now is {getattr(options, name)!r}"
            ) from None
    check(replace(options, **found))  # options can refuse a value, or a combination of values
    return found


def overriding(assignments: Sequence[str], options: Any, agent: str, already: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set by hand: `already`, overridden by the assignments.

    An assignment of the default is left out, so that it does not change the label of the run.
    """
    found = parse(assignments, replace(options, **already), agent)
    return {name: value for name, value in {**already, **found}.items() if name not in found or value != getattr(options, name)}


def _value(text: str, kind: Any) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        return _value(text, get_args(kind)[0])
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
    """Tries None and numbers before strings, because any text is a string."""
    for kind in sorted(kinds, key=lambda each: each is str):
        try:
            return _value(text, kind)
        except ValueError:
            continue
    raise UserError(text)
