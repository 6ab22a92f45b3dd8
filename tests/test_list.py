"""What `list` prints fits the terminal it is printed on."""

from __future__ import annotations

import pytest
from rich.console import Console

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
