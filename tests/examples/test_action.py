"""The composite action's own shell steps, run by bash as GitHub would: the exit code is the verdict's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "examples/ci/fixtures"


def shell(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a step's script as GitHub's runner does."""
    return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], env=environment, capture_output=True, text=True)


def step(name: str) -> str:
    """The script of a step of action.yml, its indentation taken off."""
    text = (ROOT / "action.yml").read_text()
    block = re.search(rf"- name: {name}\n.*?run: (\|\n(?:        [^\n]*\n?)+|[^\n]*)", text, re.DOTALL)
    assert block, f"action.yml has no step {name}"
    script = block[1]
    return re.sub(r"^        ", "", script[2:], flags=re.MULTILINE) if script.startswith("|") else script


def verify(tmp_path: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The step "verify" with the action's inputs; those that are not given are empty, as GitHub passes them."""
    empty = dict.fromkeys(("RUNS", "SCORES", "REFERENCE", "PROTOCOL", "MARGIN", "ARGUMENTS"), "")
    environment = {
        **os.environ,
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "DREAMER_BENCH": f"{sys.executable} -m dreamer_bench",
        "PYTHONPATH": str(ROOT),
        "OUT": str(tmp_path / "verdict"),
        **empty,
        **inputs,
    }
    return shell(step("verify"), environment)


@pytest.mark.parametrize(
    ("scores", "code", "status"),
    [("0-reproduced.csv", 0, "reproduced"), ("1-below.csv", 1, "below"), ("3-inconclusive.csv", 3, "inconclusive")],
)
def test_the_actions_verify_step_leaves_by_the_verdict_and_tells_its_status(scores, code, status, tmp_path):
    reference = str(FIXTURES / "reference.csv")
    done = verify(tmp_path, SCORES=str(FIXTURES / scores), REFERENCE=reference, PROTOCOL="dmc-1m@1")
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == f"status={status}\n"
    assert (tmp_path / "verdict/verdict.xml").exists()


def test_the_action_takes_a_runs_folder_and_a_margin(tmp_path):
    """Random actions against Dreamer's shipped records: below, at the margin that was given."""
    records = ROOT / "results/leaderboard"
    paths = {"RUNS": str(records / "random-actions/runs"), "REFERENCE": str(records / "dreamer/runs")}
    done = verify(tmp_path, **paths, PROTOCOL="small@1", MARGIN="0.2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == "status=below\n"
    assert "margin 0.2" in done.stdout


def test_the_action_asks_for_either_runs_or_scores(tmp_path):
    for inputs in ({}, {"RUNS": "a", "SCORES": "b"}):
        done = verify(tmp_path, REFERENCE="dreamer-2020-appendix-g", **inputs)
        assert (done.returncode, done.stdout) == (2, "::error::give one of the inputs runs and scores\n")


def test_a_wrong_option_is_a_usage_error_of_the_step(tmp_path):
    done = verify(
        tmp_path,
        SCORES=str(FIXTURES / "0-reproduced.csv"),
        REFERENCE="nowhere.csv",
        MARGIN="0.1",
        ARGUMENTS="--non-inferior --profile warn",
    )
    assert done.returncode in (2, 4), done.stdout + done.stderr


def test_the_action_installs_the_base_alone():
    assert step("install") == 'pip install -c "$GITHUB_ACTION_PATH/constraints.txt" "$GITHUB_ACTION_PATH"'
