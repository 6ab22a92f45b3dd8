"""PlaNet as re-run in the Dreamer paper: Dreamer's world model and schedule, with planning in place of a policy.

Source: Hafner et al. 2020 and the switches of google-research/dreamer; docs/algorithms/planet.md §3, §4.
For discrete actions the planner is ours: a categorical search, with rewards weighted by the predicted discount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.cem import CategoricalSearch, CEMPlanner, GaussianSearch, PlannerSettings
from agents.behaviors.exploration import GaussianNoise
from agents.learning import model_based
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import DISCRETE, QUICK, SMALL, with_joined
from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """The planner of Hafner et al. 2019, appendix A, which the Dreamer paper kept."""

    planner_horizon: Annotated[int, AtLeast(1)] = 12
    """Model steps ahead; 20 may have been used for the curves of Dreamer's appendix D (not verified)."""
    planner_iterations: Annotated[int, AtLeast(1)] = 10
    """Rounds of sampling and refitting."""
    planner_candidates: Annotated[int, AtLeast(1)] = 1000
    """Plans per round and environment."""
    planner_elites: Annotated[int, AtLeast(1)] = 100
    """Plans kept."""
    planner_discounted: bool = False
    """Weigh imagined rewards by the predicted discounts; the published planner sums plainly."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise on training actions, continuous."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.planner_elites > self.planner_candidates:
            raise UserError(
                f"option planner_elites must be at most planner_candidates ({self.planner_candidates}), "
                f"got {self.planner_elites}"
            )


PROFILES: Mapping[str, Options] = with_joined(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, planner_discounted=True),
        "quick": Options(**QUICK, planner_iterations=2, planner_candidates=64, planner_elites=8),
        "small": Options(
            **SMALL,
            planner_horizon=10,
            planner_iterations=4,
            planner_candidates=100,
            planner_elites=10,
            planner_discounted=True,
        ),
    }
)


def refuses(options: Options, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    return model_based.refuses(observation_space, action_space)


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    settings = PlannerSettings(
        horizon=options.planner_horizon,
        iterations=options.planner_iterations,
        candidates=options.planner_candidates,
        elites=options.planner_elites,
        discounted=options.planner_discounted,
    )
    if isinstance(context.action_space, spaces.Discrete):
        behavior = CEMPlanner(settings=settings, search=CategoricalSearch(), exploration=options.epsilon_greedy())
    else:
        behavior = CEMPlanner(settings=settings, search=GaussianSearch(), exploration=GaussianNoise(std=options.exploration))
    return options.agent(context, behavior)
