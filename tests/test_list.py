"""What `list` prints fits the terminal it is printed on, and no help shows an empty default."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

import dreamer_bench
from protocols import catalog
from protocols.running import list_commands, terminal


@pytest.mark.parametrize("columns", [80, 200])
def test_protocols_fit_their_terminal_and_no_number_is_broken(monkeypatch, capsys, columns):
    monkeypatch.setattr(terminal, "console_for_tables", lambda: Console(width=columns))
    list_commands.ListCommand(what="protocols").run()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    for protocol in catalog.entries().values():
        (row,) = (line.split() for line in lines if line.split()[:1] == [protocol.id])
        assert row[1:4] == [str(len(protocol.tasks)), f"{protocol.env_steps:,}", str(len(protocol.seeds))]
    assert ("digest" in lines[1]) == (columns == 200)


@pytest.mark.parametrize("command", [*dreamer_bench.commands(), "leaderboard add", "leaderboard build"])
def test_the_help_of_a_command_shows_no_empty_default(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dreamer-bench", *command.split(), "--help"])
    with pytest.raises(SystemExit) as stop:
        dreamer_bench.main()
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert "usage: dreamer-bench" in said
    assert "(default: )" not in " ".join(said.split())
