"""Cures at the borders: an error of `select` or `normalize` serves several commands, and each prints only options that it has.

Text in backticks (`import --score COLUMN`) names its own command and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from dreamer_bench_base import UserError

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def options_of(command: Any) -> set[str]:
    """The options of a command: "--at"."""
    return {f"--{field.name.replace('_', '-')}" for field in fields(command)}


def named_in(text: str) -> set[str]:
    """The options that a text names without a command."""
    return set(OPTION.findall(re.sub(r"`[^`]*`", "", text)))


@contextmanager
def within(options: Collection[str], instead: str) -> Iterator[None]:
    """Inside, an error whose cure names an option that is not in `options` gets the cure `instead`.

    instead  may contain "{cure}", the cure that is replaced
    """
    try:
        yield
    except UserError as error:
        what, _, cure = str(error).rpartition("; ")
        if not what or named_in(cure) <= set(options):
            raise
        raise type(error)(f"{what}; {instead.replace('{cure}', cure)}") from None
