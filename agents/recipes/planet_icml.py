"""PlaNet as its own paper describes it (ICML 2019), for the six-task protocol with its action repeats.

The behaviour is that of `agents/recipes/planet.py`. The backbone has other sizes, activations, weights and five-bit images.
Source: Hafner et al. 2019, appendix A, and google-research/planet (0c6f7d3, c04226b); docs/algorithms/planet.md §1, §2.

Deviations: a pixel takes the middle of its five-bit bin instead of uniform noise within the bin. The five first episodes are
counted as 5,000 env steps. Sequences are drawn uniformly, as the loader of the camera-ready code does between two rescans.
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
from agents.recipes.profiles import QUICK, with_derived
from dreamer_bench_options import Above, AtLeast, Between, OneOf


@dataclass(frozen=True, kw_only=True)
class Options(Planning):
    """Defaults are the published agent's."""

    hidden: Annotated[int, AtLeast(1)] = 200
    """Width of the heads, two layers of 200 (§1; the code's reward head is 2 x 100, at HEAD 3 x 300: §2)."""
    activation: Annotated[str, OneOf(variants.ACTIVATIONS)] = "relu"
    """Activation of the dense layers (§1; the camera-ready code has the same)."""
    image_bits: Annotated[int, Between(1, 8)] = 5
    """Bits per colour channel of the images that the model sees (§1)."""
    free_nats_per_position: bool = True
    """Apply the 3 free nats at every position before the mean, as the code does (§2)."""
    reward_scale: Annotated[float, AtLeast(0)] = 10.0
    """Weight of the reward's loss, from the code; the paper does not give it (§2)."""
    model_learning_rate: Annotated[float, Above(0)] = 1e-3
    """Learning rate of Adam for the world model (§1)."""
    adam_epsilon: Annotated[float, Above(0)] = 1e-4
    """Epsilon of Adam (§1)."""
    clip_norm: Annotated[float, Above(0)] = 1000.0
    """Largest gradient norm (§1)."""


PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": Options(),
        "discrete": Options(),  # so that a protocol with discrete actions gets the reason from `refuses`
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
