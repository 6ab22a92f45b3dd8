"""The agent behind its contract: counts, carries, randomness, saving and loading, bad spaces."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext, Progress
from agents.learning.lifting import LoopOverSeeds, Vmap
from agents.learning.noise import ACT
from agents.models.latents import NoiseSpec
from agents.per_seed import each
from agents.recipes import dreamer, dreamer_v2, planet, random
from suites import probes
from tests.agents.driving import Driver

BACKBONE = {
    "stoch": 3,
    "deter": 4,
    "model_hidden": 4,
    "hidden": 4,
    "depth": 1,
    "batch_sequences": 2,
    "batch_length": 4,
    "prefill_env_steps": 20,
    "pretrain_updates": 3,
    "update_every_env_steps": 10,
    "updates": 2,
}
TINY = dreamer.Options(**BACKBONE, horizon=3)


def one_step():
    return probes.make("probe_one_step", probes.Options())


def pixels():
    return probes.make("probe_two_step", probes.Options())


def discrete():
    return probes.make("probe_one_step", probes.Options(discrete=True))


def parameters(agent, s=0):
    return torch.cat([group.values[s] for group in agent.learner.groups.values()])


def test_updates_follow_the_schedule_exactly():
    driver = Driver(one_step, (0,), action_repeat=2)  # 2 env steps an agent step
    agent = dreamer.build(TINY, driver.context)
    driver.train(agent, agent.initial(1), 30)
    done = {2 * (step + 1): count for step, count in enumerate(driver.gradient_steps) if count}
    assert done == {20: 3, 30: 2, 40: 2, 50: 2, 60: 2}
    assert agent.gradient_steps == 11


def test_paper_schedule_is_a_hundred_updates_every_thousand_env_steps():
    agent = dreamer.build(
        dataclasses.replace(TINY, prefill_env_steps=5000, pretrain_updates=100, update_every_env_steps=1000, updates=100),
        Driver(one_step, (0,)).context,
    )
    paper = dreamer.PROFILES["paper"].schedule()
    assert agent.schedule == dataclasses.replace(paper, batch_sequences=2, batch_length=4)
    agent.update = lambda: None
    driver = Driver(one_step, (0,), action_repeat=2)
    driver.train(agent, agent.initial(1), 5)  # one episode of 8 is not complete: nothing to learn from
    calls = {
        steps: agent.learn(Progress(env_steps=steps, agent_steps=steps // 2, episodes=1, budget_env_steps=10_000))
        for steps in (4998, 5000)
    }
    assert calls == {4998: 0, 5000: 0}
    driver.train(agent, agent.initial(1), 5)
    calls = {
        steps: agent.learn(Progress(env_steps=steps, agent_steps=steps // 2, episodes=1, budget_env_steps=10_000))
        for steps in (4998, 5000, 5002, 5998, 6000, 6002, 8000)
    }
    assert calls == {4998: 0, 5000: 100, 5002: 0, 5998: 0, 6000: 100, 6002: 0, 8000: 200}


def test_prefill_acts_at_random_and_the_policy_takes_over():
    driver = Driver(one_step, (0,))
    agent = dreamer.build(TINY, driver.context)
    driver.reset_all()
    carry = agent.initial(1)
    before = [agent.act(dataclasses.replace(carry, position=i), driver.step, explore=True)[0].item() for i in range(300)]
    assert abs(np.mean(before)) < 0.1
    assert abs(np.std(before) - 3**-0.5) < 0.05  # uniform in [-1, 1]
    agent.next_update_env_steps = 30
    after = [agent.act(dataclasses.replace(carry, position=i), driver.step, explore=True)[0].item() for i in range(300)]
    assert np.std(after) > 0.75  # a fresh actor of deviation 5 saturates


@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
@pytest.mark.parametrize("make", [one_step, discrete])
def test_prefill_asks_the_behaviour_nothing_and_leaves_the_state_a_whole_decision_would(make, lift, monkeypatch):
    """A search is long, and thrown away while actions are random; the filter must follow the episode, with the same noise."""
    driver = Driver(make, (0, 1))
    small = {"planner_candidates": 4, "planner_elites": 2, "planner_iterations": 2, "planner_horizon": 3}
    agent = planet.build(planet.Options(**BACKBONE, **small), driver.context)
    agent.learner.lift = lift(agent.learner.skeleton, agent.learner.groups)
    driver.reset_all()
    first, step = agent.initial(1), driver.step
    searches, search = [], type(agent.behavior).act

    def counted(self, *inputs, **named):
        searches.append(1)
        return search(self, *inputs, **named)

    monkeypatch.setattr(type(agent.behavior), "act", counted)
    action, carry = agent.act(first, step, explore=True)
    assert not searches

    apply = agent.learner.apply_captured
    decide = functools.partial(agent._decide, explore=True)

    def all_of_it(function, *inputs):  # what a decision was: filter and search on the noise of both
        specs = {
            **agent.behavior.act_noise(agent.sizes, 1, explore=True),
            "filter": agent.sizes.latent.over(1),
            "prefill": NoiseSpec("uniform", (1, agent.action_width)),
        }
        return apply(decide, *inputs[:-1], agent.noise.draw(specs, ACT, 0, 0))[1]

    monkeypatch.setattr(agent.learner, "apply_captured", all_of_it)
    again, expected = agent.act(first, step, explore=True)
    assert searches
    np.testing.assert_array_equal(action, again)
    assert carry.state["stoch"].abs().sum() > 0
    assert all(torch.equal(carry.state[name], expected.state[name]) for name in carry.state)


def test_rewards_pass_through_tanh_where_the_options_say_so():
    """Before anything learns from them, and in what is learned from only: replay keeps what was met."""
    batches = {}
    for clip in (False, True):
        driver = Driver(one_step, (0, 1))
        agent = dreamer.build(dataclasses.replace(TINY, clip_rewards=clip, prefill_env_steps=10**6), driver.context)
        driver.train(agent, agent.initial(1), 12)
        batches[clip] = agent.sample()
    assert batches[False]["reward"].abs().max() > 0.4
    np.testing.assert_allclose(batches[True]["reward"], np.tanh(batches[False]["reward"].numpy()), atol=1e-6)
    assert all(torch.equal(batches[True][key], batches[False][key]) for key in batches[True].keys() - {"reward"})


@pytest.mark.parametrize("make", [one_step, pixels, discrete])
def test_acting_has_no_side_effect(make):
    driver = Driver(make, (0, 1))
    agent = dreamer.build(TINY, driver.context)
    carry = driver.train(agent, agent.initial(1), 25)
    before = parameters(agent).clone()
    for explore in (True, False):
        first, following = agent.act(carry, driver.step, explore=explore)
        agent.act(following, driver.step, explore=not explore)
        again, same = agent.act(carry, driver.step, explore=explore)
        np.testing.assert_array_equal(first, again)
        for name, tensor in following.state.items():
            assert torch.equal(tensor, same.state[name])
    assert torch.equal(before, parameters(agent))


def test_an_episodes_first_step_forgets_the_carry():
    driver = Driver(one_step, (0,))
    agent = dreamer.build(TINY, driver.context)
    used = driver.train(agent, agent.initial(1), 5)
    driver.reset_all()
    fresh = dataclasses.replace(agent.initial(1), position=used.position)
    for explore in (True, False):
        np.testing.assert_array_equal(
            agent.act(used, driver.step, explore=explore)[0], agent.act(fresh, driver.step, explore=explore)[0]
        )


def test_streams_of_noise_differ_and_seeds_differ():
    driver = Driver(one_step, (0, 1))
    agent = dreamer.build(TINY, driver.context)
    driver.reset_all()
    drawn = [agent.act(agent.initial(1, stream=stream), driver.step, explore=True)[0] for stream in (0, 1)]
    assert len({round(float(x), 6) for actions in drawn for x in actions.ravel()}) == 4


ENDING = dataclasses.replace(TINY, predict_discount=True)
V2 = dataclasses.replace(
    dreamer_v2.ATARI,
    **BACKBONE,
    horizon=3,
    latent_classes=3,
    slow_value_every=3,
    replay_capacity=30,
    ramp_env_steps=60,
    reward_layers=1,
    discount_layers=1,
)
"""With a replay that drops episodes, and weights that change over time."""


@pytest.mark.parametrize(
    ("make", "on_disk", "recipe", "options"),
    [
        (one_step, False, dreamer, ENDING),
        (one_step, True, dreamer, ENDING),
        (pixels, True, dreamer, ENDING),
        (discrete, False, dreamer, ENDING),
        (discrete, False, dreamer_v2, V2),
        (one_step, True, dreamer_v2, V2),
    ],
)
def test_saved_loaded_and_continued_is_never_stopped(make, on_disk, recipe, options, tmp_path):
    def start(folder):
        folders = tuple(folder / f"replay-{s}" for s in range(2)) if on_disk else None
        driver = Driver(make, (4, 9), replay_folders=folders)
        return driver, recipe.build(options, driver.context)

    straight, whole = start(tmp_path / "straight")
    carry = straight.train(whole, whole.initial(1), 70)

    driver, agent = start(tmp_path / "stopped")
    middle = driver.train(agent, agent.initial(1), 43)
    saved = [tmp_path / f"saved-{s}" for s in range(2)]
    for folder in saved:
        folder.mkdir()
    agent.save(saved, middle)
    elsewhere = (driver.step, [dict(environment.__dict__) for environment in driver.environments])
    driver.train(agent, middle, 9)  # rows that no checkpoint knows
    del agent

    _, again = start(tmp_path / "stopped")
    loaded = again.load(saved)
    resumed = Driver(make, (4, 9))
    resumed.train(dreamer.build(TINY, resumed.context), dreamer.build(TINY, resumed.context).initial(1), 0)
    resumed.agent_steps, resumed.episodes, resumed.step = 43, 43 // 8, elsewhere[0]
    resumed.rows = [
        (
            {key: value[s, 0] for key, value in elsewhere[0].observation.items()},
            float(elsewhere[0].reward[s, 0]),
            *(bool(flag[s, 0]) for flag in elsewhere[0][2:]),
        )
        for s in range(2)
    ]
    for environment, state in zip(resumed.environments, elsewhere[1]):
        environment.__dict__.update(state)
    end = resumed.train(again, loaded, 27)

    assert again.gradient_steps == whole.gradient_steps > 0
    for s in range(2):
        assert torch.equal(parameters(again, s), parameters(whole, s))
    assert torch.equal(end.action, carry.action)
    assert end.position == carry.position


def test_one_seed_of_a_cohort_can_be_loaded_alone(tmp_path):
    driver = Driver(one_step, (4, 9))
    agent = dreamer.build(TINY, driver.context)
    carry = driver.train(agent, agent.initial(1), 40)
    for s in range(2):
        (tmp_path / str(s)).mkdir()
    agent.save([tmp_path / "0", tmp_path / "1"], carry)
    alone = dreamer.build(TINY, Driver(one_step, (9,)).context)
    own = alone.load([tmp_path / "1"])
    assert torch.equal(parameters(alone), parameters(agent, 1))
    step = driver.step
    one = type(step)({key: value[1:] for key, value in step.observation.items()}, *(part[1:] for part in step[1:]))
    np.testing.assert_allclose(alone.act(own, one, explore=False)[0][0], agent.act(carry, step, explore=False)[0][1], atol=1e-5)


def test_loading_without_the_replay_files_acts_but_does_not_train(tmp_path):
    driver = Driver(one_step, (0,), replay_folders=(tmp_path / "replay",))
    agent = dreamer.build(TINY, driver.context)
    carry = driver.train(agent, agent.initial(1), 30)
    (tmp_path / "saved").mkdir()
    agent.save([tmp_path / "saved"], carry)
    reader = dreamer.build(TINY, Driver(one_step, (0,)).context)
    reader.act(reader.load([tmp_path / "saved"]), driver.step, explore=False)
    with pytest.raises(ValueError, match="can act but not train"):
        reader.learn(Progress(env_steps=100, agent_steps=100, episodes=9, budget_env_steps=1000))


def test_another_architecture_is_refused_in_one_line(tmp_path):
    driver = Driver(one_step, (0,))
    agent = dreamer.build(TINY, driver.context)
    agent.save([tmp_path], agent.initial(1))
    other = dreamer.build(dataclasses.replace(TINY, deter=5), driver.context)
    with pytest.raises(ValueError, match="other networks") as caught:
        other.load([tmp_path])
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"agent\.pt is missing"):
        agent.load([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("observation", "action", "reason"),
    [
        (spaces.Dict({"image": spaces.Box(0, 255, (84, 84, 3), np.uint8)}), spaces.Box(-1, 1, (2,), np.float32), "64x64"),
        (spaces.Dict({"vector": spaces.Box(-1, 1, (2, 2), np.float32)}), spaces.Box(-1, 1, (2,), np.float32), "one axis"),
        (spaces.Dict({"vector": spaces.Box(-1, 1, (2,), np.float32)}), spaces.Box(-2, 2, (2,), np.float32), r"\[-1, 1\]"),
        (spaces.Dict({"vector": spaces.Box(-1, 1, (2,), np.float32)}), spaces.MultiDiscrete([2, 3]), "Discrete"),
    ],
)
def test_spaces_it_cannot_play_are_refused(observation, action, reason):
    context = AgentContext(
        observation_space=observation, action_space=action, seeds=(0,), num_envs=1, action_repeat=1, budget_env_steps=1
    )
    entry = catalog.find("dreamer")
    with pytest.raises(ValueError, match=reason):
        entry.build(entry.options(), context)


def test_bfloat16_keeps_losses_in_float32_and_near():
    losses = {}
    for precision in ("float32", "bfloat16"):
        driver = Driver(pixels, (0,))
        agent = dreamer.build(dataclasses.replace(TINY, precision=precision, depth=2), driver.context)
        driver.train(agent, agent.initial(1), 20)
        metrics = agent.learner.drain()
        assert all(value.dtype == torch.float32 for value in metrics.values())
        losses[precision] = torch.cat(list(metrics.values()))
    assert not torch.equal(losses["bfloat16"], losses["float32"])
    torch.testing.assert_close(losses["bfloat16"], losses["float32"], rtol=0.02, atol=0.01)


def test_random_policy_is_uniform_by_seed_and_position():
    driver = Driver(one_step, (0, 1))
    agent = random.build(random.Options(), driver.context)
    driver.reset_all()
    carry, actions = agent.initial(1), []
    for _ in range(2000):
        action, following = agent.act(carry, driver.step, explore=True)
        np.testing.assert_array_equal(action, agent.act(carry, driver.step, explore=False)[0])
        actions.append(action[:, 0, 0])
        carry = following
    actions = np.array(actions)
    assert not np.array_equal(actions[:, 0], actions[:, 1])
    assert abs(actions.mean()) < 0.03
    assert abs(actions.std() - 3**-0.5) < 0.02


def test_per_seed_agents_equal_the_cohort():
    cohort, apart = Driver(one_step, (0, 1)), Driver(one_step, (0, 1))
    together, single = dreamer.build(TINY, cohort.context), each(lambda context: dreamer.build(TINY, context), apart.context)
    cohort.train(together, together.initial(1), 30)
    apart.train(single, single.initial(1), 30)
    assert cohort.gradient_steps == apart.gradient_steps
    mine, theirs = together.metrics(), single.metrics()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-3, atol=1e-4)
