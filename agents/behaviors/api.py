"""What a behaviour is: a way to act with a world model, and to learn from one.

A behaviour is written for ONE seed and uses only the methods of the world model. It draws no random numbers: it declares the
noise that it needs and gets it. It never freezes parameters of others, because the learner differentiates each loss only with
respect to its own group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    """Sizes that decide the shapes of networks and noise.

    features      width of `world_model.features(state)`
    action        width of an action: A numbers in [-1, 1], or A one-hot choices
    discrete      the action is one-hot
    latent        noise of ONE latent sample, e.g. NoiseSpec("normal", (30,)); `.over(H, N)` adds leading axes
    has_discount  the world model predicts termination
    start_every   rows of a batch per dream that starts there
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
    """Adam with TensorFlow's epsilon placement, and clipping by the global norm of the group, for each seed.

    weight_decay  fraction by which a step shrinks every parameter before Adam's own change, independent of the learning rate

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
        """The fraction after this many behaviour updates: a tensor if it depends on them, so that a CUDA graph can hold it."""
        if self.every == 1:
            return self.fraction
        return self.fraction * (torch.remainder(descents - 1.0, self.every) == 0.0)


class Parts(nn.Module):
    """All networks of one seed: `world_model`, the behaviour's networks by group name, and slow copies by their own name.

    `parts.world_model`, `parts.actor`, ... Calling it runs a function of the parts: `parts(fn, *args)` is `fn(parts, *args)`,
    so whoever sets the parameters of this module to those of all seeds lifts any such function over the seed axis.
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
    """A way to act with one world model and to learn from it. It holds settings, never tensors."""

    @property
    def repeats(self) -> int:
        """Behaviour updates per model update; the first one uses the model from before its update."""

    @property
    def decides_together(self) -> bool:
        """True: decide for all seeds in one batch on every device, as a planner needs. False: in the way that is faster."""

    @property
    def optimizers(self) -> Mapping[str, OptimizerSettings]:
        """Group name -> settings; the keys are those of `networks`."""

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        """Name of a slow copy -> the group that it follows, and how."""

    def networks(self, sizes: Sizes) -> dict[str, nn.Module]:
        """New networks by group name; {} if nothing is learned. Their names are attributes of `Parts`."""

    def act_noise(self, sizes: Sizes, num_envs: int, *, explore: bool) -> dict[str, NoiseSpec]: ...

    def act(self, parts: Parts, state: State, noise: Noise, gradient_steps: Tensor, *, explore: bool) -> Tensor:
        """Actions [E, A] for posterior states with leading axis [E]: numbers in [-1, 1] or one-hot.

        gradient_steps  scalar float tensor: model updates so far (for schedules of exploration)
        explore         True in training, False in evaluation; a Python bool, so each becomes its own CUDA graph
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


@dataclass(frozen=True, kw_only=True)
class WithoutLosses:
    """The members of a behaviour that no gradient trains: it only plans, or a search finds its weights."""

    repeats: int = 1
    decides_together: bool = True
    optimizers: Mapping[str, OptimizerSettings] = field(default_factory=dict)
    targets: Mapping[str, SlowCopy] = field(default_factory=dict)

    def loss_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        return {}

    def losses(
        self, parts: Parts, observed: Observed, batch: Mapping[str, Tensor], noise: Noise, gradient_steps: Tensor
    ) -> tuple[Losses, Metrics]:
        return {}, {}


class Searched(Behavior, Protocol):
    """A behaviour with a group whose weights a search finds, without gradients (agents/learning/evolution.py)."""

    @property
    def searched(self) -> str:
        """The name of the group, which is not in `optimizers`."""

    def fitness_noise(self, sizes: Sizes, length: int, sequences: int) -> dict[str, NoiseSpec]:
        """Noise of ONE generation on a batch [T=length, B=sequences]; every candidate gets the same noise."""

    def fitness(self, parts: Parts, batch: Mapping[str, Tensor], candidates: Mapping[str, Tensor], noise: Noise) -> Tensor:
        """The fitness that the search maximises, [K] float32.

        candidates  the group's parameters by name, each [K, ...] instead of its own shape
        """
