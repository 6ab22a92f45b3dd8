"""When an agent learns, and from how much of its replay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When to learn, and from how much. Source: docs/algorithms/dreamer.md §9 (TF2).

    prefill_env_steps       env steps of random actions before the first update, and at least one episode (TF2 counts completed
                            episodes, which is the same on DeepMind Control)
    pretrain_updates        updates of the first training call
    update_every_env_steps  env steps between two training calls, each of `updates` updates
    replay_capacity         most rows that replay keeps, all environments together; None keeps all
    skip_short_episodes     draw no sequence from an episode of `batch_length` rows or fewer
    model_first             update the model before the behaviour learns from it
    """

    batch_sequences: int
    batch_length: int
    prefill_env_steps: int
    pretrain_updates: int
    update_every_env_steps: int
    updates: int
    clip_rewards: bool
    balance_ends: bool
    replay_capacity: int | None
    skip_short_episodes: bool
    model_first: bool
