"""Feeds an agent from environments as the training loop does, without records: for tests of agents alone."""

from __future__ import annotations

import numpy as np

from agents.api import AgentContext, Progress
from agents.environments import Environments, InThisProcess
from agents.interaction import begin, interact


class Driver:
    """S x 1 environments in the arrival convention; `make()` gives a fresh one, and episode seeds count up per lane."""

    def __init__(self, make, seeds, *, action_repeat=1, budget_env_steps=100_000, replay_folders=None):
        self.environments = [make() for _ in seeds]
        self.stepped = Environments(InThisProcess(self.environments), len(seeds), 1)
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
        self.step = self._begin(np.ones(self.stepped.shape, bool))

    def advance(self, action):
        return self.stepped.step(action)

    def restart(self, arrived):
        self.episodes += 1
        return self._begin(arrived.is_last)

    def _begin(self, chosen):
        return self.stepped.reset(chosen, 1000 * np.arange(len(self.environments))[:, None] + self.episodes)


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
