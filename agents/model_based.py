"""An agent made of a world model, a behaviour and a replay: the only border between numpy and torch, and the only file that names a device.

Every recipe of this package ends in `ModelBasedAgent(...)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agents.api import AgentContext
from agents.behaviors.api import Behavior, OptimizerSettings
from agents.models.world_model import WorldModel


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When to learn and from how much. Units in the names; source: spec §8, §9 (TF2)."""

    batch_sequences: int = 50
    batch_length: int = 50
    prefill_env_steps: int = 5000
    pretrain_updates: int = 100
    update_every_env_steps: int = 1000
    updates: int = 100
    clip_rewards: str = "none"          # "none" | "tanh"
    balance_episode_ends: bool = False


class ModelBasedAgent:
    """World model + behaviour + replay behind agents.api.Agent.

    world_model  builds the one-seed model (called with no argument; parameters are initialised by the learner, per seed)
    """

    def __init__(self, *, context: AgentContext, world_model: Callable[[], WorldModel], model_optimizer: OptimizerSettings,
                 behavior: Behavior, schedule: Schedule, precision: str = "float32"):
        raise AssertionError("being written")
