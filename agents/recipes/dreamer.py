"""Dreamer: an actor and a value learned in the imagination of the world model. Hafner et al. 2020.

Defaults and sources are as in agents/recipes/backbone.py: TF2 is danijar/dreamer 56d4d44. Sections are those of
docs/algorithms/dreamer.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from agents.api import AgentContext
from agents.behaviors.actor_critic import ActorCritic
from agents.learning import model_based
from agents.recipes import backbone
from agents.recipes.dreaming import Dreaming
from agents.recipes.profiles import DISCRETE, QUICK, QUICK_ACTOR, SMALL, SMALL_ACTOR, with_derived
from dreamer_bench_options import Above, AtLeast, Between


@dataclass(frozen=True, kw_only=True)
class Options(Dreaming):
    """The paper's agent for control from pixels."""

    lambda_: Annotated[float, Between(0, 1)] = 0.95
    """λ of the returns (§7)."""
    value_layers: Annotated[int, AtLeast(0)] = 3
    """Hidden layers of the value network (§2)."""
    value_learning_rate: Annotated[float, Above(0)] = 8e-5
    """Learning rate of Adam for the value network (§8)."""


PAPER = Options()
QUICK_OPTIONS = Options(**QUICK, **QUICK_ACTOR, value_learning_rate=1e-3)

PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": PAPER,
        "discrete": Options(**DISCRETE, horizon=10),
        "quick": QUICK_OPTIONS,
        "small": Options(**SMALL, **SMALL_ACTOR, value_learning_rate=1e-3),
    }
)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    behavior = ActorCritic(
        policy=options.policy(context.action_space),
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
