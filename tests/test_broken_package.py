"""An installed package whose module is gone, as after half an uninstallation, is a line and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def heard(tmp_path, group, name, module, *command):
    """Exit code and standard error of dreamer-bench beside such a package, in a process of its own."""
    described = tmp_path / "halfgone-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: halfgone\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    done = subprocess.run(
        [sys.executable, "-m", "dreamer_bench", *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("group", "name", "module", "command"),
    [
        ("dreamer_bench.suites", "gone", "gone_suite", ("list", "tasks")),
        ("dreamer_bench.agents", "gone", "gone_agent", ("list", "agents")),
        ("dreamer_bench.protocols", "gone", "gone_protocol:P", ("list", "protocols")),
    ],
)
def test_the_line_names_package_and_module_and_what_to_do(group, name, module, command, tmp_path):
    code, error = heard(tmp_path, group, name, module, *command)
    assert code == 2
    assert "Traceback" not in error
    assert f"the installed package halfgone registers the module '{module.partition(':')[0]}'" in " ".join(error.split())
    assert "pip uninstall halfgone" in " ".join(error.split())


def test_an_error_inside_the_module_is_the_packages_own_and_keeps_its_traceback(tmp_path):
    (tmp_path / "half_suite.py").write_text("import a_module_that_nobody_has\n")
    code, error = heard(tmp_path, "dreamer_bench.suites", "half", "half_suite", "list", "tasks")
    assert (code, "Traceback" in error, "a_module_that_nobody_has" in error) == (5, True, True)
