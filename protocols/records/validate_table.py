"""Checks of all runs of one agent under one protocol together: whether all are there, and none is a copy of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from protocols import own
from protocols.records.rules import Broken
from protocols.records.schema import Asked, Manifest
from protocols.records.score import alike
from protocols.spec import Protocol, digest


class Table:
    """What the checks of a table need from its runs, without their lines, so that thousands of runs fit into memory.

    protocol  the protocol for checking the runs, or why there is none
    submission  whether it is to enter a leaderboard, where a part of the tasks could be the best ones
    runs      folder, task, seed and scores (NaN for a missing one) of each run
    digests   digest -> folder of the first run with it
    asked     (task, seed) of every run that a call of `run` asked for, if all runs have options set by hand
    """

    def __init__(self, protocol: Protocol | str, *, submission: bool = False) -> None:
        self.protocol, self.submission = protocol, submission
        self.runs: list[tuple[str, str, int, np.ndarray]] = []
        self.digests: dict[str, str] = {}
        self.asked: set[tuple[str, int]] | None = set()
        self.whole = False

    def add(self, name: str, manifest: Manifest, scores: np.ndarray) -> None:
        self.runs.append((name, manifest["task"], manifest["seed"], scores))
        self.digests.setdefault(manifest["digest"], name)
        self.whole |= manifest["limit_env_steps"] is None
        if self.submission or not manifest["overrides"]:
            self.asked = None
        if self.asked is not None:
            alone: Asked = {"tasks": [manifest["task"]], "seeds": manifest["cohort"]}
            asked = manifest.get("asked", alone)
            self.asked |= {(task, seed) for task in asked["tasks"] for seed in asked["seeds"]}

    def wanted(self, protocol: Protocol) -> list[tuple[str, int]]:
        """(task, seed) of every run that must be there: those of the protocol; of a study of options, those asked for."""
        every = [(task, seed) for task in protocol.tasks for seed in protocol.seeds]
        return every if self.asked is None else [each for each in every if each in self.asked]


def check_table(table: Table) -> Iterator[Broken]:
    """Checks of all runs of one agent under one protocol together."""
    protocol = table.protocol
    if isinstance(protocol, str) or not table.whole:
        return
    other = next((name for found, name in table.digests.items() if found != digest(protocol)), None)
    if other is not None and own.is_own(protocol.id):
        yield "protocol", f"{other} was made under another {protocol.id}; give every version of a file its own name"
    have = {(task, seed) for _, task, seed, _ in table.runs}
    wanted = table.wanted(protocol)
    missing = [f"{task} seed {seed}" for task, seed in wanted if (task, seed) not in have]
    if missing:
        yield (
            "complete",
            f"{len(missing)} of {len(wanted)} runs are missing: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}",
        )
    by_task: dict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for _, task, seed, played in table.runs:
        for other_seed, other_played in by_task[task]:
            if alike(other_played, played):
                yield "distinct", f"{task}: seeds {other_seed} and {seed} hold the same episodes"
                break
        by_task[task].append((seed, played))
