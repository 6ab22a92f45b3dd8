"""The one step of every training loop, against a list of calls written by hand."""

from __future__ import annotations

import numpy as np

from agents.api import TimeStep
from agents.interaction import begin, interact


class Noting:
    def __init__(self):
        self.calls = []

    def act(self, carry, step, *, explore):
        self.calls.append(("act", carry, step.reward.tolist(), explore))
        return np.full((1, 2, 1), 0.5), carry + 1

    def observe(self, action, step, lanes):
        self.calls.append(("observe", action[0, :, 0].tolist(), step.reward.tolist(), lanes.tolist()))


def step(reward, *, first=(False, False), last=(False, False)):
    flags = [np.array([value]) for value in (first, last, (False, False))]
    return TimeStep({}, np.array([reward], np.float32), *flags)


def test_a_step_acts_steps_observes_and_where_an_episode_ended_begins_anew_and_observes_again():
    agent, seen = Noting(), []

    def restart(arrived):
        seen.append(arrived.is_last.tolist())
        return step((1.0, 0.0), first=(False, True))

    begin(agent, np.zeros((1, 2, 1)), step((0.0, 0.0), first=(True, True)))
    decided = interact(agent, 7, step((0.0, 0.0)), advance=lambda action: step((1.0, 2.0), last=(False, True)), restart=restart)
    assert seen == [[[False, True]]]
    assert agent.calls == [
        ("observe", [0.0, 0.0], [[0.0, 0.0]], [[True, True]]),
        ("act", 7, [[0.0, 0.0]], True),
        ("observe", [0.5, 0.5], [[1.0, 2.0]], [[True, True]]),
        ("observe", [0.5, 0.5], [[1.0, 0.0]], [[False, True]]),
    ]
    assert decided.carry == 8
    assert decided.arrived.reward.tolist() == [[1.0, 2.0]]
    assert decided.step.is_first.tolist() == [[False, True]]


def test_nothing_begins_anew_where_no_episode_ended():
    agent = Noting()
    decided = interact(agent, 0, step((0.0, 0.0)), advance=lambda action: step((1.0, 1.0)), restart=None)
    assert [call[0] for call in agent.calls] == ["act", "observe"]
    assert decided.step is decided.arrived
