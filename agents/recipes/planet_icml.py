"""PlaNet as its own paper describes it (ICML 2019), for the six-task protocol with its action repeats.

The behaviour is that of `agents/recipes/planet.py`; the backbone has other sizes, activations, weights and five-bit images.
Source: Hafner et al. 2019, appendix A, and google-research/planet (0c6f7d3, c04226b); docs/algorithms/planet.md §1, §2.

Deviations: pixels take the middle of their five-bit bin instead of uniform noise in it; the five seed episodes are counted
as 5,000 env steps; sequences are drawn uniformly, as by the camera-ready code's loader between two rescans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.cem import CEMPlanner, GaussianSearch
from agents.behaviors.exploration import GaussianNoise
from agents.learning import model_based
from agents.recipes import backbone, variants
from agents.recipes.planning import QUICK_PLANNER, Planning
from agents.recipes.profiles import QUICK, with_joined
from dreamer_bench_options import Above, AtLeast, Between, OneOf


@dataclass(frozen=True, kw_only=True)
class Options(Planning):
    """Defaults are the published agent's."""

    hidden: Annotated[int, AtLeast(1)] = 200
    """Width of the heads: two layers of 200 (appendix A; the code's reward head is 2 x 100, at HEAD 3 x 300)."""
    activation: Annotated[str, OneOf(variants.ACTIVATIONS)] = "relu"
    """Appendix A and the camera-ready code."""
    image_bits: Annotated[int, Between(1, 8)] = 5
    """Appendix A."""
    free_nats_per_position: bool = True
    """The code cuts every position before the mean; 3 free nats, β = 1."""
    reward_scale: Annotated[float, AtLeast(0)] = 10.0
    """The code; not in the paper's text."""
    model_learning_rate: Annotated[float, Above(0)] = 1e-3
    """Appendix A."""
    adam_epsilon: Annotated[float, Above(0)] = 1e-4
    """Appendix A."""
    clip_norm: Annotated[float, Above(0)] = 1000.0
    """Appendix A."""


PROFILES: Mapping[str, Options] = with_joined(
    {
        "paper": Options(),
        "discrete": Options(),  # so that a protocol of discrete actions hears from `refuses` why not
        "quick": Options(**QUICK, **QUICK_PLANNER),
    }
)


def refuses(options: Options, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    if isinstance(action_space, spaces.Discrete):
        return "the published PlaNet has continuous actions only; agent 'planet' searches discrete ones"
    return backbone.refuses(options, observation_space, action_space)


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    exploration = GaussianNoise(std=options.exploration)
    return options.agent(context, CEMPlanner(settings=options.planner(), search=GaussianSearch(), exploration=exploration))
