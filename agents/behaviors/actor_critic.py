"""Dreamer's behaviour: an actor and a value learned in imagination, the value looking beyond the horizon.

Source: Hafner et al. 2020, algorithm 1 and eq. 6-8; spec §6, §7 (TF2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from agents.behaviors.api import Losses, Metrics, Noise, NoiseSpec, OptimizerSettings, Parts, Sizes
from agents.behaviors.returns import cumulative_discount, lambda_return
from agents.models.distributions import Policy, TanhNormal
from agents.models.networks import MLP, Scalar
from agents.models.objectives import LOG_SQRT_2PI
from agents.models.rssm import State
from agents.models.world_model import Observed
from dreamer_bench_base import UserError


@dataclass(frozen=True, kw_only=True)
class ActorCritic:
    """Settings with the paper's values; sources in agents/recipes/dreamer.py.

    entropy  weight of the actor's entropy in its loss: 0 in Dreamer, a term of DreamerV2 (Hafner et al. 2021, eq. 6)
    """

    policy: Policy = field(default_factory=TanhNormal)
    horizon: int = 15
    lambda_: float = 0.95
    entropy: float = 0.0
    hidden: int = 400
    actor_layers: int = 4
    value_layers: int = 3
    actor_optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=8e-5))
    value_optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=8e-5))
    repeats: int = 1
    decides_together: bool = False

    def __post_init__(self) -> None:
        if not self.entropy >= 0.0:
            raise UserError(f"the weight of the actor's entropy (actor_entropy) is at least 0, not {self.entropy}")
        if self.horizon < 2:
            raise UserError(f"Dreamer's horizon is at least 2 (the last imagined state only bootstraps), not {self.horizon}")

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        return {"actor": self.actor_optimizer, "value": self.value_optimizer}

    @property
    def targets(self) -> Mapping[str, tuple[str, float]]:
        return {}

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        return {
            "actor": MLP(sizes.features, self.policy.raw_size(sizes.action), layers=self.actor_layers, hidden=self.hidden),
            "value": Scalar(sizes.features, layers=self.value_layers, hidden=self.hidden),
        }

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        return (self.policy.explore_noise if explore else self.policy.evaluate_noise)(sizes.action, num_envs)

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        raw = parts.actor(parts.world_model.features(state))
        return self.policy.explore(raw, noise, gradient_steps) if explore else self.policy.evaluate(raw, noise)

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        starts = sizes.starts(length, sequences)
        return {
            "latent": sizes.latent.over(self.horizon, starts),
            "policy": self.policy.sample_noise(sizes.action).over(self.horizon, starts),
        }

    def losses(self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise) -> tuple[Losses, Metrics]:
        """
        start     s0 (posterior, detached)       left out
        imagined  s1   s2   …   s[H-1]   s[H]    r, d, v of each; v[H] only bootstraps
        returns   G1   G2   …   G[H-1]
        """
        model = parts.world_model
        dream = model.imagine(
            model.starts(observed.posterior),
            lambda features, draw: self.policy.sample(parts.actor(features.detach()), draw),
            noise["latent"],
            noise["policy"],
        )
        value = parts.value(dream.features)
        discount = model.discount(dream.features)
        returns = lambda_return(model.reward(dream.features), discount, value, self.lambda_)
        weight = cumulative_discount(discount).detach()
        actor_loss = -(weight * returns).mean()
        # The same forward pass serves both losses: the learner asks for this one's derivative in the value's weights only.
        value_loss = (weight * (0.5 * (value[:-1] - returns.detach()).square() + LOG_SQRT_2PI)).mean()
        if self.entropy:
            # Of the actions taken in s1..s[H-1], the states whose returns count.
            entropy = self.policy.entropy(parts.actor(dream.features[:-1].detach()), noise["policy"][1:])
            actor_loss = actor_loss - self.entropy * (weight * entropy).mean()
        metrics = {
            "actor_loss": actor_loss,
            "value_loss": value_loss,
            "imagined_return": returns.mean(),
            "imagined_value": value.mean(),
        }
        return {"actor": actor_loss, "value": value_loss}, {name: metric.detach() for name, metric in metrics.items()}
