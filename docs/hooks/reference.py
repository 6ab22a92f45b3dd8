"""Reference pages as Markdown, generated from the code: commands, options, files of a run. `site.py` adds them to the site.

The text of a field is the docstring below it, which tyro also shows in `--help`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = {"Positional", "UseAppendAction"}
"""Marks of tyro that say how an argument is written, not which values it takes."""


def cell(text: str) -> str:
    """Text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    columns = list(head)
    return [
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def field_docs(cls: type) -> dict[str, str]:
    """Field -> the docstring below it, those of the bases included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object or not inspect.get_annotations(base):
            continue
        body = _body(base)
        for here, below in itertools.pairwise(body):
            if not (isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                docs[here.target.id] = below.value.value
            else:
                docs.pop(here.target.id, None)
    return docs


def _body(cls: type) -> list[ast.stmt]:
    tree = ast.parse(inspect.getsource(inspect.getmodule(cls)))  # type: ignore[arg-type]
    return next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__)


def type_in_words(hint: Any) -> str:
    """ "int or none", "one of `auto`, `cpu`", "list of int"; ranges of `Annotated` as their own text."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        marks = [f"at least {mark}" if type(mark) is int else str(mark) for mark in arguments[1:] if _is_range(mark)]
        return ", ".join([type_in_words(arguments[0]), *marks])
    if origin in (typing.NotRequired, typing.Required):
        return type_in_words(arguments[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_in_words(each) for each in arguments)
    if origin in (tuple, list):
        return "list of " + type_in_words(arguments[0])
    if hint is type(None):
        return "none"
    return {"Path": "path", "str": "text", "bool": "yes or no", "dict": "object"}.get(
        getattr(origin or hint, "__name__", str(hint)), getattr(origin or hint, "__name__", str(hint))
    )


def _is_range(mark: Any) -> bool:
    return getattr(mark, "__name__", "") not in HIDDEN and not type(mark).__module__.startswith("tyro")


def shown(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return "`" + " ".join(str(each) for each in value) + "`"
    return f"`{value}`"


def default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


# -- command line --------------------


def command_line() -> str:
    import dreamer_bench

    lines = ["# Command line", "", "Generated from the commands; `dreamer-bench COMMAND --help` prints the same.", ""]
    for name, kind in dreamer_bench.commands().items():
        lines += _command(name, kind)
    return "\n".join(lines)


def _command(name: str, kind: type) -> list[str]:
    docs, hints = field_docs(kind), typing.get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    nested = [found for field in fields for found in _subcommands(hints[field.name])]
    if nested:
        return [
            f"## {name}",
            "",
            inspect.getdoc(kind) or "",
            "",
            *(line for n, k in nested for line in _command(f"{name} {n}", k)),
        ]
    rows = []
    for field in fields:
        positional = any(
            getattr(mark, "__name__", str(mark)) == "Positional" for mark in typing.get_args(hints[field.name])[1:]
        )
        flag = field.name.upper() if positional else "--" + field.name.replace("_", "-").strip("-")
        rows.append((f"`{flag}`", type_in_words(hints[field.name]), shown(default_of(field)), cell(docs.get(field.name, ""))))
    head = "### " if " " in name else "## "
    return [f"{head}{name}", "", inspect.getdoc(kind) or "", "", *table(("argument", "value", "default", "meaning"), rows)]


def _subcommands(hint: Any) -> list[tuple[str, type]]:
    """(name, class) of the commands in a nested union."""
    if typing.get_origin(hint) is not typing.Annotated or typing.get_origin(typing.get_args(hint)[0]) is not typing.Union:
        return []
    found = []
    for each in typing.get_args(typing.get_args(hint)[0]):
        if typing.get_origin(each) is typing.Annotated:
            kind, mark = typing.get_args(each)[:2]
            found.append((mark.name, kind))
    return found


# -- options --------------------


def options() -> str:
    """Options of every built-in recipe, and of every suite."""
    import importlib

    from agents import catalog as agents
    from suites import catalog as suites

    lines = [
        "---\nhide: [toc]\n---",
        "# Options of agents and suites",
        "",
        "Generated from the dataclasses. Set an option of an agent with `run --set name=value`. Each profile has a column,",
        "which shows the values that differ from those of the first profile. A § is a section of the page that it links to.",
        "Options of a suite belong to a protocol.",
        "",
    ]
    for entry in agents.entries().values():
        if entry.origin == "built in":
            recipe = importlib.import_module(entry.recipe)
            lines += [f"## Agent `{entry.name}`", "", f"{entry.summary}. Recipe: `{entry.recipe}`.", ""]
            lines += _options(recipe.Options, dict(recipe.PROFILES))
    for suite in suites.suites().values():
        if suite.origin == "built in":
            kind = suite.load().Options
            lines += [f"## Suite `{suite.name}`", ""]
            lines += _options(kind, {"default": kind()})
            if not field_docs(kind):  # older suites explain their options in the docstring of the class
                lines += ["```text", inspect.getdoc(kind) or "", "```", ""]
    return "\n".join(lines)


def _options(kind: type, profiles: Mapping[str, Any]) -> list[str]:
    from dreamer_bench_options import meanings_of

    docs, hints = meanings_of(kind), typing.get_type_hints(kind, include_extras=True)
    first = next(iter(profiles.values()))
    rows = []
    for field in dataclasses.fields(kind):
        value = getattr(first, field.name)
        others = [
            "" if getattr(profile, field.name) == value else shown(getattr(profile, field.name))
            for profile in list(profiles.values())[1:]
        ]
        rows.append(
            (f"`{field.name}`", type_in_words(hints[field.name]), shown(value), *others, linked(cell(docs.get(field.name, ""))))
        )
    if not rows:
        return ["No options.", ""]
    return table(("option", "value", *profiles, "meaning"), rows)


def linked(text: str) -> str:
    """ "dreamer.md §3" becomes a link to that page."""
    return re.sub(r"(\w+)\.md §(\d+)", r"[\1 §\2](../algorithms/\1.md)", text)


# -- files of a run --------------------


def files_of_a_run() -> str:
    """Every TypedDict of protocols/records/schema.py, in its order."""
    from protocols.records import schema

    lines = [
        "# Files of a run",
        "",
        "Generated from `protocols/records/schema.py`, the types with which the code reads and writes these files. A run is",
        "the folder `RUNS/PROTOCOL/LABEL/TASK/seed-N/`: `manifest.json` is its first file and `result.json` its last. All",
        "files are JSON in UTF-8; a `.jsonl` file has one object per line.",
        "",
    ]
    kinds = [kind for kind in vars(schema).values() if typing.is_typeddict(kind)]
    for kind in kinds:
        docs, hints = field_docs(kind), typing.get_type_hints(kind, include_extras=True)
        rows = [
            (
                f"`{name}`",
                type_in_words(hint),
                "" if name in kind.__required_keys__ else "may be absent",
                cell(docs.get(name, "")),
            )
            for name, hint in hints.items()
        ]
        lines += [f"## {kind.__name__}", "", kind.__doc__ or "", "", *table(("field", "type", "", "meaning"), rows)]
    return "\n".join(lines)
