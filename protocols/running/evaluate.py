"""Plays evaluation episodes: separate environments, seeds of their own, no exploration, nothing learned and nothing counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from agents.api import Agent
from agents.environments import Environments
from protocols.cadence import Purpose, episode_seed
from protocols.spec import Protocol

MAX_LANES_PER_SEED = 10
"""Environments that one seed's evaluation keeps open; more episodes than that are played in rounds."""

FINAL_STREAM = 1 << 30
"""Acting noise of the final evaluation, beyond that of any regular one."""


@dataclass(kw_only=True)
class Episode:
    """One evaluation episode.

    score    sum of raw rewards
    length   agent steps
    seconds  wall time of the round that it was played in
    frames   images it saw, where they were asked for
    """

    env_seed: int
    score: float = 0.0
    length: int = 0
    seconds: float = 0.0
    frames: list[np.ndarray] = field(default_factory=list)


def lanes_per_seed(protocol: Protocol, purpose: Purpose) -> int:
    """How many environments a seed plays an evaluation in."""
    if purpose == "final" and protocol.final_environments is not None:
        return protocol.final_environments
    return max(1, min(protocol.evaluate_episodes, MAX_LANES_PER_SEED))


def play(
    agent: Agent,
    environments: Environments,
    *,
    run_seeds: tuple[int, ...],
    purpose: Purpose,
    tasks: int = 1,
    first_index: int,
    episodes: int,
    stream: int,
    active: np.ndarray,
    film: bool,
    check: Callable[[], None],
) -> list[list[Episode]]:
    """The episodes of one evaluation, [S][episodes]; [] for a seed that is not `active` [S].

    tasks        how many the episodes play in turn; a multiple of them fits into `episodes`
    first_index  index of the first episode among those of its purpose
    stream       names the acting noise (see `Agent.initial`); rounds of one evaluation share its carry
    film         keep the images of each seed's first episode
    check        called before every decision; may raise to give the evaluation up
    """
    num_lanes = environments.shape[1]
    played: list[list[Episode]] = [[] for _ in run_seeds]
    carry = agent.initial(num_lanes, stream=stream)
    for begin in range(0, episodes, num_lanes):
        width = min(num_lanes, episodes - begin)
        started = time.monotonic()
        seeds = np.array(
            [
                [episode_seed(seed, purpose, first_index + begin + lane, tasks) for lane in range(num_lanes)]
                for seed in run_seeds
            ]
        )
        going = np.zeros(environments.shape, bool)
        going[:, :width] = active[:, None]
        open_episodes = [[Episode(env_seed=int(seeds[s, lane])) for lane in range(width)] for s in range(len(run_seeds))]
        # Lanes that no episode needs are reset with the others, so that the agent always sees a valid observation.
        step = environments.reset(np.ones(environments.shape, bool), seeds)
        while going.any():
            check()
            if film and begin == 0 and "image" in step.observation:
                for s in np.flatnonzero(going[:, 0]):
                    open_episodes[s][0].frames.append(step.observation["image"][s, 0])
            action, carry = agent.act(carry, step, explore=False)
            step = environments.step(action, going)
            reward = environments.reward
            for s, lane in np.argwhere(going):
                open_episodes[s][lane].score += float(reward[s, lane])
                open_episodes[s][lane].length += 1
            going &= ~step.is_last
        seconds = time.monotonic() - started
        for s in np.flatnonzero(active):
            for episode in open_episodes[s]:
                episode.seconds = seconds
            played[s].extend(open_episodes[s])
    return played
