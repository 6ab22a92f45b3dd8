"""The options that all recipes with a world model share, and the objects that these options stand for.

The Options of a recipe extend `Backbone`, so all arms have the same model. Fields are flat so that `--set name=value` can set
them. Defaults are those of the later official code, danijar/dreamer 56d4d44 ("TF2"); GR is google-research/dreamer d517542.
Sections are those of docs/algorithms/dreamer.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from torch import nn

from agents.api import AgentContext
from agents.behaviors.api import Behavior, OptimizerSettings
from agents.behaviors.exploration import EpsilonGreedy
from agents.learning import model_based, playable
from agents.learning.model_based import PRECISIONS
from agents.learning.schedule import Schedule
from agents.models.categorical_latent import BalancedKL
from agents.models.images import FEATURE_MAPS
from agents.models.networks import Encoder, Scalar, shape
from agents.models.objectives import Divergence, FreeNats
from agents.models.overshooting import GlobalPrior, Overshooting
from agents.models.reduced_bits import ReducedBitsEncoder, ReducedBitsObjective
from agents.models.world_model import WorldModel, everything, stopped
from agents.recipes import variants
from dreamer_bench_base import UserError
from dreamer_bench_options import Above, AtLeast, Below, Between, CheckedOptions, OneOf


@dataclass(frozen=True, kw_only=True)
class Backbone(CheckedOptions):
    """World model, its optimiser, and the schedule of learning."""

    stoch: Annotated[int, AtLeast(1)] = 30
    """Width of the stochastic state (§3; the same in the paper and both programs)."""
    deter: Annotated[int, AtLeast(1)] = 200
    """Width of the deterministic state (§3)."""
    model_hidden: Annotated[int, AtLeast(1)] = 200
    """Width of the layers around the GRU (§3)."""
    min_std: Annotated[float, Above(0)] = 0.1
    """Added to a latent's standard deviation (§3)."""
    depth: Annotated[int, AtLeast(1)] = 32
    """Channels of the first convolution; the others are multiples (§2)."""
    hidden: Annotated[int, AtLeast(1)] = 400
    """Width of dense layers; the paper says 300, both programs have 400 (§12 row 1)."""
    reward_layers: Annotated[int, AtLeast(0)] = 2
    """Hidden layers of the reward head; the paper says 3, both programs have 2 (§12 row 1)."""
    discount_layers: Annotated[int, AtLeast(0)] = 3
    """Hidden layers of the discount head (§2)."""

    discount: Annotated[float, Between(0, 1)] = 0.99
    """Discount γ per decision (§7)."""
    predict_discount: bool = False
    """Train a head that predicts the discount, and so when episodes terminate; on for Atari, off for control (§11)."""
    discount_scale: Annotated[float, AtLeast(0)] = 10.0
    """Weight of the discount head's loss; TF2 10, GR 1 (§12 row 9)."""
    kl_scale: Annotated[float, AtLeast(0)] = 1.0
    """Weight of the KL: 1 for control, 0.1 for discrete actions (§4)."""
    free_nats: Annotated[float, AtLeast(0)] = 3.0
    """A KL below this many nats costs nothing (§4)."""
    free_nats_per_position: bool = False
    """Apply free nats at every position (GR) instead of on the mean over the batch (TF2) (§12 row 5)."""
    clip_rewards: bool = False
    """Learn tanh of the rewards; on for Atari and DMLab (§11)."""

    model_learning_rate: Annotated[float, Above(0)] = 6e-4
    """Learning rate of Adam for the world model (§8)."""
    clip_norm: Annotated[float, Above(0, "a large number such as 1e9 clips nothing")] = 100.0
    """Largest gradient norm, per group and seed (§8)."""
    adam_epsilon: Annotated[float, Above(0)] = 1e-7
    """Epsilon of Adam; TF2 1e-7, GR 1e-4 (§12 row 7), DreamerV2 1e-5."""
    weight_decay: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Fraction by which an update shrinks every parameter, independent of the learning rate; DreamerV2 1e-6."""
    model_first: bool = False
    """Train the behaviour with the model after its update (DreamerV2) instead of the model before it (§8)."""

    batch_sequences: Annotated[int, AtLeast(1)] = 50
    """Sequences in a batch (§9)."""
    batch_length: Annotated[int, AtLeast(2)] = 50
    """Rows of a sequence (§9)."""
    prefill_env_steps: Annotated[int, AtLeast(0)] = 5000
    """Env steps of random actions before learning begins (§9; deviation: TF2 counts completed episodes instead)."""
    pretrain_updates: Annotated[int, AtLeast(0)] = 100
    """Updates of the first training call (§9)."""
    update_every_env_steps: Annotated[int, AtLeast(1)] = 1000
    """Env steps between two training calls (§9)."""
    updates: Annotated[int, AtLeast(1)] = 100
    """Updates of every later training call (§9)."""
    balance_ends: bool = False
    """Draw the ends of episodes more often (§9)."""
    start_every: Annotated[int, AtLeast(1)] = 1
    """Rows of a sequence per dream that starts there; 1: at every row (§6). Dreams are most of the cost of a small update."""

    replay_capacity: Annotated[int, AtLeast(0)] = 0
    """Rows that replay keeps before it drops the oldest episodes; DreamerV2 2e6; 0 keeps all (§9)."""
    skip_short_episodes: bool = False
    """Skip episodes of batch_length rows or fewer (DreamerV2); else a sequence runs on into the next episode (§12 row 22)."""

    epsilon_end: Annotated[float, Between(0, 1)] = 0.1
    """Last ε of ε-greedy exploration of discrete actions; the first is 0.4 (§9). SAC and DreamerV2 sample instead."""
    epsilon_updates: Annotated[int, AtLeast(1)] = 200_000
    """Updates over which ε falls linearly (§9)."""

    representation: Annotated[str, OneOf(variants.REPRESENTATIONS)] = "reconstruction"
    """What trains the features: reconstruction, contrastive, contrastive_images or reward_only (agents/recipes/variants.py)."""
    dynamics: Annotated[str, OneOf(variants.DYNAMICS)] = "rssm"
    """rssm, deterministic, stochastic or categorical; in the last, `stoch` is the number of categoricals (dreamer_v2.md §4)."""
    latent_classes: Annotated[int, AtLeast(2)] = 32
    """Classes of each categorical, for categorical dynamics (dreamer_v2.md §4)."""
    kl_balance: Annotated[float, Between(0, 1)] = 0.0
    """Share of the KL's gradient that trains the prior; DreamerV2 0.8. 0: the ordinary KL with all of it to both sides."""
    overshooting_distance: Annotated[int, AtLeast(0)] = 0
    """Rows that latent overshooting predicts ahead; 0: off; PlaNet's first release 49 (docs/algorithms/planet.md §6)."""
    global_prior_scale: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the KL to a standard normal; PlaNet's first release 0.1 (docs/algorithms/planet.md §6)."""
    reward_scale: Annotated[float, AtLeast(0)] = 1.0
    """Weight of the reward's loss; PlaNet's code 10 (§4)."""
    reward_gradients: bool = True
    """Let the reward's loss train the features, not only the reward head; off in an ablation of DreamerV2."""
    activation: Annotated[str, OneOf(variants.ACTIVATIONS)] = "elu"
    """Activation of the dense layers of dynamics and heads: elu, or relu as in PlaNet."""
    image_activation: Annotated[str, OneOf(variants.ACTIVATIONS)] = "relu"
    """Activation of the convolutions: relu (§2), or elu as in DreamerV2."""
    cell: Annotated[str, OneOf(variants.CELLS)] = "keras"
    """Recurrent unit of the dynamics: keras (§3), or layer_norm as in DreamerV2."""
    shared_latent_noise: bool = False
    """Share one draw of latent noise per step among a whole batch, and among all dreams, as TF2 does (§12 row 20)."""
    latent_std: Annotated[str, OneOf(variants.DEVIATIONS)] = "softplus"
    """Standard deviation of a Gaussian latent: softplus (§3), or double_sigmoid as in DreamerV2's code."""
    image_bits: Annotated[int, Between(1, 8)] = 8
    """Bits per colour channel of the images that the model sees; PlaNet 5."""

    precision: Annotated[str, OneOf(PRECISIONS)] = "float32"
    """"float32" or "bfloat16" (deviation: TF2 computes in float16; §12 row 16)."""

    compile: bool = False
    """Compile the losses with torch.compile: updates are faster after minutes of compiling, and equal within rounding."""
    capture: bool = True
    """On a GPU, replay each update and each decision as one CUDA graph. Has no effect without a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.replay_capacity and not self.skip_short_episodes:
            raise UserError(
                "option replay_capacity needs skip_short_episodes: a short episode may outlive the rows after it; set both"
            )
        if self.replay_capacity and self.replay_capacity <= self.batch_length:
            raise UserError(f"option replay_capacity must be 0 or above batch_length, got {self.replay_capacity}")
        if self.start_every >= self.batch_length:
            raise UserError(
                f"option start_every must be below batch_length ({self.batch_length}), got {self.start_every}: "
                "no row is left to imagine from"
            )
        if self.global_prior_scale and self.dynamics == "categorical":
            raise UserError("option global_prior_scale needs a Gaussian latent, but dynamics is 'categorical'; set one back")

    def optimizer(self, learning_rate: float) -> OptimizerSettings:
        return OptimizerSettings(
            learning_rate=learning_rate, clip_norm=self.clip_norm, epsilon=self.adam_epsilon, weight_decay=self.weight_decay
        )

    def epsilon_greedy(self) -> EpsilonGreedy:
        return EpsilonGreedy(end=self.epsilon_end, gradient_steps=self.epsilon_updates)

    def execution(self) -> dict[str, Any]:
        """How the networks are computed: arguments of `ModelBasedAgent` besides the parts."""
        return {"precision": self.precision, "compile": self.compile, "capture": self.capture}

    def agent(self, context: AgentContext, behavior: Behavior, **more: Any) -> model_based.ModelBasedAgent:
        """The agent with these options and a behaviour; `more` goes to `ModelBasedAgent`."""
        return model_based.ModelBasedAgent(
            context=context,
            world_model=self.world_model(context.observation_space),
            model_optimizer=self.optimizer(self.model_learning_rate),
            behavior=behavior,
            schedule=self.schedule(),
            update_bytes=self.update_bytes(context.observation_space),
            **self.execution(),
            **more,
        )

    def schedule(self) -> Schedule:
        return Schedule(
            batch_sequences=self.batch_sequences,
            batch_length=self.batch_length,
            prefill_env_steps=self.prefill_env_steps,
            pretrain_updates=self.pretrain_updates,
            update_every_env_steps=self.update_every_env_steps,
            updates=self.updates,
            clip_rewards=self.clip_rewards,
            balance_ends=self.balance_ends,
            replay_capacity=self.replay_capacity or None,
            skip_short_episodes=self.skip_short_episodes,
            model_first=self.model_first,
        )

    def update_bytes(self, space: spaces.Dict) -> int:
        """Memory of an update of one seed on a CPU, in bytes: the feature maps of encoder and decoder, nearly all of it.

        Measured on PlaNet in batches of 50x50 and 25x50 at depths 16 and 32: 2.3 to 2.5 times the feature maps alone.
        """
        if "image" not in space.spaces:
            return 0
        floats = FEATURE_MAPS * self.depth + int(np.prod(shape(space["image"])))
        return int(2.3 * 4 * floats) * self.batch_sequences * self.batch_length

    def world_model(self, space: spaces.Dict) -> Callable[[int], WorldModel]:
        """A function that makes the model of one seed from the width of an action."""
        variant, activation = variants.DYNAMICS[self.dynamics], variants.ACTIVATIONS[self.activation]
        represent, seen_through = variants.REPRESENTATIONS[self.representation], variants.ACTIVATIONS[self.image_activation]

        def build(action: int) -> WorldModel:
            seeing = Encoder(space, depth=self.depth, hidden=self.hidden, activation=seen_through)
            latent = variant.latent(self.stoch, self.latent_classes, self.min_std, variants.DEVIATIONS[self.latent_std])
            latent.noise = latent.noise._replace(shared=self.shared_latent_noise)
            dynamics = variant.cls(
                action=action,
                embed=seeing.size,
                latent=latent,
                deter=self.deter,
                hidden=self.model_hidden,
                activation=activation,
                cell=variants.CELLS[self.cell],
            )
            features = dynamics.feature_size
            objective = represent(features, seeing.size, space, depth=self.depth, hidden=self.hidden, activation=seen_through)
            encoder: nn.Module = seeing
            if self.image_bits < 8:
                encoder = ReducedBitsEncoder(seeing, seeing.size, self.image_bits)
                objective = ReducedBitsObjective(objective, self.image_bits)
            discount = None
            if self.predict_discount:
                discount = Scalar(features, layers=self.discount_layers, hidden=self.hidden, activation=activation)
            return WorldModel(
                encoder=encoder,
                dynamics=dynamics,
                objective=objective,
                divergence=self.divergence(),
                reward=Scalar(features, layers=self.reward_layers, hidden=self.hidden, activation=activation),
                discount=discount,
                gamma=self.discount,
                discount_scale=self.discount_scale,
                reward_scale=self.reward_scale,
                reward_sees=everything if self.reward_gradients else stopped,
                start_every=self.start_every,
            )

        return build

    def divergence(self) -> Divergence:
        scale = self.kl_scale * variants.DYNAMICS[self.dynamics].kl
        divergence: Divergence = FreeNats(scale=scale, free_nats=self.free_nats, per_position=self.free_nats_per_position)
        if self.kl_balance:
            divergence = BalancedKL(
                scale=scale, balance=self.kl_balance, free_nats=self.free_nats, per_position=self.free_nats_per_position
            )
        if self.overshooting_distance:
            divergence = Overshooting(base=divergence, distance=self.overshooting_distance)
        if self.global_prior_scale:
            divergence = GlobalPrior(base=divergence, scale=self.global_prior_scale)
        return divergence


def refuses(options: Any, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
    """What every recipe with this model refuses under all options; a member of `agents.api.Recipe`."""
    return playable.refuses(observation_space, action_space)
