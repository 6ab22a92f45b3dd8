"""What the loop is asked to train, and what it tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.api import Agent
from agents.environments import Environments
from protocols.cadence import Cadence
from protocols.records.store import Run
from protocols.spec import Protocol


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where a cohort stands, for whoever watches.

    scores              mean score of the last evaluation per seed, None before it and for a diverged seed
    evaluations         how many are done, of evaluations_due
    lines               metrics and mean score of this evaluation per seed; empty between evaluations
    films               images of this evaluation's first episode per seed, where they were asked for
    is_last_evaluation  of the regular ones
    """

    env_steps: int
    budget_env_steps: int
    seconds: float
    env_steps_per_second: float
    scores: tuple[float | None, ...]
    evaluations: int
    evaluations_due: int
    lines: tuple[Mapping[str, Any], ...] = ()
    films: tuple[Sequence[np.ndarray], ...] = ()

    @property
    def is_last_evaluation(self) -> bool:
        return bool(self.lines) and self.evaluations == self.evaluations_due

    @property
    def seconds_left(self) -> float | None:
        left = self.budget_env_steps - self.env_steps
        return left / self.env_steps_per_second if self.env_steps_per_second > 0 else None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the loop needs to train one cohort.

    open_environments  environments per seed -> that many for every seed
    watch          told where the cohort stands, twice a second and at every evaluation
    stop_requested asked before every decision
    """

    protocol: Protocol
    cadence: Cadence
    budget_env_steps: int
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    agent: Agent
    open_environments: Callable[[int], Environments]
    watch: Callable[[Moment], None] = lambda moment: None
    say: Callable[[str], None] = lambda line: None
    stop_requested: Callable[[], bool] = lambda: False
    film: bool = False
