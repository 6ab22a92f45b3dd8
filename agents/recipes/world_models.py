"""World Models' controller on the shared backbone: linear, found by CMA-ES in the imagination of Dreamer's world model.

Source: Ha & Schmidhuber 2018, whose iterative scheme (their section 5) this is: collect, train the model, evolve the controller
in it, repeat. Model, schedule and exploration are the other arms'; docs/algorithms/world_models.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.exploration import GaussianNoise
from agents.behaviors.linear_controller import ArgmaxControl, FitnessSettings, LinearController, TanhControl
from agents.learning import model_based
from agents.learning.evolution import MIRRORED_BELOW, EvolutionSettings
from agents.recipes import backbone
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import DISCRETE, QUICK, SMALL, with_joined
from dreamer_bench_options import Above, AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """The search of Ha & Schmidhuber 2018, and what it takes to run it beside the model's updates."""

    search_population: Annotated[int, AtLeast(MIRRORED_BELOW)] = 64
    """Candidates of a generation (§2)."""
    search_sigma: Annotated[float, Above(0)] = 0.1
    """First step size; the first mean is 0 (§2)."""
    search_starts: Annotated[int, AtLeast(1)] = 16
    """Imagined episodes per candidate, the same for all of a generation (§2)."""
    search_horizon: Annotated[int, AtLeast(1)] = 50
    """Imagined steps of each; the original's Doom dreams up to 2,100 (§3)."""
    search_temperature: Annotated[float, Above(0)] = 1.0
    """Of the imagined latents; the paper's table has 0.1 to 1.3, its best 1.15 (§3)."""
    search_generations: Annotated[int, AtLeast(1)] = 10
    """Generations per training call of `updates` model updates, spread evenly (§4)."""
    search_discounted: bool = False
    """Weigh imagined rewards by the predicted discounts, so that nothing counts after an end (§3)."""
    search_diagonal: bool = False
    """A variance for every weight instead of a covariance, for thousands of weights; not the original (§2)."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise on training actions, continuous, as in the other arms."""


PROFILES: Mapping[str, Options] = with_joined(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, search_discounted=True),
        "quick": Options(**QUICK, search_starts=8, search_horizon=15, search_generations=4),
        "small": Options(
            **SMALL, search_sigma=0.5, search_starts=8, search_horizon=15, search_generations=8, search_discounted=True
        ),
    }
)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    discrete = isinstance(context.action_space, spaces.Discrete)
    behavior = LinearController(
        settings=FitnessSettings(
            starts=options.search_starts,
            horizon=options.search_horizon,
            temperature=options.search_temperature,
            discounted=options.search_discounted,
        ),
        control=ArgmaxControl() if discrete else TanhControl(),
        exploration=options.epsilon_greedy() if discrete else GaussianNoise(std=options.exploration),
    )
    evolution = EvolutionSettings(
        population=options.search_population,
        sigma=options.search_sigma,
        generations=options.search_generations,
        diagonal=options.search_diagonal,
    )
    return options.agent(context, behavior, evolution=evolution)
