"""An actor learned from imagined rewards alone: Dreamer without its value network ("no value").

Source: Hafner et al. 2020, eq. 4 (plain sums) and google-research/dreamer without a value head (discounted sums).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from agents.behaviors import imagined_actor
from agents.behaviors.api import Losses, Metrics, Noise, NoiseSpec, OptimizerSettings, Parts, Sizes, SlowCopy
from agents.models.distributions import Policy, TanhNormal
from agents.models.rssm import State
from agents.models.world_model import Observed


def rewards_to_go(reward: Tensor, discount: Tensor) -> Tensor:
    """Sum of the imagined rewards from every state to the horizon.

    reward    [H, N]  reward predicted in state t
    discount  [H, N]  γ · P(episode continues after t); ones give the paper's plain sum
    returns   [H, N]  G[t] = r[t] + d[t] G[t+1],  G[H] = 0

    All H rewards count, because no state is needed to bootstrap. Source: docs/algorithms/ablations.md §2.
    """
    total = torch.zeros_like(reward[0])
    sums = []
    for here, onward in zip(reward.flip(0), discount.flip(0)):
        total = here + onward * total
        sums.append(total)
    return torch.stack(sums[::-1])


@dataclass(frozen=True, kw_only=True)
class ActorOnly:
    """Settings with the values of the original code, whose mean over states has no discount weights.

    undiscounted  take plain sums, as the paper prints (eq. 4); the original code discounts
    entropy       weight of the actor's entropy in its loss: 0 in the original, a term of DreamerV2 (as in actor_critic.py)
    """

    policy: Policy = field(default_factory=TanhNormal)
    horizon: int = 15
    undiscounted: bool = False
    entropy: float = 0.0
    hidden: int = 400
    actor_layers: int = 4
    actor_optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=8e-5))
    repeats: int = 1
    decides_together: bool = False

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        return {"actor": self.actor_optimizer}

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        return {}

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        return {"actor": imagined_actor.network(self.policy, sizes, layers=self.actor_layers, hidden=self.hidden)}

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]:
        return imagined_actor.act_noise(self.policy, sizes, num_envs, explore=explore)

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        return imagined_actor.act(self.policy, parts, state, noise, gradient_steps, explore=explore)

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        return imagined_actor.dream_noise(self.policy, sizes, steps=self.horizon, starts=sizes.starts(length, sequences))

    def losses(
        self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise, gradient_steps: Tensor
    ) -> tuple[Losses, Metrics]:
        """The actor maximises the mean of G over all imagined states and the batch. Its input carries no gradient.

        Source: docs/algorithms/dreamer.md §6 and ablations.md §2.
        """
        model = parts.world_model
        dream = imagined_actor.dream(self.policy, parts, model.starts(observed.posterior, batch["is_terminal"]), noise)
        reward = model.reward(dream.features)
        discount = torch.ones_like(reward) if self.undiscounted else model.discount(dream.features)
        loss = -rewards_to_go(reward, discount).mean()
        if self.entropy:
            entropy = self.policy.entropy(parts.actor(dream.features[:-1].detach()), noise["policy"][1:])
            loss = loss - self.entropy * entropy.mean()
        return {"actor": loss}, {"actor_loss": loss.detach(), "imagined_reward": reward.mean().detach()}
