"""Measures what single steps cost on this machine, through the contracts alone: the input of `protocols.costs.plan`.

An agent gets random observations from its task's space, so that its cost does not include the simulator's. Each agent is
measured in its own process, because resident memory is a property of a process. Knows no agent: if options have the fields of
the usual schedule (`SCHEDULE_FIELDS`), they are shortened to a few updates; otherwise the agent runs as it is.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from gymnasium import spaces

from agents import catalog as agents
from agents.api import AgentContext
from agents.device import resolve_device
from protocols.costs.measurements import AgentCost, EnvironmentCost, Measured
from protocols.costs.plan import Workload
from protocols.costs.player import EPISODE_DECISIONS, Player
from protocols.spec import Protocol, Scalar
from suites import catalog as suites

SCHEDULE_FIELDS = ("prefill_env_steps", "pretrain_updates", "updates", "update_every_env_steps")
UPDATES, ACTS = 3, 5
FEW_SEQUENCES = 8
"""Sequences of the batch that replaces one with more than twice as many on a CPU, where the time of an update is proportional
to them. The paper's Dreamer takes 0.76, 1.43 and 2.10 s of processor time with 4, 8 and 12 sequences. For 50 sequences that
gives 8.9 s, and measured updates took 9.7 to 10.5 s."""

ROW_OVERHEAD_BYTES = 12
"""reward, is_first and is_terminal of one row (agents/learning/replay.py)."""

FILL_DECISIONS = 300
SLOW_UPDATE_SECONDS, SLOW_ACT_SECONDS = 1.0, 0.1


def measure(
    workloads: Sequence[Workload], *, seeds_per_program: int, device: str, say: Callable[[str], None] = lambda line: None
) -> Measured:
    """Measures every agent (on the first task of its line) and every task of a plan once; `say` gets lines about the progress.

    On a CPU, one seed with a small batch is measured first. If an update of a whole batch would take long, whole batches and
    programs of several seeds are planned in proportion (on a CPU, large networks train one seed after the other).
    """
    names = list(dict.fromkeys((workload.agent, workload.protocol.agent_profile) for workload in workloads))
    environments: dict[tuple[str, int], EnvironmentCost] = {}
    costs: dict[tuple[str, str], AgentCost] = {}
    for workload in workloads:  # refuses unknown names and profiles before anything is measured
        agents.find(workload.agent).options(workload.protocol.agent_profile)
    for workload in workloads:
        for task in workload.tasks:
            key = (task, workload.protocol.action_repeat_of(task))
            if key not in environments:
                say(f"measuring {task}: steps of the environment")
                environments[key] = measure_environment(workload.protocol, task)
        name = (workload.agent, workload.protocol.agent_profile)
        if name not in costs:
            seeds = min(seeds_per_program, len(workload.protocol.seeds))
            options: Any = agents.find(name[0]).options(name[1])
            large = getattr(options, "batch_sequences", 0) > 2 * FEW_SEQUENCES and resolve_device(device) == "cpu"
            say(f"measuring {name[0]} ({len(costs) + 1} of {len(names)} agents): decisions and updates")
            alone = _apart(workload, 1, device, in_proportion=True) if large else None
            slow = alone is not None and alone.gradient_step_seconds > SLOW_UPDATE_SECONDS
            costs[name] = alone if alone is not None and slow else _apart(workload, seeds, device)
    machine = {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "device": next((cost.device for cost in costs.values()), device),
    }
    return Measured(agents=tuple(costs.values()), environments=tuple(environments.values()), machine=machine)


def measure_environment(protocol: Protocol, task: str, decisions: int = 10) -> EnvironmentCost:
    """One environment, stepped with random actions."""
    environment = suites.make(task, **protocol.options_of(task))
    try:
        environment.action_space.seed(0)
        environment.reset(seed=0)
        seconds = []
        for _ in range(decisions):
            action = environment.action_space.sample()
            started = time.perf_counter()
            _, _, terminated, truncated, _ = environment.step(action)
            seconds.append(time.perf_counter() - started)
            if terminated or truncated:
                environment.reset(seed=1)
        started = time.perf_counter()
        environment.reset(seed=2)
        reset_seconds = time.perf_counter() - started
    finally:
        environment.close()
    repeat = protocol.action_repeat_of(task)
    return EnvironmentCost(task=task, action_repeat=repeat, agent_step_seconds=median(seconds), reset_seconds=reset_seconds)


def measure_agent(
    name: str,
    profile: str,
    overrides: dict[str, Scalar],
    observation_space: spaces.Dict,
    action_space: spaces.Space,
    seeds: int,
    num_envs: int,
    action_repeat: int,
    device: str,
    updates: int = UPDATES,
) -> AgentCost:
    """Measures one program of `seeds` seeds on random observations; times `updates` updates after a first one.

    Call it in its own process.
    """
    entry = agents.find(name)
    device = resolve_device(device)
    options: Any = replace(entry.options(profile), **overrides)
    scheduled = set(SCHEDULE_FIELDS) <= {option.name for option in fields(options)}
    shortened = {
        "prefill_env_steps": 0,
        "pretrain_updates": 1,
        "updates": 1,
        "update_every_env_steps": num_envs * action_repeat,
    }
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        replays = [Path(folder, f"replay-{seed}") for seed in range(seeds)]
        saved = [Path(folder, f"saved-{seed}") for seed in range(seeds)]
        for each in replays + saved:
            each.mkdir()
        context = AgentContext(
            observation_space=observation_space,
            action_space=action_space,
            seeds=tuple(range(seeds)),
            num_envs=num_envs,
            action_repeat=action_repeat,
            budget_env_steps=10**6,
            device=device,
            replay_folders=tuple(replays),
        )
        player = Player(entry.build(replace(options, **shortened) if scheduled else options, context), context)
        if scheduled:
            player.feed(FILL_DECISIONS, learn=False)
            player.feed(1, learn=True)
            slow = player.learn_seconds[-1] > SLOW_UPDATE_SECONDS
            player.feed(1 if slow else updates, learn=True)  # if an update takes seconds, one after the first is enough
        else:
            player.feed(3 * EPISODE_DECISIONS, learn=True)
        player.act(2)
        if player.act_seconds[-1] < SLOW_ACT_SECONDS:
            player.act(ACTS - 2)
        player.agent.save(saved, player.carry)
        checkpoint_bytes = sum(file.stat().st_size for each in saved for file in each.rglob("*") if file.is_file()) // seeds
    learns = player.gradient_steps > 0
    if scheduled:
        first, pretrain = options.prefill_env_steps, options.pretrain_updates
        per_env_step = options.updates / options.update_every_env_steps
    else:
        first, pretrain = player.first_gradient_env_steps, 0
        per_env_step = player.gradient_steps / max(1, player.env_steps - first) if learns else 0.0
    width = int(action_space.n) if isinstance(action_space, spaces.Discrete) else int(np.prod(action_space.shape or ()))
    row = ROW_OVERHEAD_BYTES + 4 * width
    for space in observation_space.values():
        row += int(np.prod(space.shape)) * np.dtype(space.dtype).itemsize  # type: ignore[arg-type]
    most = entry.replay_rows(options, sys.maxsize)
    return AgentCost(
        agent=name,
        profile=profile,
        device=device,
        seeds_per_program=seeds,
        gradient_step_seconds=player.gradient_step_seconds,
        act_seconds=median(player.act_seconds),
        observe_seconds=median(player.observe_seconds),
        first_gradient_env_steps=first,
        pretrain_gradient_steps=pretrain,
        gradient_steps_per_env_step=per_env_step,
        memory_bytes=_resident_bytes(),
        checkpoint_bytes=checkpoint_bytes,
        replay_bytes_per_env_step=row / action_repeat if entry.keeps_replay() else 0.0,
        replay_bytes_at_most=None if most == sys.maxsize else most * row,
    )


def measure_in_proportion(
    name: str, profile: str, overrides: dict[str, Scalar], observation_space: spaces.Dict, *rest: Any
) -> AgentCost:
    """`measure_agent` with a small batch in place of a large one. The time of an update is scaled by the sequences, the memory
    by `update_bytes` of the options. Call it in its own process."""
    entry = agents.find(name)
    whole: Any = replace(entry.options(profile), **overrides)
    few = replace(whole, batch_sequences=FEW_SEQUENCES)
    cost = measure_agent(name, profile, {**overrides, "batch_sequences": FEW_SEQUENCES}, observation_space, *rest)
    update_bytes = entry.update_bytes(whole, observation_space) - entry.update_bytes(few, observation_space)
    return replace(
        cost,
        gradient_step_seconds=cost.gradient_step_seconds * whole.batch_sequences / FEW_SEQUENCES,
        memory_bytes=cost.memory_bytes + update_bytes,
    )


def _apart(workload: Workload, seeds: int, device: str, *, in_proportion: bool = False) -> AgentCost:
    protocol, task = workload.protocol, workload.tasks[0]
    environment = suites.make(task, **protocol.options_of(task))
    observation_space, action_space = environment.observation_space, environment.action_space
    environment.close()
    way: Callable[..., AgentCost] = measure_in_proportion if in_proportion else measure_agent
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(
            way,
            workload.agent,
            protocol.agent_profile,
            dict(workload.overrides),
            observation_space,
            action_space,
            seeds,
            protocol.num_envs,
            protocol.action_repeat_of(task),
            device,
        ).result()


def _resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
