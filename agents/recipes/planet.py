"""PlaNet as re-run in the Dreamer paper: Dreamer's world model and schedule, with a planner in place of a policy.

Source: Hafner et al. 2020 and the settings in google-research/dreamer; docs/algorithms/planet.md §3, §4.
The planner for discrete actions is our own: a categorical search, with rewards weighted by the predicted discount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.cem import CategoricalSearch, CEMPlanner, GaussianSearch
from agents.behaviors.exploration import GaussianNoise
from agents.learning import model_based
from agents.recipes import backbone
from agents.recipes.planning import QUICK_PLANNER, Planning
from agents.recipes.profiles import DISCRETE, QUICK, SMALL, with_derived


@dataclass(frozen=True, kw_only=True)
class Options(Planning):
    """The planner of Hafner et al. 2019, appendix A, which the Dreamer paper kept."""

    planner_discounted: bool = False
    """Weight imagined rewards by the predicted discounts; the published planner takes the plain sum (§3)."""


PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, planner_discounted=True),
        "quick": Options(**QUICK, **QUICK_PLANNER),
        "small": Options(
            **SMALL,
            planner_horizon=15,
            planner_iterations=4,
            planner_candidates=100,
            planner_elites=10,
            planner_discounted=True,
        ),
    }
)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    settings = options.planner(discounted=options.planner_discounted)
    if isinstance(context.action_space, spaces.Discrete):
        behavior = CEMPlanner(settings=settings, search=CategoricalSearch(), exploration=options.epsilon_greedy())
    else:
        behavior = CEMPlanner(settings=settings, search=GaussianSearch(), exploration=GaussianNoise(std=options.exploration))
    return options.agent(context, behavior)
