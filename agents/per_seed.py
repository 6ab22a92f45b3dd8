"""S agents with one seed each behind the contract of one agent with S seeds, for agents that know one seed only. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.api import Agent, AgentContext, Carry, Progress, TimeStep
from dreamer_bench_base import UserError


def each(build: Callable[[AgentContext], Agent], context: AgentContext) -> PerSeed:
    """Builds one agent per seed, each with its own seed and replay folder."""
    folders: Sequence[Path | None] = context.replay_folders or [None] * len(context.seeds)
    return PerSeed(
        [
            build(replace(context, seeds=(seed,), replay_folders=None if folder is None else (folder,)))
            for seed, folder in zip(context.seeds, folders)
        ]
    )


class PerSeed:
    """agents.api.Agent made of S agents, each with S = 1. Its carry is the list of their carries."""

    def __init__(self, agents: Sequence[Agent]):
        self.agents = list(agents)

    def initial(self, num_envs: int, *, stream: int = 0) -> Carry:
        return [agent.initial(num_envs, stream=stream) for agent in self.agents]

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        pairs = [agent.act(own, one_seed(step, s), explore=explore) for s, (agent, own) in enumerate(zip(self.agents, carry))]
        return np.concatenate([action for action, _ in pairs]), [own for _, own in pairs]

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        for s, agent in enumerate(self.agents):
            agent.observe(action[s : s + 1], one_seed(step, s), lanes[s : s + 1])

    def learn(self, progress: Progress) -> int:
        """Raises ValueError if the agents took different numbers of gradient steps: seeds of a cohort advance together."""
        counts = {agent.learn(progress) for agent in self.agents}
        if len(counts) != 1:
            raise UserError(
                f"every seed must take the same number of gradient steps at a call; they took {sorted(counts)}: "
                "make the schedule a function of Progress alone"
            )
        return counts.pop()

    def metrics(self) -> Mapping[str, np.ndarray]:
        found = [agent.metrics() for agent in self.agents]
        names = [name for name in found[0] if all(name in metrics for metrics in found)]
        return {name: np.concatenate([metrics[name] for metrics in found]) for name in names}

    @property
    def diverged(self) -> np.ndarray:
        return np.concatenate([agent.diverged for agent in self.agents])

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        for agent, folder, own in zip(self.agents, folders, carry):
            agent.save([folder], own)

    def load(self, folders: Sequence[Path]) -> Carry:
        return [agent.load([folder]) for agent, folder in zip(self.agents, folders)]


def one_seed(step: TimeStep, s: int) -> TimeStep:
    """The rows of seed `s`, with the seed axis kept: [1, E, ...]."""
    return TimeStep({key: value[s : s + 1] for key, value in step.observation.items()}, *(part[s : s + 1] for part in step[1:]))
