"""Several agents on one stream of observations, for `agents.conformance.check_agent`. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np

from agents.api import Agent, Carry, Progress, TimeStep
from agents.environments import Environments, InThisProcess
from agents.interaction import begin, interact


@dataclass(kw_only=True)
class Follower:
    """An agent on a stream, with the first `seeds` of its seeds."""

    agent: Agent
    carry: Carry
    seeds: int
    begun: bool = False
    gradient_steps: int = 0

    def rows(self, step: TimeStep) -> TimeStep:
        observation = {key: value[: self.seeds] for key, value in step.observation.items()}
        return TimeStep(observation, *(part[: self.seeds] for part in step[1:]))


class Stream:
    """S x E environments that restart by themselves. All seeds get the same episodes, so that only agents can differ."""

    def __init__(self, make: Callable[[], gymnasium.Env], num_seeds: int, num_envs: int, purpose: int) -> None:
        self.shape, self.purpose = (num_seeds, num_envs), purpose
        lanes = InThisProcess([make() for _ in range(num_seeds * num_envs)])
        self.environments, self.action_space = Environments(lanes, num_seeds, num_envs), lanes.action_space
        self.episodes = np.zeros(self.shape, int)
        self.agent_steps = 0
        self.step = self._begin(np.ones(self.shape, bool))

    def no_action(self) -> np.ndarray:
        return np.zeros((*self.shape, *(self.action_space.shape or ())), self.action_space.dtype)  # type: ignore[misc]

    def advance(self, action: np.ndarray) -> TimeStep:
        """One decision in every environment; returns the step before ended episodes are reset."""
        self.step = self.environments.step(action)
        self.agent_steps += self.shape[1]
        return self.step

    def restart(self, arrived: TimeStep) -> TimeStep:
        self.episodes += arrived.is_last
        self.step = self._begin(arrived.is_last)
        return self.step

    def progress(self) -> Progress:
        return Progress(
            env_steps=self.agent_steps,
            agent_steps=self.agent_steps,
            episodes=int(self.episodes.sum(1).min()),
            budget_env_steps=10_000,
        )

    def _begin(self, chosen: np.ndarray) -> TimeStep:
        seeds = [
            [np.random.SeedSequence((self.purpose, e, int(episode))).generate_state(1)[0] for e, episode in enumerate(row)]
            for row in self.episodes
        ]
        return self.environments.reset(chosen, np.array(seeds))


class Differs(Exception):
    """What an agent did differently from the first one, in one line; `together` catches it."""


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Several agents as one for `agents.interaction`: it takes the first agent's actions and compares the others' with them."""

    followers: Sequence[Follower]
    tolerance: float = 0.0
    seen: list[np.ndarray] | None = None

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        """`carry` is the number of this decision; the follower has the carry of each agent."""
        shown = {key: value.copy() for key, value in step.observation.items()}
        actions = []
        for follower in self.followers:
            action, follower.carry = follower.agent.act(follower.carry, follower.rows(step), explore=explore)
            actions.append(np.array(action))
            leader = actions[0][: follower.seeds]
            if not np.allclose(leader, action, rtol=0.0, atol=self.tolerance):
                raise Differs(f"at decision {carry} the actions differ by {np.abs(leader - action).max():.3g}")
        if any(not np.array_equal(shown[key], value) for key, value in step.observation.items()):
            raise Differs("it writes into the observations it is shown")
        if self.seen is not None:
            self.seen.append(actions[0])
        return actions[0], carry + 1

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        for follower in self.followers:
            follower.agent.observe(action[: follower.seeds], follower.rows(step), lanes[: follower.seeds])

    def learn(self, progress: Progress, number: int) -> None:
        updates = [follower.agent.learn(progress) for follower in self.followers]
        if not isinstance(updates[0], int) or updates[0] < 0:
            raise Differs(f"learn returned {updates[0]!r}, expected the number of gradient steps")
        for follower, taken in zip(self.followers, updates):
            follower.gradient_steps += taken
        if len(set(updates)) > 1:
            raise Differs(f"at decision {number} the gradient steps differ: {updates}")


def together(
    stream: Stream,
    followers: Sequence[Follower],
    decisions: int,
    *,
    tolerance: float = 0.0,
    seen: list[np.ndarray] | None = None,
) -> str:
    """Runs agents on one stream with the first agent's actions, as the training loop does.

    Returns what another agent did differently, or "". `seen` gets the actions of the first agent.
    """
    every = SideBySide(followers=followers, tolerance=tolerance, seen=seen)
    if stream.agent_steps == 0:
        begin(SideBySide(followers=[each for each in followers if not each.begun]), stream.no_action(), stream.step)
    for follower in followers:
        follower.begun = True
    try:
        for number in range(decisions):
            interact(every, number, stream.step, advance=stream.advance, restart=stream.restart)
            every.learn(stream.progress(), number)
    except Differs as difference:
        return str(difference)
    return ""
