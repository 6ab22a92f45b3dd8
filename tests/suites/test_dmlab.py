"""The DMLab adapter against a stand-in. THE STAND-IN IS NOT THE SIMULATOR: it has the documented calls of deepmind_lab.Lab and
checks what it is given. What the simulator itself does with the adapter was never seen."""

from __future__ import annotations

import sys
from importlib import util

import numpy as np
import pytest

from suites import catalog, conformance, dmlab

STAND_IN = '''
"""A stand-in for deepmind_lab: same calls, no world. Says so."""
import numpy as np

STAND_IN = True

class Lab:
    made = []

    def __init__(self, level, observations, config=None, renderer="software"):
        assert all(isinstance(value, str) for value in config.values())
        self.level, self.config, self.actions, self.frames = level, config, [], None
        Lab.made.append(self)

    def reset(self, episode=-1, seed=None):
        assert isinstance(seed, int) and 0 <= seed < 2**31
        self.random, self.frames = np.random.default_rng(seed), 0
        self.picture = self.random.integers(256, size=(64, 64, 3), dtype=np.uint8)

    def is_running(self):
        return self.frames is not None and self.frames < 42

    def observations(self):
        assert self.is_running(), "Environment is not running"
        return {"RGB_INTERLEAVED": self.picture}

    def step(self, action, num_steps=1):
        assert action.dtype == np.intc and action.shape == (7,) and self.is_running()
        self.actions.append((tuple(action.tolist()), num_steps))
        self.frames += num_steps
        self.picture = self.random.integers(256, size=(64, 64, 3), dtype=np.uint8)
        return float(action[3])

    def close(self):
        pass
'''
TASK = "dmlab_rooms_collect_good_objects_train"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "deepmind_lab.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "deepmind_lab", raising=False)
    import deepmind_lab

    assert deepmind_lab.STAND_IN
    yield deepmind_lab
    sys.modules.pop("deepmind_lab", None)


@pytest.mark.skipif(util.find_spec("deepmind_lab") is not None, reason="deepmind_lab is installed here")
def test_without_the_simulator_the_task_is_listed_as_unavailable_with_the_reason():
    assert TASK in catalog.names("dmlab")
    assert "build it from" in catalog.unavailable(TASK)
    with pytest.raises(ValueError, match="cannot be made: deepmind_lab is not installed"):
        catalog.make(TASK)


def test_the_adapter_keeps_the_contract(stand_in):
    assert conformance.check_suite(TASK, steps=6) == []


def test_nine_actions_are_repeated_four_frames(stand_in):
    environment = catalog.make(TASK)
    lab = environment._lab
    assert (lab.level, lab.config["width"], lab.config["height"]) == (
        "contributed/dmlab30/rooms_collect_good_objects_train",
        "64",
        "64",
    )
    environment.reset(seed=1)
    rewards = [environment.step(action)[1] for action in range(9)]
    assert rewards == [1, -1, 0, 0, 0, 0, 1, 1, 0]
    assert lab.actions == [(action, 4) for action in dmlab.ACTIONS]


def test_the_end_is_a_truncation_and_its_frame_black(stand_in):
    environment = catalog.make(TASK)
    environment.reset(seed=1)
    for _ in range(10):
        assert environment.step(0)[2:4] == (False, False)
    observation, _, terminated, truncated, _ = environment.step(0)
    assert (terminated, truncated) == (False, True)
    assert not observation["image"].any()


def test_any_other_level_goes_by_its_path(stand_in):
    assert catalog.make("dmlab:tests/demo_map")._lab.level == "tests/demo_map"


def test_large_seeds_differ(stand_in):
    environment = catalog.make(TASK)
    images = [environment.reset(seed=seed)[0]["image"] for seed in (2**33, 2**33 + 1, 2**33)]
    assert np.array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[1])
