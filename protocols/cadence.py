"""When a run evaluates, when it ends, and the environment seed of every episode. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from dreamer_bench_base import UserError
from protocols.spec import Protocol

Purpose = Literal["train", "evaluate", "final"]

_PURPOSES: dict[Purpose, int] = {"train": 0, "evaluate": 1, "final": 2}
_RANDOM_BITS = 29  # two more bits hold the purpose, so seeds of different purposes differ and stay below 2**31 (ALE's limit)


@lru_cache(maxsize=1 << 16)
def episode_seed(run_seed: int, purpose: Purpose, index: int, tasks: int = 1) -> int:
    """The environment seed of episode number `index` of a purpose, in [0, 2**31): a function of the arguments alone.

    index of "train"     n-th episode of environment e of E: n * E + e
    index of "evaluate"  evaluation * evaluate_episodes + episode
    index of "final"     episode
    tasks                number of tasks that the episodes play in turn: seed mod tasks = index mod tasks (suites/joined.py)
    """
    purpose_bits = _PURPOSES[purpose]
    drawn = int(np.random.SeedSequence((run_seed, purpose_bits, index)).generate_state(1, np.uint32)[0])
    seed = (purpose_bits << _RANDOM_BITS) | (drawn >> (32 - _RANDOM_BITS))
    raised = seed + (index - seed) % tasks
    return raised if raised >> _RANDOM_BITS == purpose_bits else raised - tasks


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """The timetable of one run in iterations. An iteration is one decision in each of a seed's environments.

    env_steps_per_iteration  num_envs x action repeat
    iterations               the last iteration; no run goes beyond its budget
    evaluations              iterations at which an evaluation is due, first 0, last `iterations`
    """

    num_envs: int
    action_repeat: int
    iterations: int
    evaluations: tuple[int, ...]

    @property
    def env_steps_per_iteration(self) -> int:
        return self.num_envs * self.action_repeat

    def env_steps(self, iteration: int) -> int:
        return iteration * self.env_steps_per_iteration

    def agent_steps(self, iteration: int) -> int:
        return iteration * self.num_envs

    @cached_property
    def evaluation_env_steps(self) -> tuple[int, ...]:
        """The env_steps of all evaluations of a complete run."""
        return tuple(self.env_steps(iteration) for iteration in self.evaluations)


def cadence_of(protocol: Protocol, task: str, budget_env_steps: int) -> Cadence:
    """The timetable of a protocol on one task: an evaluation at the first iteration at or after each multiple of its
    cadence, and one at the end. Raises ValueError if the budget is below one iteration."""
    action_repeat = protocol.action_repeat_of(task)
    per_iteration = protocol.num_envs * action_repeat
    if budget_env_steps < per_iteration:
        raise UserError(
            f"a budget of {budget_env_steps} env_steps is below one step of {task} under {protocol.id}; "
            f"give at least {per_iteration}"
        )
    return _cadence(protocol.num_envs, action_repeat, per_iteration, budget_env_steps, protocol.evaluate_every_env_steps)


@lru_cache(maxsize=16)
def _cadence(num_envs: int, action_repeat: int, per_iteration: int, budget_env_steps: int, every: int) -> Cadence:
    """The same for numbers; a reader of thousands of runs asks for the same ones again and again."""
    last = budget_env_steps // per_iteration
    due = {min(-(-multiple // per_iteration), last) for multiple in range(0, budget_env_steps + 1, every)}
    return Cadence(num_envs=num_envs, action_repeat=action_repeat, iterations=last, evaluations=tuple(sorted({*due, last})))
