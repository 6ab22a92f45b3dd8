"""What a behaviour is: a way to act with a world model, and what it learns from one.

A behaviour is written for ONE seed and sees the world model's verbs only. It draws no random number: it says which noise it
needs, and gets it. It never protects someone else's parameters: the learner differentiates each loss in its own group alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from agents.models.latents import NoiseSpec
from agents.models.rssm import State
from agents.models.world_model import Observed, WorldModel

Noise = Mapping[str, Tensor]
Losses = dict[str, Tensor]
Metrics = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What networks and noise are shaped by.

    features      width of `world_model.features(state)`
    action        width of an action: A numbers in [-1, 1], or A one-hot choices
    discrete      the action is one-hot
    latent        noise of ONE latent draw, e.g. NoiseSpec("normal", (30,)); `.over(H, N)` adds leading axes
    has_discount  the world model predicts termination
    start_every   rows of a batch per row that is imagined from
    """

    features: int
    action: int
    discrete: bool
    latent: NoiseSpec
    has_discount: bool = False
    start_every: int = 1

    def starts(self, length: int, sequences: int) -> int:
        """Number of states in `world_model.starts(...)` of a batch [length, sequences]."""
        return (length - 1 if self.has_discount else length) // self.start_every * sequences


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Adam with TensorFlow's epsilon placement, and clipping by the global norm of the group, per seed.

    weight_decay  share of every parameter that a step takes away before Adam's own change, whatever the learning rate

    Source: docs/algorithms/dreamer.md §8 (TF2): epsilon 1e-7, clip 100, betas (0.9, 0.999), no weight decay; DreamerV2 1e-6.
    """

    learning_rate: float
    clip_norm: float = 100.0
    epsilon: float = 1e-7
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SlowCopy:
    """Weights that follow a group: copy += fraction · (source - copy) after behaviour updates 1, 1 + every, 1 + 2 every, …"""

    source: str
    fraction: float = 1.0
    every: int = 1

    def step(self, descents: Tensor) -> Tensor | float:
        """How far to go after so many behaviour updates; a tensor where it depends on them, so that a graph may hold it."""
        if self.every == 1:
            return self.fraction
        return self.fraction * (torch.remainder(descents - 1.0, self.every) == 0.0)


class Parts(nn.Module):
    """All networks of one seed: `world_model`, the behaviour's networks by group name, and slow copies by their own name.

    `parts.world_model`, `parts.actor`, ... Calling it runs a function of the parts: `parts(fn, *args)` is `fn(parts, *args)`,
    so that one `functional_call` on this root lifts any such function over the seed axis.
    """

    world_model: WorldModel

    def __init__(self, world_model: WorldModel, networks: Mapping[str, nn.Module]):
        super().__init__()
        self.world_model = world_model
        for name, network in networks.items():
            self.add_module(name, network)

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(self, *args)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Behavior(Protocol):
    """Acting with, and learning from, one world model. It holds settings, never tensors."""

    @property
    def repeats(self) -> int:
        """Behaviour updates per model update; the first shares the model's weights from before the update."""

    @property
    def decides_together(self) -> bool:
        """Every device decides for all seeds in one batch, as a planner's candidates ask for; else as is faster."""

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        """Group name -> settings; the keys are those of `networks`."""

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        """Name of a slow copy -> whom it follows, and how."""

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        """Fresh networks by group name; {} where nothing is learned. Their names are attributes of `Parts`."""

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]: ...

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        """Actions [E, A] for posterior states with leading axis [E]: numbers in [-1, 1] or one-hot.

        gradient_steps  scalar float tensor: model updates so far (for schedules of exploration)
        explore         True while training, False while evaluating; static, two functions
        """

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """Noise of ONE behaviour update on a batch [T=length, B=sequences]."""

    def losses(
        self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise, gradient_steps: Tensor
    ) -> tuple[Losses, Metrics]:
        """One scalar loss per group, and scalar metrics.

        observed        the posterior of the batch, already detached: leading axes [T, B]
        batch           [T, B, ...] in the arrival convention: "action" (one-hot if discrete), "reward", "is_first",
                        "is_terminal", all float32, and the observation's own keys
        gradient_steps  scalar float tensor: model updates so far (for weights that change over time)
        """


class Searched(Behavior, Protocol):
    """A behaviour with a group that a search finds and no gradient changes (agents/learning/evolution.py)."""

    @property
    def searched(self) -> str:
        """The group's name; `optimizers` lacks it."""

    def fitness_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """Noise of ONE generation on a batch [T=length, B=sequences]: every candidate gets the same."""

    def fitness(self, parts: Parts, batch: Mapping[str, Tensor], candidates: Mapping[str, Tensor], noise: Noise) -> Tensor:
        """What the search makes large, [K] float32.

        candidates  the group's parameters by name, each [K, ...] instead of its own shape
        """
