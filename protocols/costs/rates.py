"""How fast environments step on this machine, and how fast the whole loop runs with them."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import numpy as np

from agents.api import Agent, AgentContext, Progress, TimeStep
from agents.environments import Environments
from agents.interaction import begin, interact
from protocols.cadence import episode_seed
from protocols.costs.player import EPISODE_DECISIONS, Player
from protocols.running.opener import default_workers
from protocols.spec import Protocol
from suites import catalog as suites
from suites.lanes import Lanes

MOST_WORKERS_PER_CORE = 8


def frames_per_second(protocol: Protocol, task: str, workers: int, seconds: float) -> dict[str, Any]:
    """Decisions per second with one environment per worker (0: one environment in this process) and random actions.

    A decision is one frame and as many simulator steps as the action repeat.
    """
    cores = len(os.sched_getaffinity(0))
    if workers > MOST_WORKERS_PER_CORE * cores:
        return {"workers": workers, "skipped": f"more than {MOST_WORKERS_PER_CORE} workers for each of {cores} cores"}
    lanes = Lanes(partial(suites.make, task, **protocol.options_of(task)), max(1, workers), workers=workers)
    try:
        lanes.action_space.seed(0)
        lanes.reset([episode_seed(0, "train", lane) for lane in range(lanes.count)])
        action = np.stack([np.asarray(lanes.action_space.sample()) for _ in range(lanes.count)])
        lanes.step(action)
        decisions, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds or not decisions:
            shown = lanes.step(action)
            decisions += 1
            ended = np.flatnonzero(shown.terminated | shown.truncated)
            if len(ended):
                lanes.reset({int(lane): decisions for lane in ended})
    finally:
        lanes.close()
    rate = decisions * lanes.count / elapsed
    return {"workers": workers, "frames_per_second": rate, "env_steps_per_second": rate * protocol.action_repeat_of(task)}


def loop_rate(
    protocol: Protocol, task: str, agent: Agent, context: AgentContext, *, learns: bool, seconds: float
) -> tuple[float, int]:
    """(env_steps per second and seed, updates) of act -> step -> observe -> learn, timed between two updates.

    The replay begins with random episodes, so that the first update does not wait for an episode of the task. Evaluations and
    records are not included.
    """
    count = len(context.seeds) * context.num_envs
    lanes = Lanes(partial(suites.make, task, **protocol.options_of(task)), count, workers=default_workers(None, count))
    environments = Environments(lanes, len(context.seeds), context.num_envs)
    everywhere = np.ones(environments.shape, bool)
    seeds = np.arange(count).reshape(environments.shape)
    try:
        player = Player(agent, context)
        player.feed(2 * EPISODE_DECISIONS, learn=False)
        step, carry = environments.reset(everywhere, seeds), agent.initial(context.num_envs)
        begin(agent, np.zeros_like(agent.act(carry, step, explore=True)[0]), step)
        marks: list[tuple[float, int]] = []  # time of an update, and number of decisions by then
        decisions = updates = 0

        def restart(arrived: TimeStep) -> TimeStep:
            return environments.reset(arrived.is_last, seeds + decisions)

        while len(marks) < 2 or marks[-1][0] - marks[0][0] < seconds:
            _, carry, _, step = interact(agent, carry, step, advance=environments.step, restart=restart)
            decisions += 1
            env_steps = decisions * context.num_envs * context.action_repeat
            done = agent.learn(
                Progress(env_steps=env_steps, agent_steps=decisions, episodes=2, budget_env_steps=context.budget_env_steps)
            )
            if done or not learns:
                agent.metrics()  # waits for the device, which works ahead
                updates += done if marks else 0
                marks.append((time.perf_counter(), env_steps))
    finally:
        environments.close()
    (started, before), (ended, after) = marks[0], marks[-1]
    return (after - before) / (ended - started), updates
