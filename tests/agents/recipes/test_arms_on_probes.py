"""Every arm on tasks whose best return is known, and the miniature of the Dreamer paper's Figure 4.

One seed, vectors instead of pixels, networks of a few dozen units: seconds each. An arm that fails a probe has the fault the
probe is named for in suites/probes.py.
"""

import pytest
from probe_training import built, evaluate, score, taught, train

from suites import catalog

ARMS = ("dreamer", "no_value", "planet", "sac", "world_models")
SETTINGS = {
    "prefill_env_steps": 200,
    "batch_length": 8,
    "updates": 2,
    "discount": 0.9,
    "actor_learning_rate": 2e-3,
    "exploration": 0.5,
    "planner_horizon": 3,
    "search_horizon": 3,
    "search_generations": 1,
}
TERMINATING = {
    **SETTINGS,
    "batch_length": 12,
    "planner_horizon": 5,
    "search_horizon": 5,
    "predict_discount": True,
    "planner_discounted": True,
    "search_discounted": True,
}

HORIZON, DELAY = 5, 13


def share_of_optimum(arm, probe, *, decisions, discrete=False, **settings):
    def make():
        return catalog.make(probe, pixels=False, discrete=discrete)

    return score(arm, make, (0,), decisions=decisions, **settings)[0] / make().unwrapped.optimal_return


@pytest.mark.parametrize(("probe", "decisions"), [("probe_one_step", 80), ("probe_two_step", 120), ("probe_action", 120)])
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_solves_what_lies_within_its_horizon(arm, probe, decisions):
    assert share_of_optimum(arm, probe, decisions=decisions, **SETTINGS) >= 0.9


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_that_predicts_the_end_stays_out_of_the_trap(arm):
    """Leaving pays 1.5 and ends the episode, staying pays 1 and goes on: 90% is out of reach without a model of the end."""
    assert share_of_optimum(arm, "probe_terminal", decisions=110, **TERMINATING) >= 0.9


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_plays_discrete_actions(arm):
    assert share_of_optimum(arm, "probe_action", decisions=120, discrete=True, **SETTINGS) >= 0.9


@pytest.fixture(scope="module")
def beyond():
    """beyond(arm, horizon): return on a probe that pays a small reward at each of 13 steps or a late one at the 14th.

    Every arm begins with the same world model, learned from random actions. Beside an untrained model that cannot tell the
    steps apart yet, an actor settles on the late reward, and a saturated tanh does not come back (docs/arms.md).
    """

    def make():
        return catalog.make("probe_beyond", delay=DELAY)

    teacher = taught(make, (0,))

    def trained(arm, horizon):
        return score(arm, make, (0,), decisions=200, teacher=teacher, horizon=horizon, planner_horizon=horizon)[0]

    return trained


def test_a_value_sees_beyond_the_horizon(beyond):
    """The reward of 1 is 14 steps away, the imagination ends after 5: Dreamer's value carries it back to the choice."""
    assert beyond("dreamer", HORIZON) >= 0.9


@pytest.mark.parametrize("arm", ["no_value", "planet"])
def test_without_a_value_what_lies_beyond_the_horizon_does_not_exist(beyond, arm):
    """Both sum 5 imagined rewards, 0.4 / 13 each or nothing: the late reward is in no sum, so they cannot prefer it."""
    assert 0.35 <= beyond(arm, HORIZON) <= 0.5


def test_without_a_value_the_late_reward_is_taken_once_the_horizon_reaches_it(beyond):
    """The same arm, model and training as above, and a horizon of 15: the horizon was the reason, not the training."""
    assert beyond("no_value", DELAY + 2) >= 0.9


V2 = {**SETTINGS, "latent_classes": 8, "slow_value_every": 10, "actor_entropy": 1e-2, "replay_capacity": 0,
      "skip_short_episodes": False}  # fmt: skip
"""An episode of a probe is no longer than a sequence."""


def test_dreamer_v2_solves_probes_through_the_dynamics():
    assert share_of_optimum("dreamer_v2", "probe_two_step", decisions=100, **V2) >= 0.9


@pytest.mark.parametrize(
    ("probe", "more"),
    [("probe_action", {}), ("probe_terminal", {"batch_length": 12, "predict_discount": True})],
)
def test_dreamer_v2_solves_probes_by_reinforce(probe, more):
    """Discrete actions: sides it has to follow, and a trap that only a model of the end shows."""
    assert share_of_optimum("dreamer_v2", probe, decisions=110, discrete=True, **{**V2, **more}) >= 0.9


def test_dreamer_follows_a_side_that_it_sees_in_an_image():
    def make():
        return catalog.make("probe_action", pixels=True)

    assert score("dreamer", make, (0,), decisions=120, **SETTINGS)[0] >= 0.9 * make().unwrapped.optimal_return


@pytest.mark.parametrize(("arm", "decisions"), [("dreamer", 300), ("planet", 240)])
def test_one_agent_that_is_never_told_the_task_solves_two_joined_ones(arm, decisions):
    """One pays for the action of the step before, the other for the side that it shows: no one policy that ignores the task is
    above half of the optimum of the second. Episodes of the two come in turn in training; each is judged apart."""
    probes = ("probe_two_step", "probe_action")

    def joined(*tasks):
        return catalog.make("joined:" + "+".join(tasks), observation="state")

    agent = built(arm, lambda: joined(*probes), (0,), 8, **SETTINGS)
    train(agent, lambda: joined(*probes), (0,), 8, decisions)
    for probe in probes:
        optimum = catalog.make(probe).unwrapped.optimal_return
        assert evaluate(agent, lambda probe=probe: joined(probe), (0,), 20)[0] / optimum >= 0.85
