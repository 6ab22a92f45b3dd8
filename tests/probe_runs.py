"""Small real runs for tests: a protocol on probes, the learner of tally_agent.py, and a process that runs them.

As a program: python probe_runs.py (command line of dreamer-bench), with the protocol probe@1 and the agent tally known.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import catalog as agent_catalog
from agents.catalog import AgentEntry
from protocols import catalog
from protocols.running.cohort import CohortRequest
from protocols.running.grid import Grid
from protocols.spec import Protocol, ScoreRule

PROBE = Protocol(
    id="probe@1",
    title="",
    purpose="",
    source="",
    choices=(),
    tasks=("probe_count", "probe_terminal"),
    action_repeat=2,
    env_steps=800,
    time_limit_env_steps=9,
    num_envs=2,
    seeds=(0, 1),
    evaluate_every_env_steps=200,
    evaluate_episodes=3,
    final_episodes=4,
    score_rule=ScoreRule(kind="window", window_env_steps=300),
    normalization="none",
    margin=0.1,
    simulators={},
)

DMC = replace(
    PROBE,
    id="tiny-dmc@1",
    tasks=("dmc_cartpole_balance",),
    suite_options={"look": "fast"},
    action_repeat=4,
    env_steps=600,
    time_limit_env_steps=120,
    num_envs=1,
    evaluate_every_env_steps=200,
    evaluate_episodes=2,
    final_episodes=0,
)

TIMES = ("seconds", "env_steps_per_second")


def register() -> None:
    """Makes PROBE, DMC and the agent `tally` known to this process."""
    if PROBE not in catalog.BUILT_IN:
        catalog.BUILT_IN = (*catalog.BUILT_IN, PROBE, DMC)
        agent_catalog.BUILT_IN = (*agent_catalog.BUILT_IN, AgentEntry(name="tally", summary="for tests", recipe="tally_agent"))


def request(
    root: Path,
    *,
    protocol: Protocol = PROBE,
    agent: str = "tally",
    task: str | None = None,
    seeds: tuple[int, ...] = (0, 1),
    limit: int | None = None,
    **more: Any,
) -> CohortRequest:
    overrides = more.pop("overrides", {})
    task = task or protocol.tasks[0]
    grid = Grid(
        root=root, protocol=protocol, agents=(agent,), tasks=(task,), seeds=seeds, overrides=overrides, limit_env_steps=limit
    )
    chosen = {"film": False, "command": "again", **more}
    return CohortRequest(grid=grid, agent=agent, task=task, seeds=seeds, workers=0, **chosen)


def records(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every line of every episode and metrics file below `root`, without the fields that are times."""
    return {
        str(path.relative_to(root)): [
            {key: value for key, value in json.loads(line).items() if key not in TIMES}
            for line in path.read_text().splitlines()
        ]
        for name in ("episodes.jsonl", "metrics.jsonl")
        for path in sorted(root.rglob(name))
    }


def learned(root: Path) -> dict[str, str]:
    """What the agents knew at the end."""
    return {path.parts[-4]: path.read_text() for path in sorted(root.rglob("tally.json"))}


if __name__ == "__main__":
    import dreamer_bench

    register()
    dreamer_bench.main()
