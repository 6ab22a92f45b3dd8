from dataclasses import replace

import pytest
from probe_runs import PROBE

from protocols.cadence import cadence_of, episode_seed
from protocols.quick import QUICK_1


def test_quick_evaluates_at_zero_at_every_multiple_and_at_the_budget():
    assert cadence_of(QUICK_1, QUICK_1.tasks[0], QUICK_1.env_steps).evaluation_env_steps == (0, 2_500, 5_000, 7_500, 10_000)


def test_a_cadence_between_two_iterations_is_met_by_the_next_one():
    cadence = cadence_of(replace(PROBE, evaluate_every_env_steps=10), "probe_count", 30)  # 2 environments x repeat 2
    assert cadence.evaluation_env_steps == (0, 12, 20, 28)


def test_no_iteration_goes_beyond_the_budget():
    cadence = cadence_of(PROBE, "probe_count", 799)
    assert cadence.evaluation_env_steps[-1] == cadence.env_steps(cadence.iterations) == 796


def test_a_budget_below_one_iteration_is_refused():
    with pytest.raises(ValueError, match="give at least 4"):
        cadence_of(PROBE, "probe_count", 3)


def test_seeds_of_different_purposes_never_meet():
    drawn = {
        purpose: {episode_seed(run, purpose, index) for run in range(20) for index in range(500)}
        for purpose in ("train", "evaluate", "final")
    }
    assert not drawn["train"] & drawn["evaluate"]
    assert not drawn["train"] & drawn["final"]
    assert not drawn["evaluate"] & drawn["final"]
    assert max(max(seeds) for seeds in drawn.values()) < 2**31
    assert all(len(seeds) > 9_990 for seeds in drawn.values())  # of 10,000: 29 random bits repeat rarely


def test_an_episode_seed_is_a_function_of_its_arguments():
    assert episode_seed(3, "train", 7) == episode_seed(3, "train", 7)
    assert len({episode_seed(3, "train", 7), episode_seed(4, "train", 7), episode_seed(3, "train", 8)}) == 3
