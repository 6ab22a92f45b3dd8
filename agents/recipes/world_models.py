"""World Models' linear controller on the shared backbone. CMA-ES finds it in the imagination of Dreamer's world model.

Source: the iterative scheme in section 5 of Ha & Schmidhuber 2018: collect, train the model, evolve the controller in it,
repeat. Model, schedule and exploration are those of the other arms; docs/algorithms/world_models.md.
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
from agents.recipes.profiles import DISCRETE, QUICK, SMALL, with_derived
from dreamer_bench_options import Above, AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """The search of Ha & Schmidhuber 2018, and how it runs beside the updates of the model."""

    search_population: Annotated[int, AtLeast(MIRRORED_BELOW)] = 64
    """Candidates per generation (§2)."""
    search_sigma: Annotated[float, Above(0)] = 0.1
    """Initial step size; the initial mean is 0 (§2)."""
    search_starts: Annotated[int, AtLeast(1)] = 16
    """Imagined episodes per candidate; all candidates of a generation get the same starts (§2)."""
    search_horizon: Annotated[int, AtLeast(1)] = 50
    """Steps of an imagined episode; the original dreams up to 2,100 steps for Doom (§3)."""
    search_temperature: Annotated[float, Above(0)] = 1.0
    """Temperature of the imagined latents; the paper tried 0.1 to 1.3 and found 1.15 best (§3)."""
    search_generations: Annotated[int, AtLeast(1)] = 10
    """Generations per training call, spread evenly over its `updates` model updates (§4)."""
    search_discounted: bool = False
    """Weight imagined rewards by the predicted discounts, so that rewards after an end do not count (§3)."""
    search_diagonal: bool = False
    """Adapt one variance per weight instead of a covariance, for thousands of weights; not in the original (§2)."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise added to continuous training actions (§4)."""


PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, search_discounted=True),
        "quick": Options(**QUICK, search_starts=8, search_horizon=15, search_generations=4),
        "small": Options(
            **SMALL, search_sigma=0.5, search_starts=8, search_horizon=15, search_generations=8, search_discounted=True
        ),
    }
)


PER_CALL = "search_generations"

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
