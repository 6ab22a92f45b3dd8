"""The two example packages, installed into a fresh environment and taken through check, run, validate and report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PACKAGES = ("hill_climber", "point_suite")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Python of its own that sees our packages, with both examples installed into it; nothing is downloaded."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home / "env", with_pip=False, symlinks=True)
    python = home / "env" / "bin" / "python"
    ours = sysconfig.get_path("purelib")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    Path(place, "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    for name in PACKAGES:
        shutil.copytree(EXAMPLES / name, home / name, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--no-build-isolation", *(str(home / name) for name in PACKAGES)], check=True, env=variables())
    return python


def variables():
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_INDEX_URL")}
    return {**kept, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def runs(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    done = bench(environment, folder, "run", "point@1", "--agents", "hill_climber", "random", "--workers", "0")
    assert done.returncode == 0, done.stderr
    return folder


def bench(python, folder, *arguments):
    command = [python, "-m", "dreamer_bench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=variables())


@pytest.mark.parametrize("name", PACKAGES)
def test_an_example_has_fewer_than_ninety_lines(name):
    assert len((EXAMPLES / name / f"{name}.py").read_text().splitlines()) < 90


def test_what_they_bring_is_listed_with_its_origin(environment, tmp_path):
    shown = bench(environment, tmp_path, "list").stdout
    assert "dreamer-bench-hill-climber" in shown
    for name in ("hill_climber", "point_reach", "point_reach_sparse", "point@1"):
        assert name in shown


def test_the_agent_passes_the_check(environment, tmp_path):
    done = bench(environment, tmp_path, "check-agent", "hill_climber")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert done.stdout.count("it continues after loading") == 4


def test_the_suite_passes_the_check(environment, tmp_path):
    names = "'point_reach', 'point_reach_sparse'"
    code = f"from suites.conformance import check_suite; print([check_suite(task) for task in ({names})])"
    done = subprocess.run([environment, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=variables())
    assert done.stdout == "[[], []]\n", done.stdout + done.stderr


def test_the_records_pass_the_checker(environment, runs):
    bench(environment, runs, "validate", "runs", "--json", "violations.json")
    found = json.loads((runs / "violations.json").read_text())
    assert found["runs"] == 2 * 2 * 3
    assert {violation["rule"] for violation in found["violations"]} <= {"commit"}, found  # whoever develops has changes


def test_the_report_shows_the_agent(environment, runs):
    done = bench(environment, runs, "report", "runs", "--out", "report")
    assert done.returncode == 0, done.stderr
    page = (runs / "report" / "index.html").read_text()
    assert "hill_climber" in page
    assert "point@1" in page


def test_the_agent_plays_other_tasks_and_refuses_an_unknown_option(environment, tmp_path):
    done = bench(environment, tmp_path, "run", "point@1", "--agents", "hill_climber", "--set", "step_sice=1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "step_size" in done.stderr
