"""Latent dynamics: the contract, and the recurrent state-space model.

Written for one seed. A state is a dict of tensors with any leading axes: "deter", "stoch" (flat) and the statistics of the
latent ("mean", "std" of a Gaussian). Source: Hafner et al. 2019 (PlaNet) fig. 2; docs/algorithms/dreamer.md §3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, linear, softplus

from agents.models import recurrence
from agents.models.grouped import over_groups, prior_rollout, usable
from agents.models.latents import Gaussian, Latent
from agents.models.networks import GRU, MLP

State = dict[str, Tensor]


class Dynamics(Protocol):
    """Every implementation is an nn.Module built as `Variant(action=A, embed=E, latent=Latent, deter=…, hidden=…)`."""

    feature_size: int
    latent: Latent

    def initial(self, *leading: int, like: Tensor | None = None) -> State: ...

    def filter(self, state: State, action: Tensor, embed: Tensor, is_first: Tensor, noise: Tensor) -> State:
        """One posterior step for [E, ...]. State and action become 0 where is_first (float 0/1 [E])."""

    def step(self, state: State, action: Tensor, noise: Tensor) -> State:
        """One prior step for [N, ...]."""

    def observe(self, embed: Tensor, action: Tensor, is_first: Tensor, noise: Tensor) -> tuple[State, State]:
        """(posterior, prior) of a sequence: embed [T, B, E], action [T, B, A], is_first [T, B] float, noise [T, B, ...]."""

    def rollout(self, state: State, actions: Tensor, noise: Tensor) -> Tensor:
        """Features [H, N, F] of H prior steps from [N, ...] under actions [H, N, A]; noise [H, N, ...]. Without gradient."""

    def dream(
        self, state: State, actor: MLP, sample: Callable[[Tensor, Tensor], Tensor], latent_noise: Tensor, policy_noise: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Features [H, N, F] and actions [H, N, A] of a dream with actions sample(actor(features), noise).

        The actor's input carries no gradient; its output does. None if there is no fast way; the caller then takes steps.
        """

    def features(self, state: State) -> Tensor:
        """cat(stoch, deter) [..., F]."""

    def divergence(self, posterior: State, prior: State) -> Tensor:
        """KL(posterior || prior) [...], summed over the latent's dimensions."""


def rollout_by_steps(dynamics: Dynamics, state: State, actions: Tensor, noise: Tensor) -> Tensor:
    """`Dynamics.rollout`, step by step."""
    visited = []
    for action, draw in zip(actions.unbind(), noise.unbind()):
        state = dynamics.step(state, action, draw)
        visited.append(dynamics.features(state))
    return torch.stack(visited)


class RSSM(nn.Module):
    """Deterministic path (GRU) and stochastic latent.

        x  = ELU(W [z, a])        h' = GRU(x, h)
        prior     z' ~ latent(linear(ELU(linear(h'))))
        posterior z' ~ latent(linear(ELU(linear([h', embed]))))

    In `observe`, the prior has statistics but no sample ("stoch" is absent).
    cell  makes the recurrent unit from (inputs, units)
    """

    def __init__(
        self,
        *,
        action: int,
        embed: int,
        latent: Latent,
        deter: int = 200,
        hidden: int = 200,
        activation: Callable[[Tensor], Tensor] = elu,
        cell: Callable[[int, int], nn.Module] = GRU,
    ):
        super().__init__()
        self.activation = activation
        self.latent, self.deter_size, self.feature_size = latent, deter, latent.size + deter
        self.input = nn.Linear(latent.size + action, hidden)
        self.gru = cell(hidden, deter)
        self.prior_hidden, self.prior_statistics = nn.Linear(deter, hidden), nn.Linear(hidden, latent.raw_size)
        self.posterior_hidden, self.posterior_statistics = nn.Linear(deter + embed, hidden), nn.Linear(hidden, latent.raw_size)

    def initial(self, *leading: int, like: Tensor | None = None) -> State:
        deter = torch.zeros(*leading, self.deter_size, device=None if like is None else like.device)
        return {"deter": deter, **self.latent.initial(*leading, like=like)}

    def features(self, state: State) -> Tensor:
        return torch.cat([state["stoch"], state["deter"]], -1)

    def divergence(self, posterior: State, prior: State) -> Tensor:
        return self.latent.divergence(posterior, prior)

    def filter(self, state: State, action: Tensor, embed: Tensor, is_first: Tensor, noise: Tensor) -> State:
        keep = (1.0 - is_first).unsqueeze(-1)
        deter = self._advance(state["stoch"] * keep, state["deter"] * keep, action * keep)
        raw = self.posterior_statistics(self.activation(self.posterior_hidden(torch.cat([deter, embed], -1))))
        return self._state(deter, raw, noise)

    def step(self, state: State, action: Tensor, noise: Tensor) -> State:
        deter = self._advance(state["stoch"], state["deter"], action)
        return self._state(deter, self.prior_statistics(self.activation(self.prior_hidden(deter))), noise)

    def rollout(self, state: State, actions: Tensor, noise: Tensor) -> Tensor:
        with torch.no_grad():
            if not (isinstance(self.gru, GRU) and usable(actions)):
                return rollout_by_steps(self, state, actions, noise)
            function = partial(prior_rollout, self.latent, self.activation)
            return over_groups(function, state["deter"], state["stoch"], actions, noise, *self._prior_parameters())

    def dream(
        self, state: State, actor: MLP, sample: Callable[[Tensor, Tensor], Tensor], latent_noise: Tensor, policy_noise: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        latent = self._usual_latent
        if latent is None or not usable(latent_noise):
            return None
        function = partial(recurrence.dream, self.activation, latent.min_std, actor.activation, sample)
        latent_noise = latent_noise.expand(-1, len(state["deter"]), -1)
        inputs = (state["deter"], state["stoch"], latent_noise, policy_noise)
        return over_groups(function, *inputs, *self._prior_parameters(), *actor.parameters())

    @property
    def _usual_latent(self) -> Gaussian | None:
        """The latent if agents/models/recurrence.py has this recurrence (Keras cell, Gaussian with softplus), else None."""
        if isinstance(self.gru, GRU) and isinstance(self.latent, Gaussian) and self.latent.deviation is softplus:
            return self.latent
        return None

    def _posterior_parameters(self) -> list[Tensor]:
        return [*self.posterior_hidden.parameters(), *self.posterior_statistics.parameters()]

    def _prior_parameters(self) -> list[Tensor]:
        modules = (self.input, self.gru, self.prior_hidden, self.prior_statistics)
        return [parameter for module in modules for parameter in module.parameters()]

    def observe(self, embed: Tensor, action: Tensor, is_first: Tensor, noise: Tensor) -> tuple[State, State]:
        """The loop over time has only what depends on the state: inputs are projected before it, priors computed after it."""
        keep = (1.0 - is_first).unsqueeze(-1)
        latent = self._usual_latent
        if latent is not None and usable(embed):
            function = partial(recurrence.posterior, self.activation, latent.min_std)
            inputs = (action, embed, keep, noise.expand(*embed.shape[:2], *noise.shape[2:]))
            *found, raw = over_groups(function, *inputs, *self._prior_parameters(), *self._posterior_parameters())
            state = dict(zip(("deter", "stoch", "mean", "std"), found))
            return state, {"deter": state["deter"], **self.latent.statistics(raw)}
        stoch_weight, action_weight = self.input.weight.split([self.latent.size, action.shape[-1]], 1)
        deter_weight, embed_weight = self.posterior_hidden.weight.split([self.deter_size, embed.shape[-1]], 1)
        action_part = linear(action * keep, action_weight, self.input.bias)
        embed_part = linear(embed, embed_weight, self.posterior_hidden.bias)

        state = self.initial(embed.shape[1], like=embed)
        deter, stoch = state["deter"], state["stoch"]
        states = []
        for action_t, embed_t, keep_t, noise_t in zip(action_part.unbind(), embed_part.unbind(), keep.unbind(), noise.unbind()):
            hidden = self.activation(action_t + linear(stoch * keep_t, stoch_weight))
            deter = self.gru(hidden, deter * keep_t)
            raw = self.posterior_statistics(self.activation(embed_t + linear(deter, deter_weight)))
            states.append(self._state(deter, raw, noise_t))
            stoch = states[-1]["stoch"]
        posterior = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        deter = posterior["deter"]
        prior = {"deter": deter, **self.latent.statistics(self.prior_statistics(self.activation(self.prior_hidden(deter))))}
        return posterior, prior

    def _advance(self, stoch: Tensor, deter: Tensor, action: Tensor) -> Tensor:
        return self.gru(self.activation(self.input(torch.cat([stoch, action], -1))), deter)

    def _state(self, deter: Tensor, raw: Tensor, noise: Tensor) -> State:
        statistics = self.latent.statistics(raw)
        return {"deter": deter, "stoch": self.latent.sample(statistics, noise), **statistics}
