"""Options of the arms that plan: the search of Hafner et al. 2019, appendix A, which the Dreamer paper kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from agents.behaviors.cem import PlannerSettings
from agents.recipes.backbone import Backbone
from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast

QUICK_PLANNER: Mapping[str, Any] = {"planner_iterations": 2, "planner_candidates": 64, "planner_elites": 8}
"""A small search for two CPU cores; our choice."""


@dataclass(frozen=True, kw_only=True)
class Planning(Backbone):
    """A planner in place of a policy. Source: docs/algorithms/planet.md §3."""

    planner_horizon: Annotated[int, AtLeast(1)] = 12
    """Decisions that a plan looks ahead (§3); the curves of Dreamer's appendix D may have used 20 (not verified, §4)."""
    planner_iterations: Annotated[int, AtLeast(1)] = 10
    """Rounds of sampling and refitting (§3)."""
    planner_candidates: Annotated[int, AtLeast(1)] = 1000
    """Plans per round and environment (§3)."""
    planner_elites: Annotated[int, AtLeast(1)] = 100
    """Best plans to keep in every round (§3)."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise added to continuous training actions (§3)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.planner_elites > self.planner_candidates:
            raise UserError(
                f"option planner_elites must be at most planner_candidates ({self.planner_candidates}), "
                f"got {self.planner_elites}"
            )

    def planner(self, *, discounted: bool = False) -> PlannerSettings:
        return PlannerSettings(
            horizon=self.planner_horizon,
            iterations=self.planner_iterations,
            candidates=self.planner_candidates,
            elites=self.planner_elites,
            discounted=discounted,
        )
