"""PlaNet's ablations of the RSSM: without the stochastic path, and without the deterministic path.

Source: Hafner et al. 2019 (PlaNet), figure 4 and google-research/planet; docs/algorithms/planet.md §5.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from agents.models.latents import Gaussian, Latent, NoiseSpec
from agents.models.rssm import State, rollout_by_steps


class MeanOnly:
    """Deterministic only: the RSSM's latent is its mean, in prior and posterior, and is not sampled.

    Use it with a KL of weight 0. The bottleneck of `size` numbers stays, as in the original's `mean_only`.
    """

    def __init__(self, size: int = 30, min_std: float = 0.1):
        self.gaussian = Gaussian(size, min_std)
        self.size, self.raw_size = size, self.gaussian.raw_size
        self.noise = NoiseSpec("normal", (0,))

    def statistics(self, raw: Tensor) -> dict[str, Tensor]:
        return self.gaussian.statistics(raw)

    def sample(self, statistics: dict[str, Tensor], noise: Tensor) -> Tensor:
        return statistics["mean"]

    def heated(self, statistics: dict[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """Unchanged, because nothing is sampled."""
        return statistics

    def divergence(self, posterior: dict[str, Tensor], prior: dict[str, Tensor]) -> Tensor:
        return self.gaussian.divergence(posterior, prior)

    def initial(self, *leading: int, like: Tensor | None = None) -> dict[str, Tensor]:
        return self.gaussian.initial(*leading, like=like)


class StochasticOnly(nn.Module):
    """Stochastic only (SSM): no recurrent path; all memory passes through samples of a Gaussian.

    prior      z' ~ latent(linear(ELU(linear([z, a]))))
    posterior  z' ~ latent(linear(ELU(linear([prior mean, prior std, embed]))))
    features   z alone
    """

    def __init__(
        self,
        *,
        action: int,
        embed: int,
        latent: Latent,
        deter: int = 0,
        hidden: int = 200,
        activation: Callable[[Tensor], Tensor] = elu,
        cell: Callable[[int, int], nn.Module] | None = None,
    ):
        super().__init__()  # no recurrent unit, so `cell` is not used
        self.activation = activation
        self.latent, self.feature_size = latent, latent.size
        self.prior_hidden, self.prior_statistics = nn.Linear(latent.size + action, hidden), nn.Linear(hidden, latent.raw_size)
        self.posterior_hidden = nn.Linear(2 * latent.size + embed, hidden)
        self.posterior_statistics = nn.Linear(hidden, latent.raw_size)

    def initial(self, *leading: int, like: Tensor | None = None) -> State:
        return self.latent.initial(*leading, like=like)

    def features(self, state: State) -> Tensor:
        return state["stoch"]

    def divergence(self, posterior: State, prior: State) -> Tensor:
        return self.latent.divergence(posterior, prior)

    def step(self, state: State, action: Tensor, noise: Tensor) -> State:
        return self._draw(self._prior(state["stoch"], action), noise)

    def rollout(self, state: State, actions: Tensor, noise: Tensor) -> Tensor:
        with torch.no_grad():
            return rollout_by_steps(self, state, actions, noise)

    def dream(
        self, state: State, actor: nn.Module, sample: Callable[..., Tensor], latent_noise: Tensor, policy_noise: Tensor
    ) -> None:
        return None

    def filter(self, state: State, action: Tensor, embed: Tensor, is_first: Tensor, noise: Tensor) -> State:
        keep = (1.0 - is_first).unsqueeze(-1)
        return self._draw(self._posterior(self._prior(state["stoch"] * keep, action * keep), embed), noise)

    def observe(self, embed: Tensor, action: Tensor, is_first: Tensor, noise: Tensor) -> tuple[State, State]:
        keep = (1.0 - is_first).unsqueeze(-1)
        stoch = self.initial(embed.shape[1], like=embed)["stoch"]
        posteriors, priors = [], []
        for embed_t, action_t, keep_t, noise_t in zip(embed.unbind(), (action * keep).unbind(), keep.unbind(), noise.unbind()):
            priors.append(self._prior(stoch * keep_t, action_t))
            posteriors.append(self._draw(self._posterior(priors[-1], embed_t), noise_t))
            stoch = posteriors[-1]["stoch"]
        return _stacked(posteriors), _stacked(priors)

    def _prior(self, stoch: Tensor, action: Tensor) -> State:
        hidden = self.activation(self.prior_hidden(torch.cat([stoch, action], -1)))
        return self.latent.statistics(self.prior_statistics(hidden))

    def _posterior(self, prior: State, embed: Tensor) -> State:
        hidden = self.activation(self.posterior_hidden(torch.cat([prior["mean"], prior["std"], embed], -1)))
        return self.latent.statistics(self.posterior_statistics(hidden))

    def _draw(self, statistics: State, noise: Tensor) -> State:
        return {"stoch": self.latent.sample(statistics, noise), **statistics}


def _stacked(states: list[State]) -> State:
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}
