"""SAC on the world model: a soft actor-critic reads the posterior's features and learns from the real rewards in replay.

The Dreamer paper has no SAC run, so this arm is our own design (docs/algorithms/sac.md §2). World model, batches, replay and
model updates are Dreamer's. SAC treats the features as constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.soft_actor_critic import ContinuousControl, Control, DiscreteControl, SoftActorCritic
from agents.learning import model_based
from agents.recipes import backbone
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import DISCRETE, QUICK, SMALL, with_derived
from dreamer_bench_base import UserError
from dreamer_bench_options import Above, AtLeast, Between, OneOf

UPDATE_RATIOS: Mapping[str, tuple[int, int]] = {"typical": (5, 512), "matched": (1, 0)}
"""Name -> (updates per model update, transitions per update; 0: the whole batch).

typical  about one update per decision at action repeat 2, as in model-free SAC
matched  one update per model update, as many as Dreamer's actor gets
"""


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """Settings of SAC; sources in docs/algorithms/sac.md §2, §3."""

    update_ratio: Annotated[str, OneOf(UPDATE_RATIOS)] = "typical"
    """typical: 5 updates per model update on 512 transitions each; matched: 1 update on the whole batch (§2)."""
    burn_in: Annotated[int, AtLeast(0)] = 5
    """First rows of every sequence to leave out; the zero state before a sequence makes their features poor (§2)."""
    sac_layers: Annotated[int, AtLeast(0)] = 2
    """Hidden layers of actor and critics, as wide as the other heads (§3)."""
    sac_learning_rate: Annotated[float, Above(0)] = 3e-4
    """Learning rate of Adam for actor, critics and temperature (§3, SLAC)."""
    tau: Annotated[float, Between(0, 1)] = 0.005
    """Share by which the slow critics approach the critics after every update (§3, SLAC)."""
    initial_alpha: Annotated[float, Above(0)] = 0.1
    """Initial temperature (§3, pytorch_sac)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_length < self.burn_in + 2:
            raise UserError(
                f"option batch_length must be at least burn_in + 2 ({self.burn_in + 2}) for a transition to remain, "
                f"got {self.batch_length}"
            )


PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": Options(),
        "matched": Options(update_ratio="matched"),
        "discrete": Options(**DISCRETE),
        "quick": Options(**QUICK, burn_in=2, sac_learning_rate=1e-3, tau=0.02, update_ratio="matched"),
        "small": Options(**SMALL, burn_in=2, sac_learning_rate=1e-3, tau=0.02, update_ratio="matched"),
    }
)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    repeats, transitions = UPDATE_RATIOS[options.update_ratio]
    control: Control = DiscreteControl() if isinstance(context.action_space, spaces.Discrete) else ContinuousControl()
    behavior = SoftActorCritic(
        control=control,
        gamma=options.discount,
        tau=options.tau,
        initial_alpha=options.initial_alpha,
        hidden=options.hidden,
        layers=options.sac_layers,
        repeats=repeats,
        transitions=transitions,
        burn_in=options.burn_in,
        optimizer=options.optimizer(options.sac_learning_rate),
    )
    return options.agent(context, behavior)
