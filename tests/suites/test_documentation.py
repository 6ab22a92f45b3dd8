"""The suite of docs/adding-a-suite.md is a suite."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from suites import conformance

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-suite.md"


def test_the_documented_suite_keeps_the_contract(tmp_path, monkeypatch):
    code, entry_point = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    (tmp_path / "garden_suite.py").write_text(code)
    information = tmp_path / "garden-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: garden\nVersion: 1.0\n")
    group = re.search(r'entry-points\."(.*?)"', entry_point).group(1)
    (information / "entry_points.txt").write_text(f"[{group}]\n{entry_point.splitlines()[-1].replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert conformance.check_suite("garden_path") == []
        assert conformance.check_suite("garden_path", action_repeat=4) == []
    finally:
        sys.modules.pop("garden_suite", None)
