"""A library's own agent keeps the contract: stable-baselines3's SAC, checked as any other, and trained, killed and resumed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.api import AgentContext, Progress, TimeStep
from agents.catalog import AgentEntry
from agents.conformance import check_agent
from suites import catalog as suites

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "sb3_sac"


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import sb3_sac

    return sb3_sac


def test_it_passes_the_check_while_learning(recipe):
    findings = check_agent.check_agent(AgentEntry(name="sb3_sac", summary="", recipe="sb3_sac"), make=suites.make)
    assert [finding for finding in findings if not finding.passed] == []
    told = {finding.claim.rsplit(": ")[-1]: finding.detail for finding in findings}
    assert "no gradient step" not in told["it was checked while learning"]
    assert "sb3_sac" in sys.modules


def test_its_replay_holds_the_transitions_that_were_shown_and_a_time_limit_is_no_end(recipe):
    """By hand: two environments, three steps, the second of them a time limit in one and a true end in the other."""
    shown = spaces.Dict(state=spaces.Box(-9, 9, (1,), np.float32))
    context = AgentContext(
        observation_space=shown,
        action_space=spaces.Box(-1, 1, (1,), np.float32),
        seeds=(0,),
        num_envs=2,
        action_repeat=1,
        budget_env_steps=100,
    )
    agent = recipe.Sb3Sac(recipe.Options(buffer_size=10, prefill_env_steps=50), context)

    def at(values, rewards, first, last, terminal) -> TimeStep:
        rows = [np.array([row]) for row in (rewards, first, last, terminal)]
        return TimeStep({"state": np.array([values], np.float32)[..., None]}, np.float32(rows[0]), *rows[1:])

    everyone, no = np.ones((1, 2), bool), [False, False]
    action = np.array([[[0.25], [-0.5]]], np.float32)
    agent.observe(0 * action, at([1, 5], [0, 0], [True, True], no, no), everyone)
    agent.observe(action, at([2, 6], [10, 20], no, no, no), everyone)
    agent.observe(action, at([3, 7], [11, 21], no, [True, True], [False, True]), everyone)
    agent.observe(action, at([1, 5], [0, 0], [True, True], no, no), everyone)
    agent.observe(action, at([2, 6], [12, 22], no, no, no), everyone)
    replay = agent.replay
    assert replay.size() == 3
    np.testing.assert_array_equal(replay.observations[:3, :, 0], [[1, 5], [2, 6], [1, 5]])
    np.testing.assert_array_equal(replay.next_observations[:3, :, 0], [[2, 6], [3, 7], [2, 6]])
    np.testing.assert_array_equal(replay.rewards[:3], [[10, 20], [11, 21], [12, 22]])
    np.testing.assert_array_equal(replay.dones[:3], [[0, 0], [0, 1], [0, 0]])
    assert agent.learn(Progress(env_steps=49, agent_steps=49, episodes=0, budget_env_steps=100)) == 0
    before = torch.nn.utils.parameters_to_vector(agent.model.actor.parameters()).clone()
    assert agent.learn(Progress(env_steps=52, agent_steps=52, episodes=0, budget_env_steps=100)) == 2
    assert not torch.equal(before, torch.nn.utils.parameters_to_vector(agent.model.actor.parameters()))
