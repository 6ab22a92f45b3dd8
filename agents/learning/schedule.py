"""When an agent learns, and from how much of its replay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When to learn, and from how much. Source: docs/algorithms/dreamer.md §9 (TF2).

    prefill_env_steps       of random actions before the first update; counted in steps, and at least one episode (TF2 counts
                            completed episodes: the same on DMC)
    pretrain_updates        at the first call
    update_every_env_steps  and then `updates` at once
    replay_capacity         rows that replay keeps at most, all environments together; None keeps all
    skip_short_episodes     no sequence begins in an episode of `batch_length` rows or fewer
    model_first             the model descends before the behaviour learns from it
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
