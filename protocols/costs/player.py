"""Runs an agent on random observations from its task's space and takes the time, without the cost of the simulator."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from agents.api import Agent, AgentContext, Progress
from agents.drawn import Drawn

EPISODE_DECISIONS = 100


class Player:
    """Runs an agent on random observations and takes the time."""

    def __init__(self, agent: Agent, context: AgentContext) -> None:
        self.agent, self.context = agent, context
        self.drawn = Drawn(context, frames=4)
        self.carry = agent.initial(context.num_envs)
        self.agent_steps = self.episodes = self.gradient_steps = self.first_gradient_env_steps = 0
        self.act_seconds: list[float] = []
        self.observe_seconds: list[float] = []
        self.learn_seconds: list[float] = []

    @property
    def env_steps(self) -> int:
        return self.agent_steps * self.context.num_envs * self.context.action_repeat

    @property
    def gradient_step_seconds(self) -> float:
        """Median time of an update, without the first (which includes the warm-up) if there are more."""
        return median(self.learn_seconds[1:] or self.learn_seconds or [0.0])

    def feed(self, decisions: int, *, learn: bool) -> None:
        """Puts steps with random actions into replay, and learns from them if `learn`."""
        for _ in range(decisions):
            position = self.agent_steps % EPISODE_DECISIONS
            action = self.drawn.action()
            step = self.drawn.step(is_first=position == 0, is_last=position == EPISODE_DECISIONS - 1)
            started = time.perf_counter()
            self.agent.observe(action, step, np.ones(step.is_first.shape, bool))
            self.observe_seconds.append(time.perf_counter() - started)
            self.episodes += bool(step.is_last.all())
            self.agent_steps += 1
            if learn:
                self.learn()

    def learn(self) -> None:
        started = time.perf_counter()
        progress = Progress(
            env_steps=self.env_steps,
            agent_steps=self.agent_steps,
            episodes=self.episodes,
            budget_env_steps=self.context.budget_env_steps,
        )
        done = self.agent.learn(progress)
        if done:
            self.agent.metrics()  # waits for the device, which works ahead
            self.learn_seconds.append((time.perf_counter() - started) / done)
            self.first_gradient_env_steps = self.first_gradient_env_steps or self.env_steps
        self.gradient_steps += done

    def act(self, decisions: int) -> None:
        for _ in range(decisions):
            step = self.drawn.step(is_first=not self.act_seconds)
            started = time.perf_counter()
            _, self.carry = self.agent.act(self.carry, step, explore=True)
            self.act_seconds.append(time.perf_counter() - started)
