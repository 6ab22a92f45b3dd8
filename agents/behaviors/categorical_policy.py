"""The policy of discrete actions, an `agents.models.distributions.Policy` for Dreamer and for the actor without a value."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from agents.behaviors.api import Noise, NoiseSpec
from agents.behaviors.exploration import EpsilonGreedy, Exploration
from agents.models.categorical import argmax_onehot, draw_onehot, straight_through


@dataclass(frozen=True, kw_only=True)
class CategoricalPolicy:
    """One-hot actions with straight-through gradients; an ε-greedy sample in training, greedy in evaluation.

    Source: Hafner et al. 2020, section 3 and appendix A; docs/algorithms/dreamer.md §5, §9.
    DreamerV2 explores with the sample alone: `AsActed()`.
    """

    exploration: Exploration = field(default_factory=EpsilonGreedy)

    def raw_size(self, action: int) -> int:
        return action

    def sample_noise(self, action: int) -> NoiseSpec:
        return NoiseSpec("uniform", (action,))

    def sample(self, raw: Tensor, draw: Tensor) -> Tensor:
        """A one-hot action [..., A] for logits `raw`, with the gradient of the probabilities."""
        return straight_through(raw, draw)

    def entropy(self, raw: Tensor, draw: Tensor) -> Tensor:
        """Entropy [...] in closed form, in nats; `draw` is not used."""
        log_probability = raw.log_softmax(-1)
        return -(log_probability.exp() * log_probability).sum(-1)

    def log_prob(self, raw: Tensor, action: Tensor) -> Tensor:
        """log p(action) [...]. The action is a constant: with gradient through it, the score function would count twice."""
        return (action.detach() * raw.log_softmax(-1)).sum(-1)

    def explore_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {"policy": NoiseSpec("uniform", (num_envs, action)), **self.exploration.noise(action, num_envs)}

    def explore(self, raw: Tensor, noise: Noise, gradient_steps: Tensor) -> Tensor:
        return self.exploration.explore(draw_onehot(raw, noise["policy"]), noise, gradient_steps)

    def evaluate_noise(self, action: int, num_envs: int) -> dict[str, NoiseSpec]:
        return {}

    def evaluate(self, raw: Tensor, noise: Noise) -> Tensor:
        return argmax_onehot(raw)
