"""Dreamer: an actor and a value learned in the imagination of the world model. Hafner et al. 2020.

Defaults and sources as in agents/recipes/backbone.py: TF2 is danijar/dreamer 56d4d44; sections are those of
docs/algorithms/dreamer.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.actor_critic import ActorCritic
from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.learning import model_based
from agents.models.distributions import Policy, TanhNormal
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import DISCRETE, QUICK, QUICK_ACTOR, SMALL, SMALL_ACTOR, with_joined
from dreamer_bench_options import Above, AtLeast, Between


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """The paper's agent for control from pixels."""

    horizon: Annotated[int, AtLeast(2)] = 15
    """Imagined steps: 15 for control, 10 for discrete actions (§6)."""
    lambda_: Annotated[float, Between(0, 1)] = 0.95
    """λ of the returns (§7)."""
    actor_layers: Annotated[int, AtLeast(0)] = 4
    """Hidden layers of the actor; the paper says 3, both codes 4 (§12 row 1)."""
    value_layers: Annotated[int, AtLeast(0)] = 3
    """Hidden layers of the value (§2)."""
    actor_learning_rate: Annotated[float, Above(0)] = 8e-5
    """Adam, actor (§8)."""
    value_learning_rate: Annotated[float, Above(0)] = 8e-5
    """Adam, value (§8)."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise on training actions, continuous (§9)."""
    init_std: Annotated[float, Above(0)] = 5.0
    """Standard deviation of a fresh actor before tanh (§5)."""
    actor_entropy: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the actor's entropy in its loss: 0 in both codes (§7); the term is DreamerV2's (Hafner et al. 2021, eq. 6)."""


PAPER = Options()
QUICK_OPTIONS = Options(**QUICK, **QUICK_ACTOR, value_learning_rate=1e-3)

PROFILES: Mapping[str, Options] = with_joined(
    {
        "paper": PAPER,
        "discrete": Options(**DISCRETE, horizon=10),
        "quick": QUICK_OPTIONS,
        "small": Options(**SMALL, **SMALL_ACTOR, value_learning_rate=1e-3),
    }
)


def policy(options: Options, action_space: spaces.Space) -> Policy:
    """The action space decides."""
    if isinstance(action_space, spaces.Discrete):
        return CategoricalPolicy(exploration=options.epsilon_greedy())
    return TanhNormal(exploration=options.exploration, init_std=options.init_std)


def refuses(options: Options, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    return model_based.refuses(observation_space, action_space)


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    behavior = ActorCritic(
        policy=policy(options, context.action_space),
        horizon=options.horizon,
        lambda_=options.lambda_,
        entropy=options.actor_entropy,
        hidden=options.hidden,
        actor_layers=options.actor_layers,
        value_layers=options.value_layers,
        actor_optimizer=options.optimizer(options.actor_learning_rate),
        value_optimizer=options.optimizer(options.value_learning_rate),
    )
    return options.agent(context, behavior)
