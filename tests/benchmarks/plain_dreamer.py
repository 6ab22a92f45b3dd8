"""The yardstick of docs/log.md: Dreamer's update written the plain way in PyTorch, for one seed.

The same equations and sizes as agents.recipes.dreamer (docs/algorithms/dreamer.md §2-§8), with the modules at hand: nn.Conv2d,
nn.GRUCell, nn.ConvTranspose2d, torch.distributions, torch.optim.Adam. The encoder stands outside the loop over time; no other
care is taken. tests/agents/recipes/test_plain_dreamer.py holds it equal to the agent's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import softplus

GAMMA, LAMBDA, FREE_NATS, CLIP = 0.99, 0.95, 3.0, 100.0


def mlp(inputs: int, outputs: int, layers: int, hidden: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for i in range(layers):
        modules += [nn.Linear(inputs if i == 0 else hidden, hidden), nn.ELU()]
    return nn.Sequential(*modules, nn.Linear(hidden, outputs))


class PlainDreamer:
    """`update(image [T, B, 3, 64, 64] in [-0.5, 0.5], action [T, B, A], reward [T, B])` is one update; returns its losses."""

    def __init__(
        self,
        action: int,
        *,
        stoch: int = 30,
        deter: int = 200,
        hidden: int = 200,
        units: int = 400,
        depth: int = 32,
        horizon: int = 15,
    ):
        self.horizon, self.stoch, self.deter, self.action = horizon, stoch, deter, action
        d, features = depth, stoch + deter
        self.encoder = nn.Sequential(
            nn.Conv2d(3, d, 4, 2),
            nn.ReLU(),
            nn.Conv2d(d, 2 * d, 4, 2),
            nn.ReLU(),
            nn.Conv2d(2 * d, 4 * d, 4, 2),
            nn.ReLU(),
            nn.Conv2d(4 * d, 8 * d, 4, 2),
            nn.ReLU(),
        )
        self.dense = nn.Linear(features, 32 * d)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(32 * d, 4 * d, 5, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * d, 2 * d, 5, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * d, d, 6, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(d, 3, 6, 2),
        )
        self.input = nn.Linear(stoch + action, hidden)
        self.cell = nn.GRUCell(hidden, deter)
        self.prior = nn.Sequential(nn.Linear(deter, hidden), nn.ELU(), nn.Linear(hidden, 2 * stoch))
        self.posterior = nn.Sequential(nn.Linear(deter + 32 * d, hidden), nn.ELU(), nn.Linear(hidden, 2 * stoch))
        self.reward = mlp(features, 1, 2, units)
        self.actor = mlp(features, 2 * action, 4, units)
        self.value = mlp(features, 1, 3, units)
        self.model = nn.ModuleList(
            [self.encoder, self.dense, self.decoder, self.input, self.cell, self.prior, self.posterior, self.reward]
        )
        self.model_optimizer = torch.optim.Adam(self.model.parameters(), 6e-4, eps=1e-7)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), 8e-5, eps=1e-7)
        self.value_optimizer = torch.optim.Adam(self.value.parameters(), 8e-5, eps=1e-7)

    def advance(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        return self.cell(nn.functional.elu(self.input(torch.cat([stoch, action], -1))), deter)

    @staticmethod
    def latent(raw: Tensor) -> Normal:
        mean, std = raw.chunk(2, -1)
        return Normal(mean, softplus(std) + 0.1)

    def policy(self, features: Tensor, noise: Tensor) -> Tensor:
        mean, std = self.actor(features).chunk(2, -1)
        return torch.tanh(5 * torch.tanh(mean / 5) + (softplus(std + 4.99324) + 1e-4) * noise)

    def losses(self, image: Tensor, action: Tensor, reward: Tensor, noise: dict[str, Tensor]) -> dict[str, Tensor]:
        """noise: latent [T, B, Z], dream_latent [H, T·B, Z], dream_policy [H, T·B, A]."""
        length, batch = reward.shape
        embed = self.encoder(image.flatten(0, 1)).view(length, batch, -1)
        deter, stoch = torch.zeros(batch, self.deter), torch.zeros(batch, self.stoch)
        deters, stochs, divergences = [], [], []
        for t in range(length):
            deter = self.advance(deter, stoch, action[t])
            prior = self.latent(self.prior(deter))
            posterior = self.latent(self.posterior(torch.cat([deter, embed[t]], -1)))
            stoch = posterior.mean + posterior.stddev * noise["latent"][t]
            divergences.append(kl_divergence(posterior, prior).sum(-1))
            deters.append(deter)
            stochs.append(stoch)
        deter, stoch = torch.stack(deters), torch.stack(stochs)
        features = torch.cat([stoch, deter], -1)
        mean = self.decoder(self.dense(features.flatten(0, 1))[..., None, None]).view_as(image)
        image_loss = -Independent(Normal(mean, 1.0), 3).log_prob(image).mean()
        reward_loss = -Normal(self.reward(features).squeeze(-1), 1.0).log_prob(reward).mean()
        model_loss = torch.clamp(torch.stack(divergences).mean(), min=FREE_NATS) + image_loss + reward_loss

        deter, stoch = deter.detach().flatten(0, 1), stoch.detach().flatten(0, 1)
        dreamt = []
        for k in range(self.horizon):
            chosen = self.policy(torch.cat([stoch, deter], -1).detach(), noise["dream_policy"][k])
            deter = self.advance(deter, stoch, chosen)
            prior = self.latent(self.prior(deter))
            stoch = prior.mean + prior.stddev * noise["dream_latent"][k]
            dreamt.append(torch.cat([stoch, deter], -1))
        imagined = torch.stack(dreamt)
        rewards, values = self.reward(imagined).squeeze(-1), self.value(imagined).squeeze(-1)
        following, returns = values[-1], []
        for k in reversed(range(self.horizon - 1)):
            following = rewards[k] + GAMMA * ((1 - LAMBDA) * values[k + 1] + LAMBDA * following)
            returns.insert(0, following)
        target = torch.stack(returns)
        weight = (GAMMA ** torch.arange(self.horizon - 1, dtype=torch.float32))[:, None]
        actor_loss = -(weight * target).mean()
        estimate = Normal(self.value(imagined.detach()[:-1]).squeeze(-1), 1.0)
        value_loss = -(weight * estimate.log_prob(target.detach())).mean()
        return {"model_loss": model_loss, "actor_loss": actor_loss, "value_loss": value_loss}

    def update(self, image: Tensor, action: Tensor, reward: Tensor) -> dict[str, Tensor]:
        length, batch = reward.shape
        noise = {
            "latent": torch.randn(length, batch, self.stoch),
            "dream_latent": torch.randn(self.horizon, length * batch, self.stoch),
            "dream_policy": torch.randn(self.horizon, length * batch, self.action),
        }
        losses = self.losses(image, action, reward, noise)
        steps = (
            ("model_loss", self.model, self.model_optimizer),
            ("actor_loss", self.actor, self.actor_optimizer),
            ("value_loss", self.value, self.value_optimizer),
        )
        found = [torch.autograd.grad(losses[name], list(module.parameters()), retain_graph=True) for name, module, _ in steps]
        for (_, module, optimizer), gradients in zip(steps, found):
            for parameter, gradient in zip(module.parameters(), gradients):
                parameter.grad = gradient
            nn.utils.clip_grad_norm_(module.parameters(), CLIP)
            optimizer.step()
        return losses
