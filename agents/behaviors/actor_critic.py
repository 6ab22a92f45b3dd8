"""The behaviour of Dreamer and DreamerV2: an actor and a value learned in imagination. The value accounts for rewards beyond
the horizon.

Source: Hafner et al. 2020, algorithm 1 and eq. 6-8; docs/algorithms/dreamer.md §6, §7 (TF2).
DreamerV2 (Hafner et al. 2021) passes in other objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from agents.behaviors import imagined_actor
from agents.behaviors.api import Losses, Metrics, Noise, NoiseSpec, OptimizerSettings, Parts, Sizes, SlowCopy
from agents.behaviors.over_time import Weight, at
from agents.behaviors.policy_gradients import Bootstrap, Dynamics, LiveValue, PolicyGradient
from agents.behaviors.returns import cumulative_discount, lambda_return
from agents.behaviors.scored_states import AfterStart, ScoredStates
from agents.models.distributions import Policy, TanhNormal
from agents.models.networks import Scalar
from agents.models.objectives import LOG_SQRT_2PI
from agents.models.rssm import State
from agents.models.world_model import Observed


@dataclass(frozen=True, kw_only=True)
class ActorCritic:
    """Settings with the values of Hafner et al. 2020. The recipes have their sources, and DreamerV2's values.

    horizon    scored states H of a dream, the last of which only bootstraps
    scored     which states of a dream are scored
    gradient   how the actor learns from returns
    bootstrap  the network whose values the returns use
    entropy    weight of the actor's entropy in its loss: 0 in Dreamer, a term of DreamerV2 (Hafner et al. 2021, eq. 6)
    """

    policy: Policy = field(default_factory=TanhNormal)
    horizon: int = 15
    lambda_: float = 0.95
    entropy: Weight = 0.0
    scored: ScoredStates = field(default_factory=AfterStart)
    gradient: PolicyGradient = field(default_factory=Dynamics)
    bootstrap: Bootstrap = field(default_factory=LiveValue)
    hidden: int = 400
    actor_layers: int = 4
    value_layers: int = 3
    actor_optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=8e-5))
    value_optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=8e-5))
    repeats: int = 1
    decides_together: bool = False

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        return {"actor": self.actor_optimizer, "value": self.value_optimizer}

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        return self.bootstrap.targets

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        return {
            "actor": imagined_actor.network(self.policy, sizes, layers=self.actor_layers, hidden=self.hidden),
            "value": Scalar(sizes.features, layers=self.value_layers, hidden=self.hidden),
        }

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        return imagined_actor.act_noise(self.policy, sizes, num_envs, explore=explore)

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        return imagined_actor.act(self.policy, parts, state, noise, gradient_steps, explore=explore)

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        steps, starts = self.scored.steps(self.horizon), self.scored.count(sizes, length, sequences)
        return imagined_actor.dream_noise(self.policy, sizes, steps=steps, starts=starts)

    def losses(
        self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise, gradient_steps: Tensor
    ) -> tuple[Losses, Metrics]:
        """
        scored    s1   s2   …   s[H-1]   s[H]    r, d, v of each; v[H] only bootstraps
        returns   G1   G2   …   G[H-1]
        actions   a1   a2   …   a[H-1]           chosen in the state above
        """
        model, scored = parts.world_model, self.scored
        start = scored.starts(model, observed, batch)
        with nullcontext() if self.gradient.through_dream else torch.no_grad():
            dream = imagined_actor.dream(self.policy, parts, start, noise)
            features = scored.features(model, start, dream)
            bootstrap = self.bootstrap.values(parts, features)
            discount = scored.discount(model, model.discount(features), batch)
            returns = lambda_return(model.reward(features), discount, bootstrap, self.lambda_)
        value = self.bootstrap.learned(parts, features, bootstrap if self.gradient.through_dream else None)
        weight = cumulative_discount(discount).detach()
        raw = parts.actor(features[:-1].detach()) if self.gradient.by_score or self.entropy else torch.empty(0)
        objective = self.gradient.objective(
            returns, lambda: self.policy.log_prob(raw, scored.decisions(dream.action)), value, bootstrap, gradient_steps
        )
        decided = len(objective)
        actor_loss = -(weight[:decided] * objective).mean()
        value_loss = (weight * (0.5 * (value[:-1] - returns.detach()).square() + LOG_SQRT_2PI)).mean()
        metrics = {"imagined_return": returns.mean(), "imagined_value": value.mean()}
        if self.entropy:
            # Entropy in the states whose returns are in the loss.
            entropy = self.policy.entropy(raw, scored.decisions(noise["policy"]))[:decided]
            actor_loss = actor_loss - at(self.entropy, gradient_steps) * (weight[:decided] * entropy).mean()
            metrics["policy_entropy"] = entropy.mean()
        metrics |= {"actor_loss": actor_loss, "value_loss": value_loss}
        return {"actor": actor_loss, "value": value_loss}, {name: metric.detach() for name, metric in metrics.items()}
