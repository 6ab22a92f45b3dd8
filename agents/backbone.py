"""The options every recipe with a world model shares, and the objects they stand for.

A recipe's Options extend `Backbone` (flat fields, so that `--set name=value` reaches them), so all rows of the table hold the same model.
Defaults are those of the later official code, danijar/dreamer 56d4d44 ("TF2"); GR is google-research/dreamer d517542; § is spec/dreamer.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gymnasium import spaces

from agents.behaviors.api import OptimizerSettings
from agents.model_based import Schedule
from agents.models.latents import Gaussian
from agents.models.networks import Encoder, Scalar
from agents.models.objectives import FreeNats, Reconstruction
from agents.models.rssm import RSSM
from agents.models.world_model import WorldModel


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """World model, its optimiser, and the schedule of learning."""

    stoch: int = 30
    """Width of the stochastic state (§3, both codes and paper)."""
    deter: int = 200
    """Width of the deterministic state (§3)."""
    model_hidden: int = 200
    """Width of the layers around the GRU (§3)."""
    min_std: float = 0.1
    """Added to a latent's standard deviation (§3)."""
    depth: int = 32
    """Channels of the first convolution; the others are multiples (§2)."""
    hidden: int = 400
    """Width of dense layers; the paper says 300, both codes 400 (§12 row 1)."""
    reward_layers: int = 2
    """Hidden layers of the reward head; the paper says 3, both codes 2 (§12 row 1)."""
    discount_layers: int = 3
    """Hidden layers of the discount head (§2)."""

    discount: float = 0.99
    """γ (§7)."""
    predict_discount: bool = False
    """Learn when episodes end; on for Atari, off for control (§11)."""
    discount_scale: float = 10.0
    """Weight of that loss; TF2 10, GR 1 (§12 row 9)."""
    kl_scale: float = 1.0
    """Weight of the KL: 1 for control, 0.1 for discrete actions (§4)."""
    free_nats: float = 3.0
    """KL below this costs nothing (§4)."""
    free_nats_per_position: bool = False
    """Cut every position (GR) instead of the batch's mean (TF2) (§12 row 5)."""
    clip_rewards: bool = False
    """tanh on rewards before they are learned; Atari and DMLab (§11)."""

    model_learning_rate: float = 6e-4
    """Adam, world model (§8)."""
    clip_norm: float = 100.0
    """Largest gradient norm, per group and seed (§8)."""
    adam_epsilon: float = 1e-7
    """TF2 1e-7, GR 1e-4 (§12 row 7)."""

    batch_sequences: int = 50
    """Sequences in a batch (§9)."""
    batch_length: int = 50
    """Rows of a sequence (§9)."""
    prefill_env_steps: int = 5000
    """Random actions before learning, in env steps (§9; deviation: counted in steps, TF2 counts completed episodes)."""
    pretrain_updates: int = 100
    """Updates at the first call (§9)."""
    update_every_env_steps: int = 1000
    """Env steps between two calls (§9)."""
    updates: int = 100
    """Updates at a call (§9)."""
    balance_ends: bool = False
    """Draw the ends of episodes more often (§9)."""

    precision: str = "float32"
    """"float32" or "bfloat16" (deviation: TF2 computes in float16; §12 row 16)."""

    def optimizer(self, learning_rate: float) -> OptimizerSettings:
        return OptimizerSettings(learning_rate=learning_rate, clip_norm=self.clip_norm, epsilon=self.adam_epsilon)

    def schedule(self) -> Schedule:
        return Schedule(batch_sequences=self.batch_sequences, batch_length=self.batch_length,
                        prefill_env_steps=self.prefill_env_steps, pretrain_updates=self.pretrain_updates,
                        update_every_env_steps=self.update_every_env_steps, updates=self.updates,
                        clip_rewards=self.clip_rewards, balance_ends=self.balance_ends)

    def world_model(self, space: spaces.Dict) -> Callable[[int], WorldModel]:
        """Makes the model of one seed from the width of an action."""
        def build(action: int) -> WorldModel:
            encoder = Encoder(space, depth=self.depth, hidden=self.hidden)
            dynamics = RSSM(action=action, embed=encoder.size, latent=Gaussian(self.stoch, self.min_std), deter=self.deter,
                            hidden=self.model_hidden)
            features = dynamics.feature_size
            discount = Scalar(features, layers=self.discount_layers, hidden=self.hidden) if self.predict_discount else None
            return WorldModel(
                encoder=encoder, dynamics=dynamics, objective=Reconstruction(features, space, depth=self.depth, hidden=self.hidden),
                divergence=FreeNats(scale=self.kl_scale, free_nats=self.free_nats, per_position=self.free_nats_per_position),
                reward=Scalar(features, layers=self.reward_layers, hidden=self.hidden),
                discount=discount, gamma=self.discount, discount_scale=self.discount_scale)
        return build
