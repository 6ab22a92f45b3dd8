"""Malformed command lines: a subset of `make fuzz` (docs/robustness.md has the table of the whole)."""

from __future__ import annotations

from tests.fuzz import fuzz


def test_malformed_command_lines_are_refused_in_words():
    fell: list[str] = []
    found = fuzz(40, 7, fell.append)
    assert fell == []
    assert found.total() == 40
