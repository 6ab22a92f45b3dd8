"""check_suite accuses every fault that it claims to see, and no sound environment."""

from __future__ import annotations

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from suites import catalog, conformance, probes


class Sound(probes.FollowSide):
    """A probe with one fault at most; the faults are below."""

    def __init__(self):
        super().__init__(probes.Options(pixels=False))


class SharedMemory(Sound):
    buffer = np.zeros(2, np.float32)

    def _observation(self):
        self.buffer[:] = super()._observation()["vector"]
        return {"vector": self.buffer}


class ReadOnly(Sound):
    def _observation(self):
        values = super()._observation()["vector"]
        values.flags.writeable = False
        return {"vector": values}


class IgnoresSeed(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None, options=options)


class SeedIsConstant(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=7, options=options)


class Remembers(Sound):
    episodes = 0

    def begin(self):
        self.episodes += 1
        super().begin()

    def tick(self, action):
        return float(self.episodes), False


class WrongType(Sound):
    def _observation(self):
        return {"vector": super()._observation()["vector"].astype(np.float64)}


class NotFinite(Sound):
    def tick(self, action):
        return float("nan"), False


class ExtraKey(Sound):
    def _observation(self):
        return {**super()._observation(), "more": np.zeros(1, np.float32)}


class WritesAction(Sound):
    def step(self, action):
        result = super().step(action)
        action[:] = 0
        return result


class WideActions(Sound):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Box(-2, 2, (1,), np.float32)


class NotADict(Sound):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)


class BigImage(Sound):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict({"image": spaces.Box(0, 255, (84, 84, 3), np.uint8)})


def test_a_sound_environment_has_no_problems():
    assert conformance.check_suite(Sound) == []


@pytest.mark.parametrize(
    ("faulty", "accusation"),
    [
        (SharedMemory, "does not own its memory"),
        (ReadOnly, "read-only"),
        (IgnoresSeed, "another episode than the first"),
        (SeedIsConstant, "give the same episode"),
        (Remembers, "another episode than the first"),
        (WrongType, "not float64"),
        (NotFinite, "finite number"),
        (ExtraKey, "has the keys"),
        (WritesAction, "writes into the action"),
        (WideActions, "in \\[-1, 1\\]"),
        (NotADict, "is a non-empty Dict"),
        (BigImage, "uint8 \\[64, 64, C\\]"),
    ],
)
def test_a_fault_is_accused(faulty, accusation):
    problems = conformance.check_suite(faulty)
    assert any(re.search(accusation, problem) for problem in problems), problems


class TerminatesAtLimit(probes.OneStep):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, truncated, info


class IgnoresLimit(probes.OneStep):
    def __init__(self, options):
        super().__init__(options)
        self.limit = 8


class TerminatesInstead(probes.OneStep):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, False, info


@pytest.mark.parametrize(
    ("faulty", "accusation"),
    [
        (TerminatesInstead, "truncation, not a termination"),
        (TerminatesAtLimit, "truncation, not a termination"),
        (IgnoresLimit, "passed without truncation"),
    ],
)
def test_a_wrong_time_limit_is_accused(faulty, accusation, monkeypatch):
    monkeypatch.setitem(probes.PROBES, "probe_one_step", faulty)
    assert any(accusation in problem for problem in conformance.check_suite("probe_one_step"))


def test_a_suite_that_takes_unknown_options_is_accused(monkeypatch):
    real = catalog.make
    monkeypatch.setattr(catalog, "make", lambda task, no_such_option=None, **options: real(task, **options))
    assert conformance.check_suite("probe_action") == ["an unknown option is accepted"]


def test_gymnasiums_own_checker_agrees_on_a_probe():
    from gymnasium.utils.env_checker import check_env

    check_env(
        gymnasium.make(
            gymnasium.envs.registration.EnvSpec("Probe-v0", entry_point=lambda: catalog.make("probe_action"))
        ).unwrapped,
        skip_render_check=True,
    )
