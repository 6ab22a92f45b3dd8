"""Feeds an agent from environments as the training loop does, without records: for tests of agents alone."""

from __future__ import annotations

import numpy as np

from agents.api import AgentContext, Progress, TimeStep
from agents.interaction import begin, interact


class Driver:
    """S x 1 environments in the arrival convention; `make()` gives a fresh one, and episode seeds count up per lane."""

    def __init__(self, make, seeds, *, action_repeat=1, budget_env_steps=100_000, replay_folders=None):
        self.environments = [make() for _ in seeds]
        self.context = AgentContext(
            observation_space=self.environments[0].observation_space,
            action_space=self.environments[0].action_space,
            seeds=tuple(seeds),
            num_envs=1,
            action_repeat=action_repeat,
            budget_env_steps=budget_env_steps,
            replay_folders=replay_folders,
        )
        self.action_repeat = action_repeat
        self.budget = budget_env_steps
        self.agent_steps = self.episodes = 0
        self.gradient_steps: list[int] = []
        self.step = None

    def train(self, agent, carry, agent_steps):
        if self.step is None:
            self.reset_all()
            begin(agent, self.no_action(), self.step)
        for _ in range(agent_steps):
            _, carry, _, self.step = interact(agent, carry, self.step, advance=self.advance, restart=self.restart)
            self.agent_steps += 1
            self.gradient_steps.append(
                agent.learn(
                    Progress(
                        env_steps=self.agent_steps * self.action_repeat,
                        agent_steps=self.agent_steps,
                        episodes=self.episodes,
                        budget_env_steps=self.budget,
                    )
                )
            )
        return carry

    def no_action(self):
        space = self.context.action_space
        return np.zeros((len(self.environments), 1, *space.shape), space.dtype)

    def reset_all(self):
        self.rows = [self.first(s) for s in range(len(self.environments))]
        self.step = joined(self.rows)

    def first(self, s):
        observation, _ = self.environments[s].reset(seed=1000 * s + self.episodes)
        return observation, 0.0, True, False, False

    def advance(self, action):
        self.rows = []
        for environment, chosen in zip(self.environments, action[:, 0]):
            observation, reward, terminated, truncated, _ = environment.step(chosen)
            self.rows.append((observation, reward, False, terminated or truncated, terminated))
        return joined(self.rows)

    def restart(self, arrived):
        self.episodes += 1
        self.rows = [self.first(s) if arrived.is_last[s] else row for s, row in enumerate(self.rows)]
        return joined(self.rows)


def joined(rows):
    observation = {key: np.stack([row[0][key] for row in rows])[:, None] for key in rows[0][0]}
    reward, is_first, is_last, is_terminal = (np.array([row[i] for row in rows])[:, None] for i in range(1, 5))
    return TimeStep(observation, reward.astype(np.float32), is_first, is_last, is_terminal)


def mean_return(agent, make, episodes):
    """Mean return of seed 0's evaluation policy over some episodes."""
    total = 0.0
    for episode in range(episodes):
        driver = Driver(make, agent.context.seeds)
        driver.episodes = 500 + episode
        driver.reset_all()
        carry = agent.initial(1, stream=1 + episode)
        while not driver.step.is_last.any():
            action, carry = agent.act(carry, driver.step, explore=False)
            driver.step = driver.advance(action)
            total += float(driver.step.reward[0, 0])
    return total / episodes
