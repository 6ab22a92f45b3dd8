"""Sizes and settings of the backbone that every arm shares in a profile: fields of `agents.recipes.backbone.Backbone`.

Settings that only one behaviour has are in its recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

SIZES: Mapping[str, Any] = {"stoch": 16, "deter": 64, "model_hidden": 64, "depth": 8, "hidden": 64}
"""A network for CPU cores; ours."""

QUICK: Mapping[str, Any] = {
    **SIZES,
    "batch_sequences": 8,
    "batch_length": 8,
    "model_learning_rate": 2e-3,
    "prefill_env_steps": 2000,
    "update_every_env_steps": 100,
    "updates": 16,
    "free_nats": 1.0,
    "reward_scale": 10.0,
    "discount": 0.97,
}
"""The same code at a size for two CPU cores: every number is ours, chosen for time and not from the paper."""

QUICK_ACTOR: Mapping[str, Any] = {"horizon": 10, "actor_learning_rate": 5e-4, "init_std": 1.0, "actor_entropy": 0.1}
"""The actor of both arms that learn one in imagination. Without the entropy it saturates within the first updates, while the
model is still poor, at one constant action, and its gradient with it (norms of 0.001 to 0.04): most seeds then stayed at the
score of random actions."""

SMALL: Mapping[str, Any] = {
    **SIZES,
    "batch_sequences": 16,
    "batch_length": 16,
    "start_every": 4,
    "model_learning_rate": 2e-3,
    "prefill_env_steps": 400,
    "pretrain_updates": 50,
    "update_every_env_steps": 50,
    "updates": 16,
    "kl_scale": 0.1,
    "free_nats": 0.5,
    "reward_scale": 10.0,
    "discount": 0.98,
    "predict_discount": True,
    "epsilon_end": 0.02,
    "epsilon_updates": 600,
}
"""From state, 82 rows of replay per env_step (the paper: 250, `QUICK`: 10). A vector of a few numbers of unit size has little
to gain from being encoded against a likelihood of unit variance, so the KL weighs a tenth: as if that variance were a tenth.
ε of discrete choices falls within the run's first quarter: at the 0.4 of a long run, training never nears the edges of
CartPole's track, and the greedy actions of evaluation drift over them."""

SMALL_ACTOR: Mapping[str, Any] = {"horizon": 10, "actor_learning_rate": 1e-3, "init_std": 1.0, "actor_entropy": 0.3}
"""The actor of both arms that learn one in imagination. At an entropy of 0.01, three of fifteen runs of Dreamer on Pendulum
saturated within the first updates and stayed there (`QUICK_ACTOR`; a gradient norm of 0.000); at 0.3 none of ten did. Acrobot
bounds it: a reward of -1 a step must stay worth avoiding, and the entropy of three choices is up to 1.1."""

DISCRETE: Mapping[str, Any] = {"kl_scale": 0.1, "clip_rewards": True, "predict_discount": True, "balance_ends": True}
"""Discrete control (Hafner et al. 2020, appendix A; docs/algorithms/dreamer.md §11): Atari and DMLab."""

JOINED: Mapping[str, Any] = {"prefill_env_steps": 9_375, "update_every_env_steps": 1_875, "updates": 600}
"""PlaNet's six tasks in one: five random episodes of each, then 600 updates after every round of 1,875 decisions
(google-research/planet; docs/algorithms/planet.md §7)."""

SMALL_JOINED: Mapping[str, Any] = {"prefill_env_steps": 1_200, "pretrain_updates": 150}
"""Three small tasks in one: as many random actions and first updates per task as `SMALL` has."""

QUICK_PIXELS: Mapping[str, Any] = {"update_every_env_steps": 400}
"""A quarter of the updates of `QUICK`: `quick@2` shows the way from pixels to a score and ranks on the task from state."""

Options = TypeVar("Options")


def with_derived(profiles: Mapping[str, Options]) -> dict[str, Options]:
    """The profiles of a recipe, and those that differ from one of them by the same options in every recipe."""
    added = {
        "joined": ("paper", JOINED),
        "small-joined": ("small", SMALL_JOINED),
        "quick-pixels": ("quick", QUICK_PIXELS),
    }
    found = {name: replace(profiles[base], **changes) for name, (base, changes) in added.items() if base in profiles}  # type: ignore[type-var]
    return {**profiles, **found}
