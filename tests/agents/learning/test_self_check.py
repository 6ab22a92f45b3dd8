"""The check that a program asks of itself on a GPU, with ways that are sound and ways that were broken on purpose.

A stand-in (graph_stand_in.py) takes the place of CUDA graphs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_stand_in import GraphStandIn
from gymnasium import spaces

from agents import catalog
from agents.api import AgentContext
from agents.learning import self_check as checking
from agents.learning.captured import Captured
from agents.learning.lifting import Vmap
from agents.learning.trees import mapped
from agents.recipes.backbone import Backbone
from dreamer_bench_base import UserError

TINY = {"stoch": 4, "deter": 8, "model_hidden": 8, "depth": 2, "hidden": 8, "batch_sequences": 3, "batch_length": 5}
ARMS = {
    "dreamer": {"horizon": 3},
    "planet": {"planner_horizon": 3, "planner_iterations": 2, "planner_candidates": 8, "planner_elites": 2},
    "sac": {},
}


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    return GraphStandIn(monkeypatch)


@pytest.fixture
def build(monkeypatch, graphs):
    def make(arm="dreamer", seeds=(3, 4), capture=True):
        chosen = Backbone.execution
        monkeypatch.setattr(Backbone, "execution", lambda self: {**chosen(self), "lift": Vmap})
        context = AgentContext(
            observation_space=spaces.Dict({"position": spaces.Box(-1, 1, (3,), np.float32)}),
            action_space=spaces.Box(-1, 1, (2,), np.float32),
            seeds=seeds,
            num_envs=2,
            action_repeat=1,
            budget_env_steps=1000,
        )
        entry = catalog.find(arm)
        agent = entry.build(replace(entry.options("quick"), **TINY, **ARMS[arm]), context)
        agent.learner.capture = capture
        graphs.changing.extend(agent.learner.changing)
        return agent

    return make


@pytest.mark.parametrize("arm", ARMS)
def test_ways_that_are_sound_pass_and_say_how_far_they_lie(arm, build):
    agent = build(arm)
    before = [tensor.clone() for tensor in agent.learner.changing]
    report = agent.self_check()
    assert report["largest_difference"]["captured"] == {"update": 0.0, "decision": 0.0}  # the same function on the same numbers
    assert 0.0 <= report["largest_difference"]["together"]["update"] < 1e-4
    assert report["seconds"] > 0
    after = agent.learner.changing
    assert all(torch.equal(one, other) for one, other in zip(before, after) if one.shape == agent.learner.alive.shape)


def test_without_capture_and_with_one_seed_nothing_is_left_to_compare(build):
    assert build(seeds=(3,), capture=False).self_check()["largest_difference"] == {}


def test_a_graph_that_reads_old_inputs_is_refused_and_the_option_named(build, monkeypatch):
    def stale(self, *inputs):
        self._replay()
        return self._results

    monkeypatch.setattr(Captured, "__call__", stale)
    with pytest.raises(UserError, match=r"the update captured as a graph differs .* in .* --set capture=false"):
        build().self_check()


def test_a_graph_that_gives_another_action_is_refused(build, graphs):
    def spoil(results):
        if isinstance(results, tuple):  # a decision
            results[0].add_(0.1)

    graphs.spoil = spoil
    with pytest.raises(UserError, match=r"the decision captured as a graph differs .* in action"):
        build().self_check()


def test_an_error_of_capture_is_a_line_with_the_option(build, monkeypatch):
    def refuse(self, function):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

    monkeypatch.setattr(Captured, "record", refuse)
    with pytest.raises(UserError, match=r"update cannot be captured.*not permitted.*--set capture=false") as told:
        build().self_check()
    assert "\n" not in str(told.value)


def test_a_lift_that_takes_another_seeds_batch_is_refused(build, monkeypatch):
    take = Vmap.take

    def swapped(self, tree):
        return mapped(lambda tensor: tensor.flip(0), tree) if isinstance(tree, dict) and "reward" in tree else take(self, tree)

    monkeypatch.setattr(Vmap, "take", swapped)
    with pytest.raises(UserError, match=r"of all seeds together differs .*--seeds-per-program 1"):
        build().self_check()


def test_a_number_that_is_none_is_a_difference():
    ones = {"loss": torch.ones(2)}
    assert checking.agree("captured", "update", ones, {"loss": torch.ones(2) * (1 + 1e-5)}, torch.float32) < 1e-3
    with pytest.raises(UserError, match="in loss"):
        checking.agree("captured", "update", ones, {"loss": torch.tensor([1.0, torch.nan])}, torch.float32)


def first_of_a_process(agent):
    """The first update and the first decision of a run, with the run's own batch and observation."""
    (batch, *noise), (function, seen) = (lambda drawn: ((drawn[0], *drawn[1]), drawn[2]))(checking._drawn(agent))
    agent.learner.apply_captured(function, *seen)
    agent.learner.update(batch, *noise)


@pytest.mark.parametrize("arm", ARMS)
def test_the_first_update_and_decision_of_a_process_are_compared_and_change_nothing_else(arm, build):
    checked, plain = build(arm), build(arm, capture=False)
    for agent in (checked, plain):
        first_of_a_process(agent)
    assert checked.learner._captured.keys() >= {"update"}
    for one, other in zip(checked.learner.changing, plain.learner.changing, strict=True):
        assert torch.equal(one, other)


def test_a_first_decision_that_differs_ends_the_run_with_the_option(build, graphs):
    graphs.spoil = lambda results: results[0].add_(0.1) if isinstance(results, tuple) else None
    with pytest.raises(UserError, match=r"the decision captured as a graph differs .* in action .*--set capture=false"):
        first_of_a_process(build())


def test_a_first_update_that_differs_ends_the_run_and_leaves_the_weights(build, graphs):
    agent = build()
    before = [tensor.clone() for tensor in agent.learner.changing]

    def spoil(results):
        if isinstance(results, list):  # an update's metrics, a dictionary a round
            next(iter(results[0].values())).add_(1.0)

    graphs.spoil = spoil
    with pytest.raises(UserError, match=r"the update captured as a graph differs .*--set capture=false"):
        first_of_a_process(agent)
    changed = [not torch.equal(one, other) for one, other in zip(before, agent.learner.changing)]
    assert not any(changed)


def test_a_loss_that_is_lost_both_ways_is_no_difference():
    lost = {"loss": torch.tensor([1.0, torch.nan])}
    assert checking.agree("captured", "update", lost, {"loss": lost["loss"].clone()}, torch.float32) == 0.0
