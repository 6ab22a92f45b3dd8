"""What the pages show as output is what the commands print: every block ```console is run line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```console" in page.read_text()]


def dialogue(page: Path) -> list[tuple[str, str]]:
    """(command, output) for every line of the page's console blocks that begins with a dollar sign."""
    told = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            told.append((command, output))
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page, tmp_path):
    """In a folder that looks like a clone: the commands are typed as they stand, and standard output is compared."""
    for name in ("examples", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dreamer-bench").write_text(f'#!/bin/sh\nexec {sys.executable} -m dreamer_bench "$@"\n')
    (tools / "dreamer-bench").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    for command, expected in dialogue(page):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stdout == expected, f"{command}\n{done.stdout}{done.stderr}"
