"""The job of the loop, and the progress that it reports."""

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
    """The progress of a cohort at one moment.

    scores              mean score of the last evaluation per seed; None before it and for a diverged seed
    evaluations         number of finished evaluations, of evaluations_due
    lines               metrics and mean score of this evaluation per seed; empty between evaluations
    films               images of this evaluation's first episode per seed, if requested
    is_last_evaluation  whether this is the last regular evaluation
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

    open_environments  number of environments per seed -> the environments
    watch              gets the progress twice a second and at every evaluation
    stop_requested     called before every decision
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
