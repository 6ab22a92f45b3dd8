"""Measures this machine in one run: every arm at several seeds per program, the environments, and both together.

This file measures what the contracts allow. What only an agent's own code knows (ways to run an update, the time of its stages)
comes from `inspect`, a function that the caller passes in. Every program runs in its own process, because memory is a property
of a process. The record has what `protocols.costs.plan` reads, and everything else under "bench".
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gymnasium import spaces

from agents import catalog as agents
from agents.api import AgentContext
from dreamer_bench_base import UserError
from protocols.costs import measure
from protocols.costs.apart import in_a_process
from protocols.costs.measurements import AgentCost, Measured, as_data
from protocols.costs.rates import frames_per_second, loop_rate
from protocols.costs.short_schedule import same_share
from protocols.records import code_identity, provenance
from protocols.records.machine import cpu, memory_bytes, packages
from protocols.spec import Protocol
from suites import catalog as suites

Inspect = Callable[..., Any]
"""(agent's name, options, context, seconds=, ways=) -> a dataclass of seconds: agents.speed.measure_speed."""

PLAN_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure.

    protocol           sets the agents' profile, the environment's options and the schedule
    tasks              programs are measured on the first; the environments of all are timed
    seeds_per_program  every S of the table
    workers            numbers of processes that step one environment each, for the frames per second
    seconds            length of a measurement; at least two calls are made
    most_seconds       if an update took longer, larger S are not measured; None measures all
    """

    protocol: Protocol
    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    seeds_per_program: tuple[int, ...]
    workers: tuple[int, ...]
    device: str
    ways: tuple[str, ...]
    seconds: float
    most_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Program:
    """Measurements of one agent at one S.

    speed                              result of `inspect`, as data
    env_steps_per_second_and_seed      speed of the whole loop with environments
    skipped                            why nothing was measured; the other fields are then empty
    """

    agent: str
    seeds: int
    cost: dict[str, Any] = field(default_factory=dict)
    speed: dict[str, Any] = field(default_factory=dict)
    env_steps_per_second_and_seed: float | None = None
    loop_updates: int = 0
    skipped: str | None = None


def request(
    protocol: Protocol,
    *,
    tasks: Sequence[str],
    seeds_per_program: Sequence[int],
    workers: Sequence[int],
    seconds: float,
    **others: Any,
) -> Request:
    """A checked request. Tasks of other protocols get this protocol's options.

    Raises ValueError, in one line, for an unknown task and for numbers that measure nothing.
    """
    asked = {"--seeds-per-program": (seeds_per_program, 1), "--workers": (workers, 0), "--seconds": ((seconds,), 0)}
    for option, (values, least) in asked.items():
        if not values or min(values) < least:
            raise UserError(f"{option} takes numbers of at least {least}, not {', '.join(map(str, values)) or 'nothing'}")
    named = tuple(suites.resolve(task) for task in tasks)
    if not set(named) <= set(protocol.tasks):
        protocol = replace(protocol, tasks=named, suite_options={})
    return Request(
        protocol=protocol,
        tasks=named,
        seeds_per_program=tuple(seeds_per_program),
        workers=tuple(workers),
        seconds=seconds,
        **others,
    )


def check_target(*files: Path | None) -> None:
    """Raises ValueError if a file cannot be written, before anything is measured."""
    for file in files:
        if file is not None and str(file) != "-" and not file.parent.is_dir():
            raise UserError(f"folder {str(file.parent)!r} does not exist; expected an existing one for {file}")


def bench(request: Request, inspect: Inspect, machine: Mapping[str, Any], *, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures everything, one after the other, and returns the record.

    machine  what the caller knows about the device
    say      gets a line about every measurement
    """
    protocol, device = request.protocol, request.device
    say(f"frames of {request.tasks[0]}")
    frames = [frames_per_second(protocol, request.tasks[0], workers, request.seconds) for workers in request.workers]
    environments = []
    for task in request.tasks:
        say(f"environment {task}")
        environments.append(measure.measure_environment(protocol, task))
    programs: list[Program] = []
    for name in request.agents:
        slow: str | None = None
        for seeds in sorted(request.seeds_per_program):
            if slow is None:
                say(f"{name}, S = {seeds}")
                programs.append(apart(request, inspect, name, seeds))
                slow = _too_slow(request, programs[-1])
            else:
                programs.append(Program(agent=name, seeds=seeds, skipped=slow))
    costs = tuple(AgentCost(**program.cost) for program in programs if program.cost)
    known = {
        **machine,
        **code_identity.code(),
        "created": provenance.now(),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": packages(),
        "gl_renderer": suites.gl_renderer(),
        "device": device,
    }
    record = as_data(Measured(agents=costs, environments=tuple(environments), machine=known))
    record["bench"] = {
        "protocol": protocol.id,
        "profile": protocol.profile_of(request.tasks[0]),
        "task": request.tasks[0],
        "seconds": request.seconds,
        "frames": frames,
        "programs": [{key: value for key, value in asdict(program).items() if key != "cost"} for program in programs],
    }
    return record


def _too_slow(request: Request, program: Program) -> str | None:
    updates = program.speed.get("updates", {}).values()
    if program.skipped is not None:
        return program.skipped
    if request.most_seconds is None or not updates or min(updates) <= request.most_seconds:
        return None
    return f"an update took {min(updates):.1f} s at S = {program.seeds}"


def program(
    request: Request, inspect: Inspect, name: str, seeds: int, observation_space: spaces.Dict, action_space: spaces.Space
) -> Program:
    """Measures one agent at one S. Call it in its own process."""
    protocol, task = request.protocol, request.tasks[0]
    repeat = protocol.action_repeat_of(task)
    cost = measure.measure_agent(
        name,
        protocol.profile_of(task),
        {},
        observation_space,
        action_space,
        seeds,
        protocol.num_envs,
        repeat,
        request.device,
        calls=PLAN_UPDATES,
    )
    entry = agents.find(name)
    options = entry.options(protocol.profile_of(task))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:

        def context(part: str) -> AgentContext:
            replays = [Path(folder, part, str(seed)) for seed in range(seeds)]
            for each in replays:
                each.mkdir(parents=True)
            return AgentContext(
                observation_space=observation_space,
                action_space=action_space,
                seeds=tuple(range(seeds)),
                num_envs=protocol.num_envs,
                action_repeat=repeat,
                budget_env_steps=protocol.env_steps,
                device=request.device,
                replay_folders=tuple(replays),
            )

        found = inspect(name, options, context("parts"), seconds=request.seconds, ways=request.ways)
        playing = context("loop")
        agent = entry.build(same_share(options, entry.per_call()), playing)
        learns = cost.gradient_steps_per_env_step > 0
        rate, updates = loop_rate(protocol, task, agent, playing, learns=learns, seconds=request.seconds)
    if found.updates:
        cost = replace(cost, act_seconds=found.act)
    if found.updates and entry.per_call() is None:  # a single update does not show what its training call does beside it
        cost = replace(cost, gradient_step_seconds=found.updates.get(found.usual, min(found.updates.values())))
    return Program(
        agent=name,
        seeds=seeds,
        cost=asdict(cost),
        speed=asdict(found),
        env_steps_per_second_and_seed=rate,
        loop_updates=updates,
    )


def apart(request: Request, inspect: Inspect, name: str, seeds: int) -> Program:
    """`program` in its own process; a killed process (too little memory) is reported as skipped."""
    environment = suites.make(request.tasks[0], **request.protocol.options_of(request.tasks[0]))
    observation_space, action_space = environment.observation_space, environment.action_space
    environment.close()
    context = multiprocessing.get_context("spawn")
    try:
        return in_a_process(context, program, request, inspect, name, seeds, observation_space, action_space)
    except BrokenProcessPool:
        return Program(agent=name, seeds=seeds, skipped="the process was ended from outside; was memory short?")
