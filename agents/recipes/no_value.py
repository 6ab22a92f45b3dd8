"""No value: the actor learns from imagined rewards alone, which end at the horizon. An ablation of Hafner et al. 2020, eq. 4.

Everything but the behaviour is Dreamer's. Source of the defaults: google-research/dreamer with `value_head: False`;
docs/algorithms/ablations.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.actor_only import ActorOnly
from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.learning import model_based
from agents.models.distributions import Policy, TanhNormal
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import DISCRETE, QUICK, QUICK_ACTOR, SMALL, SMALL_ACTOR, with_joined
from dreamer_bench_base import UserError
from dreamer_bench_options import Above, AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """Dreamer's settings without those of the value."""

    horizon: Annotated[int, AtLeast(1)] = 15
    """Imagined steps, all of whose rewards count: 15, 20 in appendix D, 10 for discrete actions."""
    undiscounted: bool = False
    """Plain sums as printed in the paper (eq. 4) instead of the discounted sums of the code that made the figures."""
    actor_layers: Annotated[int, AtLeast(0)] = 4
    """Hidden layers of the actor, as Dreamer's."""
    actor_learning_rate: Annotated[float, Above(0)] = 8e-5
    """Adam, actor, as Dreamer's."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise on training actions, continuous."""
    init_std: Annotated[float, Above(0)] = 5.0
    """Standard deviation of a fresh actor before tanh."""
    actor_entropy: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the actor's entropy in its loss: 0 in the original; the term is DreamerV2's (Hafner et al. 2021, eq. 6)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.actor_entropy and self.horizon < 2:
            raise UserError(f"option horizon must be at least 2 where actor_entropy is above 0, got {self.horizon}")


PROFILES: Mapping[str, Options] = with_joined(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, horizon=10),
        "quick": Options(**QUICK, **QUICK_ACTOR),
        "small": Options(**SMALL, **{**SMALL_ACTOR, "horizon": 15}),
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
    behavior = ActorOnly(
        policy=policy(options, context.action_space),
        horizon=options.horizon,
        undiscounted=options.undiscounted,
        entropy=options.actor_entropy,
        hidden=options.hidden,
        actor_layers=options.actor_layers,
        actor_optimizer=options.optimizer(options.actor_learning_rate),
    )
    return options.agent(context, behavior)
