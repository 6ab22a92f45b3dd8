"""Agents side by side on one stream of observations: what `agents.conformance.check_agent` watches. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agents.api import Agent, Carry, Progress, TimeStep


@dataclass(kw_only=True)
class Follower:
    """An agent that is driven through a stream, for the first `seeds` of its seeds."""

    agent: Agent
    carry: Carry
    seeds: int
    begun: bool = False
    gradient_steps: int = 0

    def rows(self, step: TimeStep) -> TimeStep:
        observation = {key: value[: self.seeds] for key, value in step.observation.items()}
        return TimeStep(observation, *(part[: self.seeds] for part in step[1:]))


class Stream:
    """S x E environments that restart by themselves. All seeds see the same episodes, so that what differs is the agent's."""

    def __init__(self, make: Callable[[], gymnasium.Env], num_seeds: int, num_envs: int, purpose: int) -> None:
        self.shape, self.purpose = (num_seeds, num_envs), purpose
        self.environments = [[make() for _ in range(num_envs)] for _ in range(num_seeds)]
        self.action_space = self.environments[0][0].action_space
        self.episodes = np.zeros(self.shape, int)
        self.agent_steps = 0
        self._rows = {place: self._reset(*place) for place in np.ndindex(*self.shape)}

    @property
    def step(self) -> TimeStep:
        lead = [[self._rows[s, e] for e in range(self.shape[1])] for s in range(self.shape[0])]
        observation = {key: np.array([[row[0][key] for row in line] for line in lead]) for key in lead[0][0][0]}
        reward, is_first, is_last, is_terminal = (np.array([[row[i] for row in line] for line in lead]) for i in range(1, 5))
        return TimeStep(observation, reward.astype(np.float32), is_first, is_last, is_terminal)

    def no_action(self) -> np.ndarray:
        return np.zeros((*self.shape, *(self.action_space.shape or ())), self.action_space.dtype)  # type: ignore[misc]

    def advance(self, action: np.ndarray) -> TimeStep:
        """One decision everywhere; the step before ended episodes are reset."""
        for s, e in np.ndindex(*self.shape):
            observation, reward, terminated, truncated, _ = self.environments[s][e].step(action[s, e])
            self._rows[s, e] = (observation, reward, False, terminated or truncated, terminated)
        self.agent_steps += self.shape[1]
        return self.step

    def restart(self, ended: np.ndarray) -> TimeStep:
        for s, e in np.argwhere(ended):
            self.episodes[s, e] += 1
            self._rows[s, e] = self._reset(int(s), int(e))
        return self.step

    def progress(self) -> Progress:
        return Progress(env_steps=self.agent_steps, agent_steps=self.agent_steps, episodes=int(self.episodes.sum(1).min()),
                        budget_env_steps=10_000)  # fmt: skip

    def _reset(self, s: int, e: int) -> tuple[Any, ...]:
        seed = int(np.random.SeedSequence((self.purpose, e, int(self.episodes[s, e]))).generate_state(1)[0])
        return self.environments[s][e].reset(seed=seed)[0], 0.0, True, False, False


def together(stream: Stream, followers: Sequence[Follower], decisions: int, *, tolerance: float = 0.0,
              seen: list[np.ndarray] | None = None) -> str:  # fmt: skip
    """Drives agents through one stream with the first one's actions, as the training loop does.

    Returns what another agent did otherwise, or "". `seen` takes the actions of the first.
    """
    for follower in followers:
        if not follower.begun and stream.agent_steps == 0:
            lanes = np.ones((follower.seeds, stream.shape[1]), bool)
            follower.agent.observe(stream.no_action()[: follower.seeds], follower.rows(stream.step), lanes)
        follower.begun = True
    for number in range(decisions):
        step = stream.step
        shown = {key: value.copy() for key, value in step.observation.items()}
        actions = []
        for follower in followers:
            action, follower.carry = follower.agent.act(follower.carry, follower.rows(step), explore=True)
            actions.append(np.array(action))
            leader = actions[0][: follower.seeds]
            if not np.allclose(leader, action, rtol=0.0, atol=tolerance):
                return f"at decision {number} the actions differ by {np.abs(leader - action).max():.3g}"
        if any(not np.array_equal(shown[key], value) for key, value in step.observation.items()):
            return "it writes into the observations it is shown"
        if seen is not None:
            seen.append(actions[0])
        ended = stream.advance(actions[0]).is_last
        steps = [(stream.step, np.ones(stream.shape, bool))]
        if ended.any():
            steps.append((stream.restart(ended), ended))
        for arrived, lanes in steps:
            for follower in followers:
                follower.agent.observe(actions[0][: follower.seeds], follower.rows(arrived), lanes[: follower.seeds])
        updates = [follower.agent.learn(stream.progress()) for follower in followers]
        if not isinstance(updates[0], int) or updates[0] < 0:
            return f"learn returned {updates[0]!r}, expected the number of gradient steps"
        for follower, taken in zip(followers, updates):
            follower.gradient_steps += taken
        if len(set(updates)) > 1:
            return f"at decision {number} the gradient steps differ: {updates}"
    return ""
