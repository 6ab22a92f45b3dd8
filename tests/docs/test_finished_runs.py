"""Which runs stand in the tables that the scripts of docs/figures print, on made-up records."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamer_bench_base import UserError
from protocols import catalog
from tests.make_records import make_run

SCRIPTS = Path(__file__).parents[2] / "docs" / "figures"
DMC, QUICK, SMALL = (catalog.find(name) for name in ("dmc-small@1", "quick@2", "small@1"))
TASK = "dmc_cartpole_swingup"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a script prints, by its name and arguments."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return lambda name, *arguments: importlib.import_module(name).page([str(each) for each in arguments])


def fill(root: Path, protocol: Any, agent: str, seeds: Sequence[int], level: float = 500.0, **options: Any) -> Path:
    for seed in seeds:
        points = {0: [1.0], protocol.env_steps: [level + seed % 5]}
        task = TASK if TASK in protocol.tasks else protocol.tasks[0]
        make_run(root, protocol, agent=agent, task=task, seed=seed, scores=points, final=[level + seed % 5], **options)
    return root


def rows(printed: str, title: str = "score") -> dict[str, str]:
    """agent -> the rest of its row in the table with this title."""
    (table,) = [part for part in printed.split("\n\n") if part.startswith(f"| {title} |")]
    return {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}


def test_runs_with_options_set_by_hand_stand_under_their_label(tmp_path: Path, page: Callable[..., str]) -> None:
    fill(tmp_path, DMC, "dreamer", DMC.seeds, level=100.0)
    label = make_label(fill(tmp_path, DMC, "dreamer", DMC.seeds, level=900.0, overrides={"horizon": 1}))
    found = rows(page("comparison_tables", "dmc-small@1", tmp_path))
    assert list(found) == ["dreamer", label]
    assert " 102 (" in found["dreamer"]
    assert " 902 (" in found[label]


def make_label(root: Path) -> str:
    return next(path.name for path in (root / DMC.id).iterdir() if "+" in path.name)


@pytest.mark.parametrize(("script", "protocol"), [("comparison_tables", DMC), ("quick_sets", QUICK)])
def test_runs_that_were_cut_count_nowhere(tmp_path: Path, page: Callable[..., str], script: str, protocol: Any) -> None:
    for agent in ("dreamer", "random"):
        fill(tmp_path, protocol, agent, range(5), limit_env_steps=protocol.env_steps)
    asked = (protocol.id, tmp_path) if script == "comparison_tables" else (tmp_path,)
    with pytest.raises(UserError, match=f"no run of {protocol.id} counts; 10 left out: its budget was cut with --limit"):
        page(script, *asked)


@pytest.mark.parametrize(("protocol", "agents"), [(DMC, ["dreamer", "sac"]), (SMALL, ["dreamer"])])
def test_a_diverged_run_counts_as_its_protocol_says(
    tmp_path: Path, page: Callable[..., str], protocol: Any, agents: list[str]
) -> None:
    """Under dmc-small@1 as an untrained agent, with the score of the first evaluation; under small@1 it has no score."""
    fill(tmp_path, protocol, "dreamer", protocol.seeds)
    fill(tmp_path, protocol, "sac", protocol.seeds[1:])
    fill(tmp_path, protocol, "sac", protocol.seeds[:1], status="diverged")
    found = rows(page("comparison_tables", protocol.id, tmp_path))
    assert list(found) == agents
    if protocol is DMC:
        assert " 402 (" in found["sac"]  # (1 + 501 + 502 + 503 + 504) / 5 = 402.2


def test_sets_of_quick_are_of_its_protocol_and_complete(tmp_path: Path, page: Callable[..., str]) -> None:
    for agent, level in (("random", 10.0), ("dreamer", 500.0)):
        fill(tmp_path, QUICK, agent, [0, 1, 2, 200, 201, 202, 203, 204], level)
        fill(tmp_path, DMC, agent, [203, 204, 205], level)
    fill(tmp_path, QUICK, "sac", [200, 201, 203, 204, 205], 500.0)  # 200 to 202 misses a seed, 203 to 205 has no random actions
    found = page("quick_sets", tmp_path).splitlines()[2:]
    assert found == ["| dreamer | 2 | 2 | 2 | 501 to 501 |"]


def test_folders_without_what_a_table_needs_are_refused(tmp_path: Path, page: Callable[..., str]) -> None:
    fill(tmp_path / "dmc", DMC, "dreamer", DMC.seeds[:3])
    with pytest.raises(UserError, match=r"no agent has all 5 seeds of dmc-small@1 on a task .the most seeds are 3, of dreamer"):
        page("comparison_tables", "dmc-small@1", tmp_path / "dmc")
    with pytest.raises(UserError, match="no run of quick@2 counts; give the folder"):
        page("quick_sets", tmp_path / "dmc")
    fill(tmp_path / "alone", QUICK, "dreamer", range(3))
    with pytest.raises(UserError, match="no agent and random actions both have a complete set of 3 seeds"):
        page("quick_sets", tmp_path / "alone")
    whole = fill(tmp_path / "whole", DMC, "dreamer", DMC.seeds)
    with pytest.raises(UserError, match="dreamer, dmc_cartpole_swingup, seed 0 is there twice"):
        page("comparison_tables", "dmc-small@1", whole, whole)
    other = fill(tmp_path / "other", replace(DMC, env_steps=20_000), "dreamer", DMC.seeds)
    with pytest.raises(UserError, match="seed-0 was made under another definition of dmc-small@1"):
        page("comparison_tables", "dmc-small@1", other)


@pytest.mark.parametrize("arguments", [["comparison_tables.py", "dmc-small@1"], ["quick_sets.py"]])
def test_the_scripts_exit_with_2_and_one_line(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "runs" / "quick@1").mkdir(parents=True)
    command = [sys.executable, SCRIPTS / arguments[0], *arguments[1:], tmp_path / "runs"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")
