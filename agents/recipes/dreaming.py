"""Options of the arms whose actor learns in imagination as Dreamer's does, and the policy that these options stand for.

Sections are those of docs/algorithms/dreamer.md. DreamerV2 has its own settings with their own sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gymnasium import spaces

from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.models.distributions import Policy, TanhNormal
from agents.recipes.backbone import Backbone
from dreamer_bench_options import Above, AtLeast


@dataclass(frozen=True, kw_only=True)
class Dreaming(Backbone):
    """An actor that learns in the imagination of the world model."""

    horizon: Annotated[int, AtLeast(2)] = 15
    """Imagined steps: 15 for control, 10 for discrete actions (§6), 20 in the paper's appendix D."""
    actor_layers: Annotated[int, AtLeast(0)] = 4
    """Hidden layers of the actor; the paper says 3, both programs have 4 (§12 row 1)."""
    actor_learning_rate: Annotated[float, Above(0)] = 8e-5
    """Learning rate of Adam for the actor (§8)."""
    exploration: Annotated[float, AtLeast(0)] = 0.3
    """Standard deviation of the noise added to continuous training actions (§9)."""
    init_std: Annotated[float, Above(0)] = 5.0
    """Standard deviation of an untrained actor before tanh (§5)."""
    actor_entropy: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the actor's entropy in its loss: 0 in both programs (§7); the term is from DreamerV2 (dreamer_v2.md §6)."""

    def policy(self, action_space: spaces.Space) -> Policy:
        """The policy for an action space: categorical or tanh-normal."""
        if isinstance(action_space, spaces.Discrete):
            return CategoricalPolicy(exploration=self.epsilon_greedy())
        return TanhNormal(exploration=self.exploration, init_std=self.init_std)
