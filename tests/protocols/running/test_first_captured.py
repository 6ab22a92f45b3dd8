"""What a run has recorded when its first captured decision or update turns out wrong, with a stand-in for CUDA graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_stand_in import GraphStandIn
from probe_runs import PROBE, records, request

from agents.learning.learner import Learner
from dreamer_bench_base import UserError
from protocols import catalog
from protocols.running.launch import run_cohort

PROTOCOL = replace(
    PROBE,
    tasks=("probe_action",),
    action_repeat=1,
    env_steps=80,
    time_limit_env_steps=20,
    num_envs=1,
    evaluate_every_env_steps=40,
    evaluate_episodes=2,
)
TINY = {
    "stoch": 3,
    "deter": 6,
    "model_hidden": 6,
    "hidden": 6,
    "batch_sequences": 2,
    "batch_length": 8,
    "prefill_env_steps": 60,
    "pretrain_updates": 1,
    "update_every_env_steps": 20,
    "updates": 1,
    "horizon": 3,
}


def trained(root):
    try:
        run_cohort(request(root, protocol=PROTOCOL, agent="dreamer", overrides=TINY))
    finally:
        found = records(root)
    return found


@pytest.fixture
def plain(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "BUILT_IN", (PROTOCOL,))
    return trained(tmp_path / "plain")


@pytest.fixture
def graphs(plain, monkeypatch):
    """Every learner made from now on uses graphs, although it is on a CPU."""
    stand_in, make = GraphStandIn(monkeypatch), Learner.__init__

    def capturing(self, *args, **more):
        make(self, *args, **more)
        self.capture = True
        stand_in.changing.extend(self.changing)

    monkeypatch.setattr(Learner, "__init__", capturing)
    return stand_in


def test_graphs_that_are_sound_record_what_direct_calls_record(plain, graphs, tmp_path):
    assert trained(tmp_path / "captured") == plain
    assert all(lines[-1]["gradient_steps"] > 0 for lines in plain.values())


def test_a_first_decision_that_differs_ends_the_run_before_its_first_episode_is_recorded(graphs, tmp_path):
    graphs.spoil = lambda results: results[0].add_(0.5) if isinstance(results, tuple) else None
    with pytest.raises(UserError, match="the decision captured as a graph differs"):
        trained(tmp_path / "captured")
    assert not any(records(tmp_path / "captured").values())


def test_a_first_update_that_differs_leaves_the_records_of_direct_calls_before_any_update(plain, graphs, tmp_path):
    """Only the evaluations before it are recorded, as without graphs; the same command stops at the same place again."""

    def spoil(results):
        if isinstance(results, list):  # an update's metrics, a dictionary a round
            next(iter(results[0].values())).mul_(2.0).add_(1.0)

    graphs.spoil = spoil
    root = tmp_path / "captured"
    for _ in range(2):
        with pytest.raises(UserError, match=r"the update captured as a graph differs .*no result of it was recorded"):
            trained(root)
        found = records(root)
        assert found.keys() == plain.keys()
        for name, lines in found.items():
            assert lines == [line for line in plain[name] if line["gradient_steps"] == 0] != []
