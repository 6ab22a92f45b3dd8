"""`evaluate`, `video` and `imagine` on the checkpoint of a run: the same episodes as the run's own final evaluation."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from probe_runs import PROBE, request

from dreamer_bench import ImagineCommand
from protocols import catalog
from protocols.records.json_files import read_lines
from protocols.records.store import EPISODES
from protocols.running.launch import run_cohort
from protocols.running.load_run import revive
from protocols.running.playback_commands import EvaluateCommand, VideoCommand
from protocols.running.replay_check import Replays
from protocols.spec import ScoreRule


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cut quick@1 run of the random agent on the real simulator."""
    from protocols.running.commands import COMMANDS

    root = tmp_path_factory.mktemp("runs")
    COMMANDS["run"](protocol="quick@1", agents=("random",), seeds=(1,), runs=root, limit=1000).run()
    (run,) = root.glob("quick@1/random~1000/*/seed-1")
    return run


def test_evaluate_plays_the_final_evaluation_again_to_the_bit(folder, tmp_path, capsys):
    recorded = [line for line in read_lines(folder / EPISODES) if line["final"]]
    assert EvaluateCommand(run_folder=folder, episodes=len(recorded), json=tmp_path / "scores.json").run() == 0
    played = json.loads((tmp_path / "scores.json").read_text())["episodes"]
    assert [(each["env_seed"], each["score"]) for each in played] == [(line["env_seed"], line["score"]) for line in recorded]
    assert f"n={len(recorded)} episodes" in capsys.readouterr().out


def test_evaluating_leaves_the_record_alone(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    EvaluateCommand(run_folder=folder, episodes=1).run()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_video_holds_every_frame_of_the_episode(folder, tmp_path, ending):
    target = tmp_path / f"episode.{ending}"
    assert VideoCommand(run_folder=folder, out=target).run() == 0
    (episode,) = revive(folder).play(1, film=True)
    with Image.open(target) as film:
        assert film.size == (64, 64)
        assert film.n_frames >= 0.9 * len(episode.frames)  # GIF joins frames that do not differ
        first = np.asarray(film.convert("RGB"), np.float32)
    assert np.abs(first - episode.frames[0]).mean() < 12


def test_what_is_no_run_or_has_no_checkpoint_is_refused_in_one_line(folder, tmp_path):
    with pytest.raises(ValueError, match="is not a run; give one seed's folder"):
        revive(tmp_path)
    bare = tmp_path / "seed-0"
    bare.mkdir()
    (bare / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    with pytest.raises(ValueError, match="no checkpoint yet"):
        revive(bare)
    with pytest.raises(ValueError, match=r"ending in \.webp or \.gif"):
        VideoCommand(run_folder=folder, out=tmp_path / "film.avi").run()
    for target in (tmp_path, tmp_path / "missing" / "scores.json"):
        with pytest.raises(ValueError, match="make its folder first"):
            EvaluateCommand(run_folder=folder, json=target).run()
    with pytest.raises(ValueError, match="is a file; give a folder"):
        ImagineCommand(run_folder=folder, out=folder / "manifest.json").run()
    with pytest.raises(ValueError, match="agent 'random' has no world model; give a run of dreamer"):
        ImagineCommand(run_folder=folder, out=tmp_path / "imagine").run()
    assert not (tmp_path / "imagine").exists()


TINY = {
    "stoch": 3,
    "deter": 6,
    "model_hidden": 6,
    "hidden": 6,
    "depth": 1,
    "batch_sequences": 2,
    "batch_length": 8,
    "prefill_env_steps": 60,
    "pretrain_updates": 2,
    "update_every_env_steps": 20,
    "updates": 1,
}
LOOKING = {"planner_horizon": 2, "planner_iterations": 2, "planner_candidates": 8, "planner_elites": 2}


@pytest.mark.parametrize(
    ("agent", "discrete", "settings"),
    [
        ("dreamer", False, {"horizon": 3, "actor_learning_rate": 0.1}),
        ("dreamer_v2", True, {"horizon": 3, "latent_classes": 4, "actor_learning_rate": 0.1, "slow_value_every": 2}),
        ("no_value", True, {"horizon": 3, "actor_learning_rate": 0.1, "representation": "contrastive"}),
        ("sac", True, {"burn_in": 2, "dynamics": "stochastic"}),
        ("planet", False, LOOKING),
    ],
)
def test_one_seed_of_any_arm_is_evaluated_filmed_and_looked_into(agent, discrete, settings, tmp_path, monkeypatch):
    """Trained as two seeds together, on pixels, under either kind of action; brought back alone."""
    protocol = replace(
        PROBE,
        tasks=("probe_action",),
        suite_options={"pixels": True, "discrete": discrete},
        action_repeat=1,
        env_steps=80,
        time_limit_env_steps=20,
        num_envs=1,
        evaluate_every_env_steps=40,
        evaluate_episodes=2,
        final_episodes=2,
        score_rule=ScoreRule(kind="final"),
        agent_profile="discrete" if discrete else "paper",
    )
    monkeypatch.setattr(catalog, "BUILT_IN", (protocol,))
    run_cohort(request(tmp_path, protocol=protocol, agent=agent, overrides={**TINY, **settings}))
    (run,) = tmp_path.rglob("seed-1")
    recorded = [line["score"] for line in read_lines(run / EPISODES) if line["final"]]
    assert EvaluateCommand(run_folder=run, episodes=2, json=tmp_path / "scores.json").run() == 0
    played = [each["score"] for each in json.loads((tmp_path / "scores.json").read_text())["episodes"]]
    assert played == pytest.approx(recorded, abs=0.01)  # alone as together, but for the last digits of float32
    Replays()([run.with_name("seed-0"), run], [True, True])  # together: to the bit, or it raises
    assert VideoCommand(run_folder=run, out=tmp_path / "episode.gif").run() == 0
    assert ImagineCommand(run_folder=run, context=3, steps=8, episodes=2).run() == 0
    with Image.open(run / "imagine" / "imagination.gif") as film:
        assert film.n_frames == 11
    rows = list(csv.DictReader((run / "imagine" / "imagination.csv").open()))
    assert [row["image_seen"] for row in rows] == 2 * (3 * ["1"] + 8 * ["0"])
    assert all(0.0 < float(row["image_error"]) < 1.0 for row in rows)


def test_the_tasks_of_a_joined_run_are_looked_into_in_their_order(tmp_path, monkeypatch, capsys):
    """Three sequences of two joined probes, of which the second pays nothing at every other step."""
    name, parts = "joined:two", ("probe_action", "probe_two_step")
    protocol = replace(
        PROBE,
        tasks=(name,),
        joined={name: tuple(f"{part}*1" for part in parts)},
        suite_options={"observation": "pixels"},
        task_options={},
        action_repeat=1,
        env_steps=80,
        time_limit_env_steps=20,
        num_envs=1,
        evaluate_every_env_steps=40,
        evaluate_episodes=2,
        final_episodes=2,
        score_rule=ScoreRule(kind="final"),
        agent_profile="paper",
    )
    monkeypatch.setattr(catalog, "BUILT_IN", (protocol,))
    run_cohort(request(tmp_path, protocol=protocol, agent="planet", overrides={**TINY, **LOOKING}, seeds=(0,)))
    (run,) = tmp_path.rglob("seed-0")
    capsys.readouterr()
    assert ImagineCommand(run_folder=run, context=3, steps=8, episodes=3).run() == 0
    assert f"tasks of the sequences, from 0: {parts[0]}, {parts[1]}, {parts[0]}" in capsys.readouterr().out
    rewards = {}
    for row in csv.DictReader((run / "imagine" / "imagination.csv").open()):
        rewards.setdefault(row["sequence"], []).append(float(row["reward"]))
    assert [all(reward == 0.0 for reward in rewards[each][1::2]) for each in ("0", "1", "2")] == [False, True, False]
