"""Every arm trains under the small protocols: their tasks, kinds of action and profile, at a budget of a few updates."""

from dataclasses import fields, replace

import numpy as np
import pytest
from probe_runs import PROBE, request

from agents.catalog import find
from agents.recipes.backbone import Backbone
from protocols import catalog, joined
from protocols.records.store import find_runs
from protocols.running.launch import run_cohort
from protocols.small import SMALL_1

ARMS = ("dreamer", "dreamer_v2", "no_value", "planet", "sac", "world_models")
SHARED = {
    "stoch": 3, "deter": 6, "model_hidden": 6, "hidden": 6, "batch_sequences": 2, "batch_length": 6, "start_every": 2,
    "prefill_env_steps": 40, "pretrain_updates": 2, "update_every_env_steps": 20, "updates": 1,
}  # fmt: skip
OWN = {
    "dreamer": {"horizon": 3},
    "dreamer_v2": {"horizon": 3, "latent_classes": 4, "slow_value_every": 2},
    "no_value": {"horizon": 3},
    "planet": {"planner_horizon": 2, "planner_iterations": 2, "planner_candidates": 8, "planner_elites": 2},
    "sac": {},
    "world_models": {"search_population": 6, "search_starts": 2, "search_horizon": 3, "search_generations": 1},
}
SHORT = {"env_steps": 100, "evaluate_every_env_steps": 50, "evaluate_episodes": 2, "final_episodes": 2, "seeds": (0,)}
PARTS = ("probe_count", "probe_one_step")
TWO = "joined:two-probes"


def trained(root, monkeypatch, protocol, arm, task):
    """The one run, trained with tiny networks."""
    monkeypatch.setattr(catalog, "BUILT_IN", (protocol,))
    run_cohort(request(root, protocol=protocol, agent=arm, task=task, seeds=(0,), overrides={**SHARED, **OWN[arm]}))
    (run,) = find_runs(root)
    return run


def learned(run):
    """Whether updates were made, and every number in the records is finite."""
    lines = run.metrics()
    numbers = [value for line in lines for value in line.values() if isinstance(value, float)]
    return run.result()["status"] == "complete" and lines[-1]["gradient_steps"] >= 4 and bool(np.isfinite(numbers).all())


@pytest.mark.parametrize("task", SMALL_1.tasks)
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains_on_the_tasks_of_small(arm, task, tmp_path, monkeypatch):
    protocol = replace(SMALL_1, id="small-tiny@1", time_limit_env_steps=30, task_options={}, action_repeat=2, **SHORT)
    assert learned(trained(tmp_path, monkeypatch, protocol, arm, task))


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_plays_joined_tasks(arm, tmp_path, monkeypatch):
    protocol = replace(
        PROBE, id="joined-tiny@1", tasks=(TWO,), joined={TWO: tuple(f"{part}*1" for part in PARTS)}, task_options={},
        suite_options={"observation": "state"}, action_repeat=1, time_limit_env_steps=12, num_envs=1,
        score_rule=SMALL_1.score_rule, agent_profile="small-joined", **SHORT,
    )  # fmt: skip
    run = trained(tmp_path, monkeypatch, protocol, arm, TWO)
    assert learned(run)
    assert tuple(run.result()["task_scores"]) == PARTS


DIFFERENT = {
    "sac": set(),
    "planet": set(),
    "no_value": set(),
    "world_models": set(),
    "dreamer_v2": {
        *("dynamics", "latent_classes", "cell", "image_activation", "reward_layers", "discount_layers", "kl_balance"),
        *("discount_scale", "adam_epsilon", "weight_decay", "model_first"),
    },
}
"""Settings of the world model in which an arm of the profile `small` is not Dreamer: DreamerV2 is another model."""


@pytest.mark.parametrize(("arm", "different"), DIFFERENT.items())
@pytest.mark.parametrize("profile", ["small", "small-joined"])
def test_the_small_profile_is_one_world_model_and_one_replay_for_every_arm(arm, different, profile):
    first, other = find("dreamer").options(profile), find(arm).options(profile)
    assert {f.name for f in fields(Backbone) if getattr(first, f.name) != getattr(other, f.name)} == different


def test_the_arms_are_those_that_the_small_protocols_offer():
    offered = {*catalog.rows(SMALL_1), *catalog.rows(joined.JOINED_SMALL_1)} - {"random"}
    assert offered <= set(ARMS)
