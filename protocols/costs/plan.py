"""What a protocol or a study will cost in time, disk and memory, from the measured costs of single steps. Pure arithmetic.

One program trains S seeds of one (agent, task) on one device. Its wall time is

    iterations x (S·E environment steps + one decision of all + one observe)  +  gradient steps  +  evaluation decisions

Evaluation episodes count as long as the protocol's time limit: exact on DeepMind Control, an upper bound on Atari.
The measurements come from `protocols.costs.measure`, or from a file of the schema in docs/cluster.md.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from dreamer_bench_base import UserError
from protocols import catalog, studies
from protocols.cadence import cadence_of
from protocols.costs.measurements import AgentCost, EnvironmentCost, Measured
from protocols.spec import Protocol, RunSpec, Scalar, digest

EXTRA_CHECKPOINTS = 2
"""A finished run keeps one generation. A running one has another, and a third while it is written (records/checkpoint.py)."""

BUSY_SHARE = 0.8
"""Share of a CPU core; an agent that had less was measured on a busy machine."""
RECORD_BYTES_PER_EPISODE = 300
"""Measured size of a line of episodes.jsonl with its share of metrics.jsonl."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One line of the plan: one agent on some tasks of one protocol, all with the same profile."""

    protocol: Protocol
    agent: str
    overrides: Mapping[str, Scalar]
    tasks: tuple[str, ...]

    @property
    def label(self) -> str:
        spec = RunSpec(
            protocol=self.protocol.id, digest=digest(self.protocol), agent=self.agent, task="", seed=0, overrides=self.overrides
        )
        return spec.label

    @property
    def profile(self) -> str:
        return self.protocol.profile_of(self.tasks[0])


@dataclass(frozen=True, kw_only=True)
class WorkloadCost:
    """Costs of one line of the plan.

    wall_seconds    wall time if nothing else uses the devices; device_seconds: the sum over devices
    disk_bytes      most disk use, with the replays of running programs; kept_bytes: disk use at the end
    memory_bytes    memory of all programs that run at the same time
    notes           numbers that were scaled or borrowed because they were not measured
    """

    protocol: str
    label: str
    runs: int
    programs: int
    gradient_steps_per_run: int
    wall_seconds: float
    device_seconds: float
    disk_bytes: int
    kept_bytes: int
    memory_bytes: int
    notes: tuple[str, ...] = ()


def workloads(name: str, agents: Sequence[str] = (), tasks: Sequence[str] = (), under: str | None = None) -> list[Workload]:
    """The lines of a plan: the agents of a protocol, or the rows of a study, under another protocol if `under` names one.

    Raises UserError for unknown names.
    """
    if studies.is_study(name):
        study = studies.find(name)
        every = study.rows if under is None else studies.under(study.rows, under)
        known = study.tasks if under is None else catalog.find(under).tasks
        rows = [row for row in every if not agents or row.agent in agents]
        if not rows:
            have = ", ".join(sorted({row.agent for row in study.rows}))
            raise UserError(f"study {name!r} has no row of {', '.join(agents)}; it has rows of {have}")
        found = [(catalog.find(row.protocol), row.agent, row.overrides, known) for row in rows]
    elif under is not None:
        raise UserError(f"--protocol goes with a study; {name!r} is a protocol itself, so leave it out")
    else:
        protocol = catalog.find(name)
        found = [(protocol, agent, {}, protocol.tasks) for agent in agents or catalog.rows(protocol)]
    for _, _, _, own in found:
        for task in tasks:
            if task not in own:
                raise UserError(f"task {task!r} is not in {name}; it has {len(own)} tasks, for example {own[0]!r}")
    return [
        Workload(protocol=protocol, agent=agent, overrides=overrides, tasks=alike)
        for protocol, agent, overrides, own in found
        for alike in protocol.by_profile(tuple(tasks) or own).values()
    ]


def program_seconds(protocol: Protocol, task: str, agent: AgentCost, environment: EnvironmentCost, seeds: int) -> float:
    """Wall time of one program of `seeds` seeds on one device, with environments stepped one after the other."""
    scale = seeds / agent.seeds_per_program
    cadence = cadence_of(protocol, task, protocol.env_steps)
    lanes = seeds * protocol.num_envs
    act = agent.act_seconds * scale
    reset_share = environment.reset_seconds * cadence.action_repeat / protocol.time_limit_env_steps
    environment_seconds = environment.agent_step_seconds + reset_share
    training = cadence.iterations * (act + agent.observe_seconds * scale + lanes * environment_seconds)
    learning = gradient_steps(protocol, agent) * agent.gradient_step_seconds * scale
    decisions = _episodes(protocol, task) * math.ceil(protocol.time_limit_env_steps / cadence.action_repeat)
    evaluating = decisions * (act / protocol.num_envs + seeds * environment_seconds)
    return training + learning + evaluating


def _episodes(protocol: Protocol, task: str) -> int:
    """Evaluation episodes of one run."""
    evaluations = cadence_of(protocol, task, protocol.env_steps).evaluations
    return len(evaluations) * protocol.evaluate_episodes + protocol.final_episodes


def gradient_steps(protocol: Protocol, agent: AgentCost) -> int:
    """Updates of one seed over the whole budget."""
    left = protocol.env_steps - agent.first_gradient_env_steps
    if left < 0:
        return 0
    return agent.pretrain_gradient_steps + math.floor(left * agent.gradient_steps_per_env_step)


def estimate(workload: Workload, measured: Measured, *, seeds_per_program: int, devices: int) -> WorkloadCost:
    """Costs of one line on `devices` equal devices; the longest programs start first.

    Raises ValueError if `measured` has nothing about the agent or the task.
    """
    protocol = workload.protocol
    notes: list[str] = []
    agent = _nearest_agent(workload, measured, seeds_per_program, notes)
    cohorts = [protocol.seeds[start : start + seeds_per_program] for start in range(0, len(protocol.seeds), seeds_per_program)]
    seconds = []
    unmeasured: list[str] = []
    for task in workload.tasks:
        environment = _environment(protocol, task, measured, notes, unmeasured)
        seconds += [program_seconds(protocol, task, agent, environment, len(cohort)) for cohort in cohorts]
    if unmeasured:
        some = f"{len(unmeasured)} of {len(workload.tasks)} tasks were" if len(unmeasured) > 1 else f"{unmeasured[0]} was"
        each = "each counted" if len(unmeasured) > 1 else "counted"
        notes.append(f"{some} not measured; {each} as the mean of the measured tasks of its suite")
    at_once = min(devices, len(seconds))
    runs = len(workload.tasks) * len(protocol.seeds)
    episodes = _episodes(protocol, workload.tasks[0])
    kept = agent.checkpoint_bytes + RECORD_BYTES_PER_EPISODE * episodes
    replay = math.ceil(agent.replay_bytes_per_env_step * protocol.env_steps)
    if agent.replay_bytes_at_most is not None:
        replay = min(replay, agent.replay_bytes_at_most)
    widest = min(seeds_per_program, len(protocol.seeds))
    return WorkloadCost(
        protocol=protocol.id,
        label=workload.label,
        runs=runs,
        programs=len(seconds),
        gradient_steps_per_run=gradient_steps(protocol, agent),
        wall_seconds=makespan(seconds, devices),
        device_seconds=sum(seconds),
        disk_bytes=runs * kept + at_once * widest * (replay + EXTRA_CHECKPOINTS * agent.checkpoint_bytes),
        kept_bytes=runs * kept,
        memory_bytes=at_once * agent.memory_bytes,
        notes=tuple(dict.fromkeys(notes)),
    )


def makespan(seconds: Iterable[float], devices: int) -> float:
    """The time when the last program ends, if the longest start first, each on the first free device."""
    if devices < 1:
        raise UserError(f"expected at least 1 device, got {devices}; give --devices 1 or more")
    free = [0.0] * devices
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def _nearest_agent(workload: Workload, measured: Measured, seeds: int, notes: list[str]) -> AgentCost:
    """The measurement of the agent whose S is nearest to the planned one; other S scale linearly."""
    profile = workload.profile
    known = [cost for cost in measured.agents if cost.agent == workload.agent and cost.profile == profile]
    if not known:
        have = ", ".join(sorted({f"{cost.agent} ({cost.profile})" for cost in measured.agents})) or "nothing"
        raise UserError(f"agent {workload.agent!r} was not measured with profile {profile!r}; the measurements hold {have}")
    wanted = min(seeds, len(workload.protocol.seeds))
    nearest = min(known, key=lambda cost: (abs(cost.seeds_per_program - wanted), cost.seeds_per_program))
    if nearest.seeds_per_program != wanted:
        seeds_were = f"{nearest.seeds_per_program} seed{'s' if nearest.seeds_per_program != 1 else ''}"
        notes.append(f"{workload.agent} was measured with {seeds_were} per program; scaled to {wanted}")
    if nearest.processor_share is not None and nearest.processor_share < BUSY_SHARE:
        notes.append(
            f"{workload.agent} had {nearest.processor_share:.0%} of a CPU core while it was measured: other programs ran, "
            "and an idle machine is faster"
        )
    if nearest.scaled:
        notes.append(nearest.scaled)
    if workload.overrides:
        notes.append("the options set by hand were not measured")
    return nearest


def _environment(protocol: Protocol, task: str, measured: Measured, notes: list[str], unmeasured: list[str]) -> EnvironmentCost:
    """The measurement of a task, or the mean of its suite's, at its action repeat where one of those was measured."""
    repeat = protocol.action_repeat_of(task)
    own = [cost for cost in measured.environments if cost.task == task]
    if own:
        nearest = min(own, key=lambda cost: abs(cost.action_repeat - repeat))
        if nearest.action_repeat != repeat:
            notes.append(f"{task} was measured at action repeat {nearest.action_repeat}, not {repeat}; the time is that one's")
        return nearest
    siblings = [cost for cost in measured.environments if suite_of(cost.task) == suite_of(task)]
    if not siblings:
        raise UserError(f"task {task!r} was not measured, nor another of its suite")
    unmeasured.append(task)
    siblings = [cost for cost in siblings if cost.action_repeat == repeat] or siblings
    return EnvironmentCost(
        task=task,
        action_repeat=repeat,
        agent_step_seconds=fmean(cost.agent_step_seconds for cost in siblings),
        reset_seconds=fmean(cost.reset_seconds for cost in siblings),
    )


def suite_of(task: str) -> str:
    """What tasks of about equal cost share: "dmc" of "dmc_walker_walk", a task of Gymnasium alone."""
    return task.split("_")[0]
