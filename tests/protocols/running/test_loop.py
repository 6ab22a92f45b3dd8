"""What the loop counts, when it evaluates, and that evaluating leaves no trace. The oracle is probe_count: its observations
spell the simulator step, the decision, the last action and the episode's seed, and step t pays t + action / 2."""

import json
from dataclasses import replace

import numpy as np
import pytest
from probe_runs import PROBE, learned, records, register, request
from tally_agent import Tally

from protocols.cadence import episode_seed
from protocols.records.store import find_runs
from protocols.running.launch import run_cohort
from protocols.running.stop import Stop
from suites.probes import decode

register()


@pytest.fixture
def watched(monkeypatch):
    """What every agent of this test was shown, and told, in order."""
    told = []
    observe, learn = Tally.observe, Tally.learn

    def note_observe(self, action, step, lanes):
        told.append(("observe", action.copy(), step, lanes.copy()))
        observe(self, action, step, lanes)

    def note_learn(self, progress):
        told.append(("learn", progress))
        return learn(self, progress)

    monkeypatch.setattr(Tally, "observe", note_observe)
    monkeypatch.setattr(Tally, "learn", note_learn)
    return told


def test_env_steps_count_repeats_and_skip_resets(tmp_path, watched):
    run_cohort(request(tmp_path))
    progress = [entry[1] for entry in watched if entry[0] == "learn"]
    # 2 environments x action repeat 2: an iteration is 4 env_steps and 2 decisions, resets or not.
    assert [entry.env_steps for entry in progress] == list(range(4, 801, 4))
    assert [entry.agent_steps for entry in progress] == list(range(2, 401, 2))
    # 9 env_steps at repeat 2 are 5 decisions; the last repeat is cut short and counts whole. 200 iterations, 40 episodes each.
    assert progress[-1].episodes == 80
    assert all(run.result()["env_steps"] == 800 and run.result()["agent_steps"] == 400 for run in find_runs(tmp_path))


def test_no_step_of_training_is_lost_or_shown_twice(tmp_path, watched):
    run_cohort(request(tmp_path))
    calls = [entry[1:] for entry in watched if entry[0] == "observe"]
    for s, seed in enumerate((0, 1)):
        for e in range(2):
            shown = [
                (
                    decode({"vector": step.observation["vector"][s, e]}),
                    action[s, e, 0],
                    step.reward[s, e],
                    step.is_first[s, e],
                    step.is_last[s, e],
                    step.is_terminal[s, e],
                )
                for action, step, lanes in calls
                if lanes[s, e]
            ]
            assert len(shown) == 200 + 41  # every decision, and every reset
            for row, (seen, action, reward, is_first, is_last, is_terminal) in enumerate(shown):
                episode, decision = divmod(row, 6)  # a reset and five decisions
                assert seen.seed == episode_seed(seed, "train", episode * 2 + e)
                assert seen.decisions == decision
                assert seen.env_steps == min(2 * decision, 9)
                assert (is_first, is_last, is_terminal) == (decision == 0, decision == 5, False)
                if decision:
                    assert seen.action == pytest.approx(action)
                    ticks = [tick for tick in (2 * decision - 1, 2 * decision) if tick <= 9]
                    assert reward == pytest.approx(sum(ticks) + len(ticks) * float(action) / 2, rel=1e-6)
                else:
                    assert reward == 0


def test_evaluations_stand_where_the_protocol_puts_them(tmp_path):
    run_cohort(request(tmp_path))
    for run in find_runs(tmp_path):
        lines = run.episodes()
        seed = run.manifest["seed"]
        assert [(line["env_steps"], line["checkpoint"], line["episode"], line["final"]) for line in lines] == [
            *((200 * k, k, n, False) for k in range(5) for n in range(3)),
            *((800, 5, n, True) for n in range(4)),
        ]
        assert [line["env_seed"] for line in lines] == [
            *(episode_seed(seed, "evaluate", index) for index in range(15)),
            *(episode_seed(seed, "final", index) for index in range(4)),
        ]
        assert {line["length"] for line in lines} == {5}
        assert all(abs(line["score"] - 45) <= 4.5 for line in lines)  # 1 + ... + 9, and nine half actions
        window = [line["score"] for line in lines if line["env_steps"] > 500 and not line["final"]]
        assert run.result()["score"] == pytest.approx(np.mean(window))


def test_evaluation_leaves_no_trace_in_training(tmp_path):
    often = replace(PROBE, evaluate_every_env_steps=40, evaluate_episodes=5)
    rarely = replace(PROBE, evaluate_every_env_steps=800, evaluate_episodes=1, final_episodes=0)
    run_cohort(request(tmp_path / "often", protocol=often))
    run_cohort(request(tmp_path / "rarely", protocol=rarely))
    assert learned(tmp_path / "often") == learned(tmp_path / "rarely")
    rows = [sorted(tmp_path.glob(f"{name}/*/*/*/*/metrics.jsonl")) for name in ("often", "rarely")]
    assert json.loads(rows[0][0].read_text().splitlines()[-1])["gradient_steps"] == 50


def test_every_evaluation_has_acting_noise_of_its_own(tmp_path, monkeypatch):
    streams = []
    initial = Tally.initial

    def note(self, num_envs, *, stream=0):
        streams.append(stream)
        return initial(self, num_envs, stream=stream)

    monkeypatch.setattr(Tally, "initial", note)
    run_cohort(request(tmp_path))
    assert streams[0] == 0  # training
    assert len(streams) == len(set(streams)) == 1 + 5 + 1
    assert all(stream > 0 for stream in streams[1:])


def test_more_evaluation_episodes_than_lanes_are_played_in_rounds(tmp_path):
    many = replace(PROBE, env_steps=40, evaluate_every_env_steps=40, evaluate_episodes=23, final_episodes=0)
    run_cohort(request(tmp_path, protocol=many))
    for run in find_runs(tmp_path):
        seeds = [line["env_seed"] for line in run.episodes() if line["checkpoint"] == 1]
        assert seeds == [episode_seed(run.manifest["seed"], "evaluate", 23 + n) for n in range(23)]


def test_final_episodes_are_played_side_by_side_in_as_many_environments_as_the_protocol_says(tmp_path, monkeypatch):
    widths = []
    initial = Tally.initial

    def note(self, num_envs, *, stream=0):
        widths.append(num_envs)
        return initial(self, num_envs, stream=stream)

    monkeypatch.setattr(Tally, "initial", note)
    run_cohort(request(tmp_path, protocol=replace(PROBE, final_episodes=7, final_environments=5)))
    assert widths == [PROBE.num_envs, *[PROBE.evaluate_episodes] * 5, 5]
    for run in find_runs(tmp_path):
        seeds = [line["env_seed"] for line in run.episodes() if line["final"]]
        assert seeds == [episode_seed(run.manifest["seed"], "final", index) for index in range(7)]


def test_final_episodes_in_parallel_are_those_that_are_played_one_after_the_other(tmp_path):
    """An agent that draws nothing meets the same episodes with the same ends, whatever the number of environments."""
    found = {}
    for width in (1, 3, 7):
        protocol = replace(PROBE, final_episodes=7, final_environments=width)
        run_cohort(request(tmp_path / str(width), protocol=protocol, task="probe_count"))
        found[width] = [
            [(line["env_seed"], line["score"], line["length"]) for line in run.episodes() if line["final"]]
            for run in find_runs(tmp_path / str(width))
        ]
    assert len(found[1][0]) == 7
    assert found[1] == found[3] == found[7]


def test_two_runs_of_one_cohort_write_the_same_lines(tmp_path):
    for name in ("one", "other"):
        run_cohort(request(tmp_path / name, task="probe_terminal"))
    assert records(tmp_path / "one") == records(tmp_path / "other")
    assert learned(tmp_path / "one") == learned(tmp_path / "other")


def test_worker_processes_write_the_same_lines(tmp_path):
    short = replace(PROBE, env_steps=80, evaluate_every_env_steps=40)
    for name, workers in (("here", 0), ("there", 2)):
        run_cohort(replace(request(tmp_path / name, protocol=short), workers=workers))
    assert records(tmp_path / "here") == records(tmp_path / "there")


def test_seeds_differ_from_each_other(tmp_path):
    run_cohort(request(tmp_path))
    first, second = ([line["score"] for line in run.episodes()] for run in find_runs(tmp_path))
    assert first != second


def test_episodes_that_end_early_are_scored_to_their_end(tmp_path):
    run_cohort(request(tmp_path, task="probe_terminal"))
    for run in find_runs(tmp_path):
        for line in run.episodes():  # going on pays 1 a step, leaving pays 1.5 and ends
            ended = line["score"] % 1 == 0.5
            steps = line["score"] - 1.5 if ended else line["score"]
            assert line["length"] == (int(steps) // 2 + 1 if ended else 5)


def test_an_end_of_the_task_is_shown_as_one_and_a_time_limit_is_not(tmp_path, watched):
    """Leaving pays 1.5 and is the only way to end before the limit; every other reward is whole."""
    run_cohort(request(tmp_path, task="probe_terminal"))
    steps = [call[2] for call in watched if call[0] == "observe"]
    left = np.concatenate([(step.reward % 1 == 0.5).ravel() for step in steps])
    terminal, last = (np.concatenate([getattr(step, name).ravel() for step in steps]) for name in ("is_terminal", "is_last"))
    np.testing.assert_array_equal(terminal, left)
    assert terminal.any()
    assert (last & ~terminal).any()
    assert last[terminal].all()


def test_it_explores_in_training_and_never_in_evaluation(tmp_path, monkeypatch):
    acted, act = [], Tally.act

    def note(self, carry, step, *, explore):
        acted.append((carry.stream, explore))
        return act(self, carry, step, explore=explore)

    monkeypatch.setattr(Tally, "act", note)
    run_cohort(request(tmp_path))
    assert {explore for stream, explore in acted if stream == 0} == {True}  # training
    assert {explore for stream, explore in acted if stream > 0} == {False}


def test_a_diverged_seed_is_a_result_and_the_others_go_on(tmp_path):
    said = []
    run_cohort(request(tmp_path / "with", overrides={"diverging_seed": 1, "diverging_env_steps": 300}), say=said.append)
    run_cohort(request(tmp_path / "without"))
    kept, lost = find_runs(tmp_path / "with")
    assert (kept.state(), lost.state()) == ("done", "diverged")
    assert lost.result()["score"] is None
    assert max(line["env_steps"] for line in lost.episodes()) == 200
    assert lost.result()["env_steps"] == 304  # the first update at or after 300: every 16 env_steps
    undisturbed = find_runs(tmp_path / "without")[0]
    assert [line["score"] for line in kept.episodes()] == [line["score"] for line in undisturbed.episodes()]
    assert len(said) == 1
    assert "seed 1 diverged" in said[0]


def test_a_cohort_of_diverged_seeds_ends(tmp_path):
    run_cohort(request(tmp_path, seeds=(1,), overrides={"diverging_seed": 1, "diverging_env_steps": 100}))
    run = find_runs(tmp_path)[0]
    assert (run.state(), run.result()["env_steps"], run.result()["gradient_steps"]) == ("diverged", 112, 7)
    assert {line["env_steps"] for line in run.episodes()} == {0}


@pytest.mark.parametrize("decisions", [40, 80, 120])
def test_a_diverged_seed_is_found_at_the_same_place_whenever_the_run_was_interrupted(tmp_path, decisions):
    diverging = {"overrides": {"diverging_seed": 1, "diverging_env_steps": 300}}  # the 76th decision
    run_cohort(request(tmp_path / "straight", **diverging))
    stop, looks = Stop(), iter(range(decisions))
    stop.requested = lambda: next(looks, None) is None  # type: ignore[method-assign]
    assert run_cohort(request(tmp_path / "stopped", **diverging), stop=stop).status == "interrupted"
    run_cohort(request(tmp_path / "stopped", **diverging))
    assert records(tmp_path / "stopped") == records(tmp_path / "straight")
    ends = [
        [(run.result()["status"], run.result()["env_steps"], run.result()["score"]) for run in find_runs(tmp_path / name)]
        for name in ("straight", "stopped")
    ]
    assert ends[0] == ends[1]
    assert ends[0][1] == ("diverged", 304, None)


def test_a_kill_after_a_seed_diverged_and_before_a_checkpoint_changes_nothing(tmp_path):
    diverging = {"overrides": {"diverging_seed": 1, "diverging_env_steps": 300}}
    run_cohort(request(tmp_path / "straight", **diverging))

    def killed(line):  # said right after the result of the diverged seed was written
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cohort(request(tmp_path / "killed", **diverging), say=killed)
    assert [run.state() for run in find_runs(tmp_path / "killed")] == ["resumable", "diverged"]
    run_cohort(request(tmp_path / "killed", **diverging), say=killed)  # and it is not said again
    assert records(tmp_path / "killed") == records(tmp_path / "straight")
    assert find_runs(tmp_path / "killed")[1].result()["env_steps"] == 304


@pytest.mark.parametrize("decisions", [1, 3, 117, 228])
def test_asked_to_stop_between_evaluations_it_goes_on_from_there(tmp_path, decisions):
    run_cohort(request(tmp_path / "straight"))
    stop, asked = Stop(), 0

    def requested():
        nonlocal asked
        asked += 1
        return asked > decisions

    stop.requested = requested  # type: ignore[method-assign]
    outcome = run_cohort(request(tmp_path / "stopped"), stop=stop)
    assert outcome.status == "interrupted"
    assert [run.state() for run in find_runs(tmp_path / "stopped")] == ["resumable"] * 2
    assert run_cohort(request(tmp_path / "stopped")).status == "complete"
    assert records(tmp_path / "straight") == records(tmp_path / "stopped")
    assert learned(tmp_path / "straight") == learned(tmp_path / "stopped")


def test_metrics_are_written_at_every_evaluation(tmp_path):
    run_cohort(request(tmp_path))
    for run in find_runs(tmp_path):
        lines = run.metrics()
        assert [line["env_steps"] for line in lines] == [0, 200, 400, 600, 800]
        assert all("weight" in line for line in lines[1:])
        assert lines[0]["train_return"] is None
        assert 40 < lines[1]["train_return"] < 50
        assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)


def test_what_only_training_needed_is_gone_at_the_end(tmp_path):
    run_cohort(request(tmp_path))
    for run in find_runs(tmp_path):
        assert not (run.folder / "replay").exists()
        assert [path.name for path in run.folder.glob("checkpoint-*")] == ["checkpoint-5"]
        assert not list(run.folder.glob("**/*.tmp"))
