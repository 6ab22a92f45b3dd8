"""Plays evaluation episodes: in separate environments with their own seeds, without exploration, learning or counting."""

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
"""Most environments for one seed's evaluation; more episodes than this are played in rounds."""

FINAL_STREAM = 1 << 30
"""Stream of acting noise for the final evaluation, larger than that of every regular one."""


@dataclass(kw_only=True)
class Episode:
    """One evaluation episode.

    score    sum of raw rewards
    length   agent steps
    seconds  wall time of the round in which it was played
    frames   images of the episode, if they were requested
    """

    env_seed: int
    score: float = 0.0
    length: int = 0
    seconds: float = 0.0
    frames: list[np.ndarray] = field(default_factory=list)


def lanes_per_seed(protocol: Protocol, purpose: Purpose) -> int:
    """Number of environments in which a seed plays an evaluation."""
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

    tasks        number of tasks that the episodes play in turn; `episodes` is a multiple of it
    first_index  index of the first episode among those of its purpose
    stream       stream of the acting noise (see `Agent.initial`); the rounds of one evaluation share its carry
    film         keep the images of each seed's first episode
    check        called before every decision; raises to stop the evaluation
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
        # Lanes without an episode are reset with the others, so that the agent always gets a valid observation.
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
