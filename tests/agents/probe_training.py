"""A training loop of thirty lines for tests: one agent, S seeds x E copies of a tiny environment, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from agents import catalog
from agents.api import Agent, AgentContext, Progress, TimeStep
from agents.environments import Environments, InThisProcess
from agents.interaction import begin, interact
from agents.learning.model_based import ModelBasedAgent

MakeEnvironment = Callable[[], gymnasium.Env]

TINY_WIDTHS = {"stoch": 3, "deter": 6, "model_hidden": 6, "hidden": 6}
"""A model in which a loop over single numbers is quick."""


class Restarting:
    """S x E environments that restart by themselves."""

    def __init__(self, make: MakeEnvironment, seeds: Sequence[int], num_envs: int, purpose: int):
        lanes = InThisProcess([make() for _ in range(len(seeds) * num_envs)])
        self.environments, self.action_space = Environments(lanes, len(seeds), num_envs), lanes.action_space
        self.seeds, self.purpose = seeds, purpose
        self.episodes = np.zeros((len(seeds), num_envs), int)

    def reset(self, chosen: np.ndarray) -> TimeStep:
        drawn = np.zeros(chosen.shape, np.uint32)
        for s, e in np.argwhere(chosen):
            drawn[s, e] = np.random.SeedSequence([self.seeds[s], self.purpose, e, int(self.episodes[s, e])]).generate_state(1)[
                0
            ]
        self.episodes += chosen
        return self.environments.reset(chosen, drawn)

    def reset_all(self) -> TimeStep:
        return self.reset(np.ones(self.episodes.shape, bool))

    def step(self, action: np.ndarray) -> TimeStep:
        return self.environments.step(action)

    def restart(self, step: TimeStep) -> TimeStep:
        """The same step, with those environments reset whose episode ended."""
        return self.reset(step.is_last)


def train(agent: Agent, make: MakeEnvironment, seeds: Sequence[int], num_envs: int, decisions: int) -> None:
    """Every environment takes `decisions` steps; env_steps count those of all environments of one seed (repeat 1)."""
    lanes = Restarting(make, seeds, num_envs, 0)
    step, carry = lanes.reset_all(), agent.initial(num_envs)
    begin(agent, np.zeros((len(seeds), num_envs, *lanes.action_space.shape), np.float32), step)
    for number in range(1, decisions + 1):
        _, carry, _, step = interact(agent, carry, step, advance=lanes.step, restart=lanes.restart)
        agent.learn(
            Progress(
                env_steps=number * num_envs,
                agent_steps=number * num_envs,
                episodes=int(lanes.episodes.min()) - 1,
                budget_env_steps=decisions * num_envs,
            )
        )


def evaluate(agent: Agent, make: MakeEnvironment, seeds: Sequence[int], episodes: int) -> np.ndarray:
    """Mean return per seed of `episodes` parallel episodes without exploration."""
    lanes = Restarting(make, seeds, episodes, 1)
    step, carry = lanes.reset_all(), agent.initial(episodes, stream=1)
    returns, running = np.zeros((len(seeds), episodes)), np.ones((len(seeds), episodes), bool)
    while running.any():
        action, carry = agent.act(carry, step, explore=False)
        step = lanes.step(action)
        returns += step.reward * running
        running &= ~step.is_last
        step = lanes.restart(step)
    return returns.mean(1)


SIZES: Mapping[str, Any] = {
    "stoch": 4,
    "deter": 24,
    "model_hidden": 24,
    "hidden": 32,
    "depth": 4,
    "batch_sequences": 16,
    "batch_length": 15,
    "discount": 0.95,
    "kl_scale": 0.1,
    "free_nats": 0.0,
    "model_learning_rate": 4e-3,
    "prefill_env_steps": 800,
    "pretrain_updates": 50,
    "updates": 4,
    "update_every_env_steps": 8,
    "horizon": 5,
    "init_std": 1.0,
    "exploration": 1.0,
    "actor_learning_rate": 5e-4,
    "value_learning_rate": 4e-3,
    "planner_horizon": 5,
    "planner_iterations": 4,
    "planner_candidates": 64,
    "planner_elites": 8,
    "burn_in": 1,
    "tau": 0.05,
    "sac_learning_rate": 6e-3,
    "update_ratio": "matched",
}
"""One set of sizes and rates for every arm on the probes, chosen for seconds on one core; an arm takes the fields it has.

No free nats: an episode of a probe holds less than the usual 3, which would leave the prior untrained.
"""


def built(name: str, make: MakeEnvironment, seeds: Sequence[int], num_envs: int, **settings: Any) -> ModelBasedAgent:
    """An arm at probe sizes."""
    entry, env = catalog.find(name), make()
    options = entry.options("paper")
    known = {field.name for field in dataclasses.fields(options)}
    options = dataclasses.replace(options, **{key: value for key, value in {**SIZES, **settings}.items() if key in known})
    agent = entry.build(
        options,
        AgentContext(
            observation_space=env.observation_space,
            action_space=env.action_space,
            seeds=tuple(seeds),
            num_envs=num_envs,
            action_repeat=1,
            budget_env_steps=10**6,
        ),
    )
    assert isinstance(agent, ModelBasedAgent)
    return agent


def taught(
    make: MakeEnvironment, seeds: Sequence[int], *, num_envs: int = 8, decisions: int = 150, updates: int = 600, **settings: Any
) -> ModelBasedAgent:
    """World models alone, learned from random actions: those of every arm, since all hold the same one."""
    agent = built(
        "planet", make, seeds, num_envs, **{**settings, "prefill_env_steps": decisions * num_envs, "pretrain_updates": updates}
    )
    train(agent, make, seeds, num_envs, decisions)
    return agent


def begin_with(agent: ModelBasedAgent, teacher: ModelBasedAgent) -> None:
    """The teacher's world models and their optimiser, instead of the agent's own."""
    mine, theirs = agent.learner, teacher.learner
    for part in ("values", "mean", "square"):
        getattr(mine.groups["world_model"], part).copy_(getattr(theirs.groups["world_model"], part))
    mine.gradient_steps.copy_(theirs.gradient_steps)


def score(
    name: str,
    make: MakeEnvironment,
    seeds: Sequence[int],
    *,
    num_envs: int = 8,
    decisions: int,
    teacher: ModelBasedAgent | None = None,
    **settings: Any,
) -> np.ndarray:
    """Mean return per seed of a trained arm, without exploration; its world model begins as the teacher's, if there is one."""
    agent = built(name, make, seeds, num_envs, **settings)
    if teacher is not None:
        begin_with(agent, teacher)
    train(agent, make, seeds, num_envs, decisions)
    return evaluate(agent, make, seeds, 20)
