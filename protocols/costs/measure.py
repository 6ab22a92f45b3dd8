"""Measures what single steps cost on this machine, through the contracts alone: the input of `protocols.costs.plan`.

An agent gets random observations from its task's space, so that its cost does not include the simulator's. Each agent is
measured in its own process, because resident memory is a property of a process. Knows no agent: if options have the fields of
the usual schedule (`agents.api.SCHEDULE`), they are shortened to a few updates; otherwise the agent runs as it is.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from gymnasium import spaces

from agents import catalog as agents
from agents.api import AgentContext, has_schedule
from agents.device import resolve_device
from protocols.costs.apart import in_a_process
from protocols.costs.measurements import AgentCost, EnvironmentCost, Measured
from protocols.costs.plan import Workload, suite_of
from protocols.costs.player import EPISODE_DECISIONS, Player
from protocols.costs.short_schedule import one_call
from protocols.spec import Protocol, Scalar
from suites import catalog as suites

UPDATES, ACTS = 3, 5
LARGE_BATCH, FEW_SEQUENCES, MORE_SEQUENCES = 16, 2, 8
"""On a CPU, a few sequences replace a batch of more than LARGE_BATCH, because the time of an update is proportional to them.
The paper's Dreamer takes 0.48, 0.98, 2.0 and 12.0 s of processor time with 2, 4, 8 and 50 sequences (on a core shared with
others)."""
MOST_TASKS = 3
"""Most tasks of a suite with one action repeat that are measured. A task of DeepMind Control takes half a second, most of it
for its first frame."""
STEPS = 4

FILL_DECISIONS = 300
SLOW_UPDATE_SECONDS, SLOW_ACT_SECONDS = 1.0, 0.1


def measure(
    workloads: Sequence[Workload], *, seeds_per_program: int, device: str, say: Callable[[str], None] = lambda line: None
) -> Measured:
    """Measures every agent (on the first task of its line) and a few tasks of every suite; `say` gets lines about the progress.

    On a CPU, one seed with a small batch is measured first. If an update of a whole batch would take long, whole batches and
    programs of several seeds are planned in proportion (on a CPU, large networks train one seed after the other).
    """
    names = list(dict.fromkeys((workload.agent, workload.profile) for workload in workloads))
    environments: dict[tuple[str, int], EnvironmentCost] = {}
    costs: dict[tuple[str, str], AgentCost] = {}
    for workload in workloads:  # refuses unknown names and profiles before anything is measured
        agents.find(workload.agent).options(workload.profile)
    for workload, task in _chosen(workloads):
        key = (task, workload.protocol.action_repeat_of(task))
        if key not in environments:
            say(f"measuring {task}: steps of the environment")
            environments[key] = measure_environment(workload.protocol, task)
    for workload in workloads:
        name = (workload.agent, workload.profile)
        if name not in costs:
            seeds = min(seeds_per_program, len(workload.protocol.seeds))
            options: Any = agents.find(name[0]).options(name[1])
            large = has_schedule(options) and getattr(options, "batch_sequences", 0) > LARGE_BATCH
            large = large and resolve_device(device) == "cpu"
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


def _chosen(workloads: Sequence[Workload]) -> list[tuple[Workload, str]]:
    """The tasks to measure: of each suite at each action repeat at most MOST_TASKS, from its first to its last."""
    groups: dict[tuple[str, int], dict[str, Workload]] = {}
    for workload in workloads:
        for task in workload.tasks:
            group = groups.setdefault((suite_of(task), workload.protocol.action_repeat_of(task)), {})
            group.setdefault(task, workload)
    found = []
    for group in groups.values():
        tasks = list(group)
        places = np.linspace(0, len(tasks) - 1, min(len(tasks), MOST_TASKS)).round().astype(int)
        found += [(group[tasks[place]], tasks[place]) for place in places]
    return found


def measure_environment(protocol: Protocol, task: str, decisions: int = STEPS) -> EnvironmentCost:
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
    calls: int = UPDATES,
) -> AgentCost:
    """Measures one program of `seeds` seeds on random observations; times `calls` training calls after a first one.

    Call it in its own process.
    """
    entry = agents.find(name)
    device = resolve_device(device)
    options: Any = replace(entry.options(profile), **overrides)
    scheduled = has_schedule(options)
    short = one_call(options, entry.per_call(), every_env_steps=num_envs * action_repeat) if scheduled else options
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
        began = time.perf_counter(), time.process_time()
        player = Player(entry.build(short, context), context)
        if scheduled:
            player.feed(FILL_DECISIONS, learn=False)
            player.feed(1, learn=True)
            slow = player.learn_seconds[-1] > SLOW_UPDATE_SECONDS
            player.feed(1 if slow else calls, learn=True)  # if an update takes seconds, one after the first is enough
        else:
            player.feed(3 * EPISODE_DECISIONS, learn=True)
        player.act(1)
        if player.act_seconds[-1] < SLOW_ACT_SECONDS:
            player.act(ACTS - 1)
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
        player.agent.save(saved, player.carry)
        checkpoint_bytes = sum(file.stat().st_size for each in saved for file in each.rglob("*") if file.is_file()) // seeds
    learns = player.gradient_steps > 0
    if scheduled:
        first, pretrain = options.prefill_env_steps, options.pretrain_updates
        per_env_step = options.updates / options.update_every_env_steps
    else:
        first, pretrain = player.first_gradient_env_steps, 0
        per_env_step = player.gradient_steps / max(1, player.env_steps - first) if learns else 0.0
    row = agents.row_bytes(observation_space, action_space)
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
        processor_share=processor / wall if device == "cpu" else None,
        replay_bytes_at_most=None if most == sys.maxsize else most * row,
    )


def measure_in_proportion(
    name: str, profile: str, overrides: dict[str, Scalar], observation_space: spaces.Dict, *rest: Any
) -> AgentCost:
    """`measure_agent` with a few sequences in place of a large batch. The time of an update is scaled by the sequences, the
    memory by `update_bytes` of the options. Call it in its own process.

    The work per training call (PER_CALL of the recipe) does not grow with the batch; two batch sizes separate it from the
    updates.
    """
    entry = agents.find(name)
    whole: Any = replace(entry.options(profile), **overrides)
    sequences = whole.batch_sequences
    per_call = entry.per_call()
    once: dict[str, Scalar] = {per_call: 1, "updates": 1} if per_call else {}

    def of(count: int) -> AgentCost:
        return measure_agent(*(name, profile, {**overrides, **once, "batch_sequences": count}, observation_space, *rest, 1))

    few = of(FEW_SEQUENCES)
    seconds = few.gradient_step_seconds * sequences / FEW_SEQUENCES
    how = f"{FEW_SEQUENCES}"
    if per_call:
        more = of(MORE_SEQUENCES)
        each = (more.gradient_step_seconds - few.gradient_step_seconds) / (MORE_SEQUENCES - FEW_SEQUENCES)
        beside = few.gradient_step_seconds - FEW_SEQUENCES * each
        seconds = each * sequences + beside * getattr(whole, per_call) / whole.updates
        how += f" and {MORE_SEQUENCES}"
    update_bytes = entry.update_bytes(whole, observation_space) - entry.update_bytes(
        replace(whole, batch_sequences=FEW_SEQUENCES), observation_space
    )
    return replace(
        few,
        gradient_step_seconds=seconds,
        gradient_steps_per_env_step=whole.updates / whole.update_every_env_steps,
        memory_bytes=few.memory_bytes + update_bytes,
        scaled=f"updates were measured with {how} of {sequences} sequences a batch and scaled in proportion",
    )


def _apart(workload: Workload, seeds: int, device: str, *, in_proportion: bool = False) -> AgentCost:
    protocol, task = workload.protocol, workload.tasks[0]
    observation_space, action_space = _spaces(task, tuple(protocol.options_of(task).items()))
    way: Callable[..., AgentCost] = measure_in_proportion if in_proportion else measure_agent
    return in_a_process(
        _processes(),
        way,
        workload.agent,
        workload.profile,
        dict(workload.overrides),
        observation_space,
        action_space,
        seeds,
        protocol.num_envs,
        protocol.action_repeat_of(task),
        device,
    )


@cache
def _spaces(task: str, options: tuple[tuple[str, Scalar], ...]) -> tuple[Any, spaces.Space]:
    """What an agent observes and does in a task. Opening a task of DeepMind Control takes 0.1 s, so each is opened once."""
    environment = suites.make(task, **dict(options))
    environment.close()
    return environment.observation_space, environment.action_space


def _processes() -> BaseContext:
    """Processes forked from one that has imported what all agents of ours need and has computed nothing: importing takes
    longer than most measurements. (torch imports symbolic_shapes, with sympy, at the first update.)"""
    context = multiprocessing.get_context("forkserver")
    late = ["torch.fx.experimental.symbolic_shapes", "torch.utils.serialization"]
    context.set_forkserver_preload(["torch", *late, *(entry.recipe for entry in agents.BUILT_IN)])
    return context


def _resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
