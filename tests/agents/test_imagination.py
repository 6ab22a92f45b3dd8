"""Open-loop prediction: what the model may see, what it may not, and the files that show it."""

import csv

import numpy as np
import pytest
from PIL import Image
from probe_training import built

from agents.imagination import draw, open_loop, record_episode
from suites import catalog

ROWS, CONTEXT = 9, 4
TINY = {
    "stoch": 3,
    "deter": 6,
    "model_hidden": 6,
    "hidden": 6,
    "depth": 1,
    "batch_sequences": 2,
    "batch_length": 4,
    "planner_candidates": 4,
    "planner_elites": 2,
    "planner_horizon": 2,
    "planner_iterations": 1,
    "prefill_env_steps": 10**6,
}


def make(**options):
    return catalog.make("probe_action", time_limit_env_steps=20, **options)


@pytest.fixture(scope="module", params=["continuous", "discrete"])
def world(request):
    def environment():
        return make(discrete=request.param == "discrete")

    agent = built("no_value", environment, (0,), 1, **TINY)
    return agent, [record_episode(agent, environment(), seed=seed, rows=ROWS) for seed in (1, 2)]


def altered(episodes, key, start, change):
    copies = [dict(episode) for episode in episodes]
    for copy in copies:
        copy[key] = copy[key].copy()
        copy[key][start:] = change(copy[key][start:])
    return copies


def test_predictions_do_not_see_the_images_they_predict(world):
    agent, episodes = world
    prediction = open_loop(agent, episodes, context=CONTEXT)
    hidden = open_loop(agent, altered(episodes, "image", CONTEXT, lambda image: 255 - image), context=CONTEXT)
    np.testing.assert_array_equal(prediction.predicted, hidden.predicted)
    np.testing.assert_array_equal(prediction.predicted_reward, hidden.predicted_reward)
    seen = open_loop(agent, altered(episodes, "image", CONTEXT - 1, lambda image: 255 - image), context=CONTEXT)
    assert np.abs(prediction.predicted_reward[: CONTEXT - 1] - seen.predicted_reward[: CONTEXT - 1]).max() == 0
    assert (prediction.predicted_reward[CONTEXT - 1 :] != seen.predicted_reward[CONTEXT - 1 :]).all()


def test_predictions_follow_the_actions(world):
    agent, episodes = world
    prediction = open_loop(agent, episodes, context=CONTEXT)
    other = altered(episodes, "action", CONTEXT, lambda action: 1 - action)
    changed = open_loop(agent, other, context=CONTEXT)
    np.testing.assert_array_equal(prediction.predicted_reward[:CONTEXT], changed.predicted_reward[:CONTEXT])
    assert (prediction.predicted_reward[CONTEXT:] != changed.predicted_reward[CONTEXT:]).all()


def test_an_episode_is_kept_in_the_arrival_convention(world):
    _, (first, _) = world
    assert first["action"][0].sum() == 0
    assert first["reward"][0] == 0
    continuous = first["action"].dtype == np.float32
    env = make(discrete=not continuous)
    observation, _ = env.reset(seed=1)
    for t in range(1, ROWS):
        np.testing.assert_array_equal(first["image"][t - 1], observation["image"])
        observation, reward, *_ = env.step(first["action"][t])
        assert first["reward"][t] == pytest.approx(reward)


def test_error_is_the_mean_square_of_pixels_in_zero_to_one(world):
    agent, episodes = world
    prediction = open_loop(agent, episodes, context=CONTEXT)
    t, n = CONTEXT, 1
    difference = prediction.predicted[t, n] / 255.0 - prediction.truth[t, n] / 255.0
    assert prediction.image_error[t, n] == pytest.approx((difference**2).mean(), rel=1e-5)


def test_a_strip_an_animation_and_a_table_are_written(world, tmp_path):
    agent, episodes = world
    prediction = open_loop(agent, episodes, context=CONTEXT)
    strip, animation, table = draw(prediction, tmp_path / "new", strip_steps=[0, 3, 4, 8])
    assert Image.open(strip).size == (4 * 64 + 4, 2 * 3 * 64 + 4)  # four columns and a white line; two blocks and a gap
    assert Image.open(animation).n_frames == ROWS
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 * ROWS
    assert [row["image_seen"] for row in rows[:ROWS]] == ["1"] * CONTEXT + ["0"] * (ROWS - CONTEXT)
    assert float(rows[ROWS + 5]["image_error"]) == pytest.approx(prediction.image_error[5, 1], rel=1e-4)


@pytest.mark.parametrize("name", ["dreamer", "planet", "sac"])
def test_every_arm_of_the_backbone_can_be_looked_at(name):
    agent = built(name, make, (0,), 1, **TINY)
    prediction = open_loop(agent, [record_episode(agent, make(), seed=0, rows=5)], context=2)
    assert prediction.predicted.shape == (5, 1, 64, 64, 3)


def test_what_cannot_be_drawn_is_refused_in_one_line():
    def vector():
        return make(pixels=False)

    blind = built("no_value", vector, (0,), 1, **TINY)
    with pytest.raises(ValueError, match="choose a task with pixels"):
        record_episode(blind, vector(), seed=0, rows=3)
    agent = built("no_value", make, (0,), 1, **TINY)
    with pytest.raises(ValueError, match="ended after 21 of 50 steps"):
        record_episode(agent, make(), seed=0, rows=50)
    with pytest.raises(ValueError, match="between 1 and 4 images"):
        open_loop(agent, [record_episode(agent, make(), seed=0, rows=5)], context=5)
