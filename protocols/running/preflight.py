"""Checks before anything is written: simulators, agents, disk, memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gymnasium import spaces

from agents import catalog as agent_catalog
from agents.api import REPLAY_RESIDENT_BYTES, UPDATE_BYTES_TOGETHER, AgentContext
from agents.device import free_bytes, resolve_device
from dreamer_bench_base import UserError
from protocols.cadence import cadence_of
from protocols.costs.plan import EXTRA_CHECKPOINTS, RECORD_BYTES_PER_EPISODE
from protocols.records.machine import available_memory_bytes
from protocols.records.store import MANIFEST, REPLAY
from protocols.running.cohort import CohortRequest
from protocols.running.terminal import bytes_in_words
from suites import catalog as suite_catalog

BASE_MEMORY_BYTES = 800_000_000
"""Measured: a peak of 761,656 KiB for the smallest Dreamer (torch, MuJoCo, two seeds, six environments)."""
DEVICE_BASE_BYTES = 700_000_000
"""CUDA's context and the libraries' workspaces. Reasoned, not measured."""
WAYS_OF_AN_UPDATE = 2
"""An update runs once directly to warm up, and again as a graph, which has its own memory. Reasoned, not measured."""
LEARNER_COPIES = 2
"""Memory of a learner in units of its checkpoint: it also has gradients, and it is copied when it is saved."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one cohort needs, in bytes.

    kept_bytes     disk, permanently: a checkpoint and the records of every seed
    running_bytes  more disk while it trains: replay that does not exist yet, and earlier checkpoints
    memory_bytes   memory of its process
    device_bytes   memory of a GPU; 0 on a CPU
    """

    kept_bytes: int
    running_bytes: int
    memory_bytes: int
    device_bytes: int = 0


def check(requests: Sequence[CohortRequest], stop_requested: Callable[[], bool] = lambda: False) -> tuple[Needs, ...]:
    """What the cohorts need. Raises ValueError, in one line, if a task or an agent cannot be made.

    Makes and resets each task once, which renders a frame if the task has frames. Builds and saves each agent once.
    stop_requested is called between cohorts; if it is true, the result ends there.
    """
    shown: dict[str, tuple[spaces.Dict, spaces.Space]] = {}
    sizes: dict[str, int] = {}
    needs = []
    for request in requests:
        if stop_requested():
            break
        if request.task not in shown:
            environment = suite_catalog.make(request.task, **request.protocol.options_of(request.task))
            environment.reset(seed=0)
            shown[request.task] = (environment.observation_space, environment.action_space)  # type: ignore[assignment]
            environment.close()
        given, options, entry = shown[request.task], request.options(), agent_catalog.find(request.agent)
        reason = entry.refuses(options, *given)
        if reason is not None:
            raise UserError(
                f"agent {request.agent!r} cannot play {request.task}: {reason}; leave it out with --agents or --tasks"
            )
        learner = f"{request.agent} {options} {given}"  # the size of a learner depends on a task's actions and images
        if learner not in sizes:
            sizes[learner] = checkpoint_bytes(request, options, *given)
        size, seeds, replay = sizes[learner], len(request.seeds), replay_bytes(request, *given)
        cadence = cadence_of(request.protocol, request.task, request.grid.budget_env_steps)
        episodes = len(cadence.evaluations) * request.protocol.evaluate_episodes + request.protocol.final_episodes
        device = resolve_device("auto") if request.device == "auto" else request.device
        update = entry.update_bytes(options, given[0])
        together = seeds if seeds * update <= UPDATE_BYTES_TOGETHER else 1
        needs.append(
            Needs(
                kept_bytes=seeds * (size + RECORD_BYTES_PER_EPISODE * episodes),
                running_bytes=max(0, replay - _there_already(request)) + seeds * EXTRA_CHECKPOINTS * size,
                memory_bytes=BASE_MEMORY_BYTES
                + (together * update if device == "cpu" else 0)
                + seeds * LEARNER_COPIES * size
                + min(replay, seeds * REPLAY_RESIDENT_BYTES),
                device_bytes=0 if device == "cpu" else device_bytes(size, update, seeds),
            )
        )
    return tuple(needs)


def device_bytes(checkpoint: int, update: int, seeds: int) -> int:
    """Bytes that a program needs on a GPU. All seeds are updated together, and a captured graph has its own memory.

    checkpoint  weights and Adam's two moments of a seed; gradients and a scratch buffer come on top
    update      what one update of a seed keeps for its derivatives
    """
    return DEVICE_BASE_BYTES + seeds * (checkpoint * 5 // 3 + WAYS_OF_AN_UPDATE * update)


def divided(
    requests: Sequence[CohortRequest], needs: Sequence[Needs], free: int | None, say: Callable[[str], None]
) -> list[CohortRequest]:
    """The requests, where one of seeds without a record that does not fit the GPU becomes several of as many seeds as fit.

    free  bytes that are free on the GPU; None without one
    """
    found: list[CohortRequest] = []
    for request, need in zip(requests, needs, strict=True):
        seeds, each = request.seeds, (need.device_bytes - DEVICE_BASE_BYTES) // len(request.seeds)
        most = len(seeds) if free is None or need.device_bytes <= free else (free - DEVICE_BASE_BYTES) // each
        if 1 <= most < len(seeds) and not any((folder / MANIFEST).exists() for folder in _folders(request)):
            say(
                f"{request.name}: together they need about {bytes_in_words(need.device_bytes)} of the GPU's memory, "
                f"{bytes_in_words(free or 0)} is free: at most {most} train{'s' if most == 1 else ''} as one program"
            )
            found += [replace(request, seeds=seeds[start : start + most]) for start in range(0, len(seeds), most)]
        else:
            found.append(request)
    return found


def check_device_room(needs: Sequence[Needs], *, at_once: int, free: int | None) -> None:
    """Raises UserError, in one line, if the GPU has too little memory for the largest programs, `at_once` at a time."""
    wanted = sum(sorted(need.device_bytes for need in needs)[-at_once:])
    if free is not None and wanted > free:
        raise UserError(
            f"{_at_a_time(at_once)} about {bytes_in_words(wanted)} of the GPU's memory, "
            f"{bytes_in_words(free)} is free; give a smaller --seeds-per-program or batch, or --device cpu"
        )


def check_room(requests: Sequence[CohortRequest], needs: Sequence[Needs], *, at_once: int, memory: bool = True) -> None:
    """Raises ValueError, in one line, if disk or memory is too small for these cohorts, `at_once` of them at a time.

    memory  False if they will run on other machines
    """
    root = requests[0].grid.root.absolute()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    kept, running = sum(need.kept_bytes for need in needs), sum(sorted(need.running_bytes for need in needs)[-at_once:])
    if kept + running > free:
        raise UserError(
            f"the run needs {bytes_in_words(kept + running)} of disk ({bytes_in_words(running)} of it while programs train, "
            f"{at_once} of {len(requests)} at a time; mostly replay); {existing} has {bytes_in_words(free)} free; make room, "
            "give another folder with --runs, or fewer --tasks, --seeds or --seeds-per-program"
        )
    if memory and any(need.device_bytes for need in needs):
        check_device_room(needs, at_once=at_once, free=free_bytes("cuda"))
    wanted, there = sum(sorted(need.memory_bytes for need in needs)[-at_once:]), available_memory_bytes()
    if memory and there is not None and there < wanted:
        raise UserError(
            f"{_at_a_time(at_once)} {bytes_in_words(wanted)} of memory, {bytes_in_words(there)} is free; "
            "close other programs, or give fewer seeds or a smaller batch"
        )


def checkpoint_bytes(request: CohortRequest, options: Any, observation_space: spaces.Dict, action_space: spaces.Space) -> int:
    """Bytes of one generation of one seed on the disk, measured by saving a new agent."""
    with tempfile.TemporaryDirectory(prefix="preflight-") as folder:
        replay, saved = Path(folder, "replay"), Path(folder, "saved")
        replay.mkdir()
        saved.mkdir()
        agent = agent_catalog.find(request.agent).build(
            options,
            AgentContext(
                observation_space=observation_space,
                action_space=action_space,
                seeds=request.seeds[:1],
                num_envs=request.protocol.num_envs,
                action_repeat=request.protocol.action_repeat_of(request.task),
                budget_env_steps=request.grid.budget_env_steps,
                replay_folders=(replay,),
            ),
        )
        agent.save([saved], agent.initial(request.protocol.num_envs))
        return sum(path.stat().st_size for path in saved.rglob("*") if path.is_file())


def replay_bytes(request: CohortRequest, observation_space: spaces.Dict, action_space: spaces.Space) -> int:
    """Bytes of the replays of one cohort on the disk at the end of its budget; with a capacity, the most that they take."""
    rows = request.grid.budget_env_steps // request.protocol.action_repeat_of(request.task)
    kept = agent_catalog.find(request.agent).replay_rows(request.options(), rows)
    return len(request.seeds) * kept * agent_catalog.row_bytes(observation_space, action_space)


def _there_already(request: CohortRequest) -> int:
    """Bytes of an interrupted cohort's replays on the disk (blocks, not the apparent size of sparse files)."""
    return sum(
        path.stat().st_blocks * 512 for folder in _folders(request) for path in (folder / REPLAY).rglob("*") if path.is_file()
    )


def _folders(request: CohortRequest) -> list[Path]:
    return [request.grid.folder(request.grid.spec(request.agent, request.task, seed)) for seed in request.seeds]


def _at_a_time(programs: int) -> str:
    return f"{programs} programs at a time need" if programs > 1 else "1 program needs"
