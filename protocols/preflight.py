"""Everything that can refuse a run, asked before anything is written: simulators, agents, disk, memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents import catalog as agent_catalog
from protocols.launch import CohortRequest
from protocols.store import REPLAY
from suites import catalog as suite_catalog

ROW_OVERHEAD_BYTES = 12
"""reward, is_first and is_terminal of one row (agents/replay.py)."""
BASE_MEMORY_BYTES = 800_000_000
"""Measured: 761,656 KiB at the peak of the smallest Dreamer (torch, MuJoCo, two seeds, six environments)."""


def check(requests: Sequence[CohortRequest], *, at_once: int = 1) -> None:
    """Raises ValueError, in one line, for the first thing that would keep a cohort from training.

    Each task is made and reset once, which renders a frame where the task has frames.
    at_once  programs that run at the same time
    """
    seen: dict[str, tuple[spaces.Dict, spaces.Space]] = {}
    needs = []
    for request in requests:
        if request.task not in seen:
            environment = suite_catalog.make(request.task, **request.protocol.options_of(request.task))
            environment.reset(seed=0)
            seen[request.task] = (environment.observation_space, environment.action_space)   # type: ignore[assignment]
            environment.close()
        reason = agent_catalog.find(request.agent).refuses(request.options(), *seen[request.task])
        if reason is not None:
            raise ValueError(f"agent {request.agent!r} cannot play {request.task}: {reason}; "
                             "leave it out with --agents or --tasks")
        needs.append(replay_bytes(request, *seen[request.task]) - _there_already(request))
    _check_disk(requests, sum(sorted(needs)[-at_once:]))
    _check_memory()


def replay_bytes(request: CohortRequest, observation_space: spaces.Dict, action_space: spaces.Space) -> int:
    """What the replays of one cohort take on the disk by the end of its budget."""
    if not agent_catalog.find(request.agent).keeps_replay():
        return 0
    row = sum(np.zeros(space.shape or (), space.dtype).nbytes for space in observation_space.spaces.values())
    width = int(action_space.n) if isinstance(action_space, spaces.Discrete) else int(np.prod(action_space.shape or ()))
    rows = request.grid.budget_env_steps // request.protocol.action_repeat_of(request.task)
    return len(request.seeds) * rows * (row + 4 * width + ROW_OVERHEAD_BYTES)


def _there_already(request: CohortRequest) -> int:
    """Bytes that an interrupted cohort's replays hold on the disk (blocks, not the apparent size of sparse files)."""
    folders = [request.grid.folder(request.grid.spec(request.agent, request.task, seed)) / REPLAY for seed in request.seeds]
    return sum(path.stat().st_blocks * 512 for folder in folders for path in folder.rglob("*") if path.is_file())


def _check_disk(requests: Sequence[CohortRequest], needed: int) -> None:
    root = requests[0].grid.root.absolute()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise ValueError(f"the replay of {requests[0].protocol.id} needs {needed / 1e9:.1f} GB of disk, {existing} has "
                         f"{free / 1e9:.1f} GB free; make room, give another folder with --runs, or fewer --seeds-per-program")


def _check_memory() -> None:
    free = available_memory_bytes()
    if free is not None and free < BASE_MEMORY_BYTES:
        raise ValueError(f"a run needs {BASE_MEMORY_BYTES / 1e9:.1f} GB of memory to start, {free / 1e9:.1f} GB are free; "
                         "close other programs")


def available_memory_bytes(source: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that this process may still take, by the kernel; None where it does not say."""
    if not source.exists():
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", source.read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
