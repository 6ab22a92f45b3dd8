"""Names of steps and returns in the logs of training programs, in the order of preference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from analysis.scores.import_options import Unit

STEPS: Mapping[str, Unit | None] = {
    "env_step": "env_steps",
    "env_steps": "env_steps",
    "frame": "frames",
    "frames": "frames",
    "OriginalEnvironmentSteps": "env_steps",
    "agent_step": "agent_steps",
    "agent_steps": "agent_steps",
    "step": None,
    "steps": None,
    "global_step": None,
    "time/total_timesteps": None,  # stable-baselines3
    "total_timesteps": None,
    "timesteps": None,
    "num_env_steps_sampled_lifetime": None,  # RLlib, new and old
    "num_env_steps_sampled": None,
    "timesteps_total": None,
    "TotalEnvInteracts": None,  # Spinning Up
    "total_env_steps": None,
    "steps_done": None,
    "Step": None,
    "_step": None,  # wandb
}
"""Step column -> the unit that its name implies; None if it implies none."""

SCORES = (
    "eval_return",  # Dreamer and DreamerV2
    "eval/return",
    "eval_episode/score",  # DreamerV3
    "eval/episode_reward",  # DrQ, TD-MPC
    "eval/episode_return",
    "eval/mean_reward",  # stable-baselines3
    "evaluation/env_runners/episode_return_mean",  # RLlib
    "evaluation/sampler_results/episode_reward_mean",
    "evaluation/episode_reward_mean",
    "test/return",
    "AverageTestEpRet",  # Spinning Up
    "env_runners/episode_return_mean",
    "sampler_results/episode_reward_mean",
    "episode_reward_mean",
    "rollout/ep_rew_mean",
    "charts/episodic_return",  # CleanRL
    "episode/score",
    "train_return",
    "train/return",
    "train/episode_reward",
    "AverageEpRet",
    "episode_reward",
    "episode_return",
    "episodic_return",
    "reward",
    "return",
    "score",
)
"""Names of returns, those of evaluations before those of training episodes."""

METHODS = ("method", "agent", "Agent", "algo", "algorithm")
TASKS = ("task", "env", "env_id", "environment")


def first(known: Iterable[str], there: Iterable[str]) -> str | None:
    """The first known name that is in `there`; None if there is none."""
    have = set(there)
    return next((name for name in known if name in have), None)
