"""Every mutation applies to this tree, compiles, and changes what a run records."""

import compileall
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import caught
from tests.mutants.mutations import MUTATIONS, UNCHANGED, Edit, Mutation, apply
from tests.mutants.tree import ROOT, copy_of

TIMES = ("seconds", "env_steps_per_second")
PROTOCOL = """
base = "small@1"
tasks = ["gym:CartPole-v1"]
env_steps = 160
time_limit_env_steps = 14
action_repeat = 2
seeds = [0, 1]
evaluate_every_env_steps = 80
evaluate_episodes = 2
final_episodes = 2
"""
"""Falls and time limits, a repeat of 2, two seeds: something for every mutation."""


def fingerprint(tree):
    """What a run in the tree recorded, without times."""
    lines = []
    for name in ("episodes.jsonl", "metrics.jsonl"):
        for path in sorted((tree / "runs").rglob(name)):
            for line in path.read_text().splitlines():
                kept = {key: value for key, value in json.loads(line).items() if key not in TIMES and "sha256" not in str(key)}
                lines.append(json.dumps({"file": str(path.relative_to(tree)), **kept}, sort_keys=True))
    return lines


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    (folder / "tiny.toml").write_text(PROTOCOL)
    twice = Mutation(name="again", says="", edits=[])
    trees = {m.name: copy_of(m, folder / m.name) for m in (UNCHANGED, twice, *MUTATIONS)}
    subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("fingerprints.py")),
            str(folder / "tiny.toml"),
            *map(str, trees.values()),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
    )
    return {name: fingerprint(tree) for name, tree in trees.items()}


def test_the_twelve_bugs_are_thirteen_patches_with_names_of_their_own():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) == 13


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_applies_once_and_compiles(mutation, tmp_path):
    tree = copy_of(mutation, tmp_path / "tree")
    for edit in mutation.edits:
        assert compileall.compile_file(str(tree / edit.path), quiet=1)


@pytest.mark.parametrize("name", caught.ORDER)
def test_the_tests_that_may_see_a_mutation_first_are_there(name):
    assert (ROOT / name).is_file()


def test_an_edit_whose_text_is_gone_is_refused(tmp_path):
    (tmp_path / "some.py").write_text("a = 1\n")
    with pytest.raises(ValueError, match=r"gone: 'b = 2' is in some.py 0 times"):
        apply(Mutation(name="gone", says="", edits=[Edit("some.py", "b = 2", "")]), tmp_path)


def test_two_copies_of_the_unchanged_code_record_the_same(recorded):
    assert len(recorded["unchanged"]) >= 2 * (3 * 2 + 3)
    assert recorded["again"] == recorded["unchanged"]


@pytest.mark.parametrize("name", [mutation.name for mutation in MUTATIONS])
def test_every_mutation_changes_what_a_run_records(recorded, name):
    assert recorded[name] != recorded["unchanged"]
