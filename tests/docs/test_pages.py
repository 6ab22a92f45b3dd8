"""The pages speak of what is there: the tree of the architecture page, and the generated reference."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import analysis.api

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

import reference  # noqa: E402

TREE = re.search(r"```\n(dreamer_bench\.py.*?)```", (ROOT / "docs" / "architecture.md").read_text(), flags=re.S)[1]


def named_in_tree() -> set[Path]:
    """Every file and folder of the drawn tree; two spaces of indentation are one level."""
    found, folder = set(), Path()
    for line in filter(str.strip, TREE.splitlines()):
        if not line.startswith(" "):
            folder = Path()
        for name in re.split(r" {2,}", line.strip())[0].split():
            if name.endswith("/") and not line.startswith(" "):
                folder = Path(name)
                found.add(folder)
            else:
                found.add(folder / name)
    return found


def test_what_the_tree_names_exists():
    missing = [str(path) for path in named_in_tree() if not (ROOT / path).exists()]
    assert missing == []


def test_every_folder_of_the_packages_is_in_the_tree():
    named = named_in_tree()
    folders = {
        path.parent.relative_to(ROOT)
        for package in ("agents", "suites", "protocols", "analysis")
        for path in (ROOT / package).rglob("*.py")
    }
    inner = {Path("protocols/running/executors"), Path("analysis/scores/formats")}  # named in the line of their folder
    assert folders - named - inner == set()
    assert "executors/" in TREE
    assert "formats/" in TREE


def test_the_reference_has_every_command_and_every_argument():
    import dreamer_bench

    page = reference.command_line()
    for name, kind in dreamer_bench.commands().items():
        assert f"\n## {name}\n" in page
        part = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for field in dataclasses.fields(kind):
            if field.name != "action":  # leaderboard's subcommands, which have headings
                assert field.name.upper() in part or "--" + field.name.replace("_", "-").strip("-") in part


def test_the_reference_has_every_option_of_every_recipe():
    import importlib

    from agents import catalog

    page = reference.options()
    for entry in catalog.entries().values():
        if entry.origin == "built in":
            part = page.split(f"\n## Agent `{entry.name}`\n")[1].split("\n## ")[0]
            for field in dataclasses.fields(importlib.import_module(entry.recipe).Options):
                assert f"| `{field.name}` |" in part


def test_a_field_keeps_the_docstring_below_it():
    from agents.recipes.dreamer import Options

    docs = reference.field_docs(Options)
    assert docs["deter"].startswith("Width of the deterministic state")  # of the base
    assert docs["lambda_"].startswith("λ of the returns")


@pytest.mark.parametrize(
    ("hint", "words"), [(int | None, "int or none"), (tuple[str, ...], "list of text"), (dict[str, int], "object")]
)
def test_types_read_as_words(hint, words):
    assert reference.type_in_words(hint) == words


def test_every_name_of_the_python_reference_has_a_docstring_and_functions_of_records_say_what_they_raise():
    page = (ROOT / "docs/reference/python.md").read_text()
    named = re.findall(r"^::: (\S+)(?:\n    options: \{[^}]*members: \[(.*?)\])?", page, flags=re.M)
    assert len(named) >= 10
    for name, members in named:
        for member in members.split(", ") if members else [""]:
            target = pkgutil.resolve_name(f"{name}.{member}".rstrip("."))
            assert inspect.getdoc(target), f"{name}.{member}"
    described = (ROOT / "docs/python.md").read_text()
    for name, function in vars(analysis.api).items():
        if inspect.isfunction(function) and function.__module__ == "analysis.api":
            assert "Raises" in function.__doc__, name
            assert f"api.{name}(" in described, name
    assert set(re.findall(r"api\.(\w+)\(", described)) <= set(vars(analysis.api))
