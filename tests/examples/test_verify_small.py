"""The project's own gate: what `make verify-small` asks for, and that the shipped reference can answer it."""

import os
import subprocess
from pathlib import Path

import pytest

from protocols.records.store import find_runs
from tests.mutants.verdicts import Rule

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "references" / "dreamer-small" / "runs"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The two command lines, as a stand-in for dreamer-bench hears them, and the exit code of the script."""
    folder = tmp_path_factory.mktemp("gate")
    stub = folder / "bench"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {folder}/heard\n[ "$1" = run ] || exit 1\n')
    stub.chmod(0o755)
    code = subprocess.run(
        [ROOT / "examples" / "ci" / "verify-small.sh", folder / "runs", REFERENCE, "--look", "2"],
        env={**os.environ, "DREAMER_BENCH": str(stub)},
        check=False,
    ).returncode
    return [line.split() for line in (folder / "heard").read_text().splitlines()], code


def words(line, option):
    """What follows an option, up to the next one."""
    rest = line[line.index(option) + 1 :]
    return rest[: next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))]


def test_the_gate_judges_what_it_trained_and_leaves_by_the_verdict(asked):
    (run, *verdicts), code = asked
    assert (run[:2], code) == (["run", "small@1"], 1)
    assert words(run, "--tasks") == [task for verify in verdicts for task in words(verify, "--tasks")]
    for verify in verdicts:
        assert verify[0] == "verify"
        assert words(run, "--runs") == [verify[1]]
        assert words(verify, "--margin") == [str(Rule.margin)]  # what the mutation study measures
        assert verify[-2:] == ["--look", "2"]


def test_the_gate_trains_seeds_that_the_reference_does_not_have(asked):
    (run, verify, *_), _ = asked
    tasks = words(run, "--tasks")
    have = {(r.manifest["task"], r.manifest["seed"]) for r in find_runs(Path(words(verify, "--reference")[0]))}
    assert all(sum(task == name for task, _ in have) >= 10 for name in tasks)
    assert {seed for _, seed in have} & set(map(int, words(run, "--seeds"))) == set()
    assert len(words(run, "--seeds")) == 5
