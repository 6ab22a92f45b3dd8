"""No value: the actor learns only from imagined rewards up to the horizon. An ablation of Hafner et al. 2020, eq. 4.

Everything except the behaviour is Dreamer's. Source of the defaults: google-research/dreamer with `value_head: False`;
docs/algorithms/ablations.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from agents.api import AgentContext
from agents.behaviors.actor_only import ActorOnly
from agents.learning import model_based
from agents.recipes import backbone
from agents.recipes.dreaming import Dreaming
from agents.recipes.profiles import DISCRETE, QUICK, QUICK_ACTOR, SMALL, SMALL_ACTOR, with_derived
from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(Dreaming):
    """Dreamer's settings without those of the value network."""

    horizon: Annotated[int, AtLeast(1)] = 15
    """Imagined steps, whose rewards all count: 15, 20 in appendix D, 10 for discrete actions (§2)."""
    undiscounted: bool = False
    """Maximise plain sums, as the paper prints (eq. 4), instead of the original code's discounted sums (§2)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.actor_entropy and self.horizon < 2:
            raise UserError(f"option horizon must be at least 2 where actor_entropy is above 0, got {self.horizon}")


PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": Options(),
        "discrete": Options(**DISCRETE, horizon=10),
        "quick": Options(**QUICK, **QUICK_ACTOR),
        "small": Options(**SMALL, **{**SMALL_ACTOR, "horizon": 15}),
    }
)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    behavior = ActorOnly(
        policy=options.policy(context.action_space),
        horizon=options.horizon,
        undiscounted=options.undiscounted,
        entropy=options.actor_entropy,
        hidden=options.hidden,
        actor_layers=options.actor_layers,
        actor_optimizer=options.optimizer(options.actor_learning_rate),
    )
    return options.agent(context, behavior)
