"""The submission checker: a whole record passes, and every way of spoiling one is named by its rule."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dreamer_bench_base import UserError
from protocols import catalog
from protocols.cadence import cadence_of
from protocols.costs.commands import ValidateCommand
from protocols.records import chain, profiles, schedule
from protocols.records.drift import simulator_drift
from protocols.records.json_files import append_lines
from protocols.records.line_log import LineLog
from protocols.records.rules import RULES
from protocols.records.score import counts, points
from protocols.records.store import EPISODES, MANIFEST, METRICS, RESULT, SESSIONS, find_runs, seal, sha256, write_result
from protocols.records.validate import check
from tests.make_records import make_run

PROTOCOL = catalog.find("quick@1")
TASK = PROTOCOL.tasks[0]


def scores_of(seed):
    cadence = cadence_of(PROTOCOL, TASK, PROTOCOL.env_steps)
    return {
        steps: [100.0 + seed + index + episode / 8 for episode in range(PROTOCOL.evaluate_episodes)]
        for index, steps in enumerate(cadence.evaluation_env_steps)
    }


def write(root, seed, *, scores=None, final=None, **more):
    final = [200.0 + seed + episode for episode in range(PROTOCOL.final_episodes)] if final is None else final
    return make_run(
        root, PROTOCOL, agent="dreamer", task=TASK, seed=seed, scores=scores or scores_of(seed), final=final, **more
    )


def write_all(root, **first):
    """A whole submission; `first` spoils its first run."""
    runs = [write(root, seed, **(first if seed == PROTOCOL.seeds[0] else {})) for seed in PROTOCOL.seeds]
    return runs[0]


def rewrite_lines(run, change):
    """Edits the episode lines as somebody might who also knows how to make chain and hashes fit."""
    lines = [change(dict(line), index) for index, line in enumerate(run.episodes())]
    (run.folder / EPISODES).unlink()
    LineLog(run.folder / EPISODES, 0, chain.origin(run.manifest)).write(
        [{name: value for name, value in line.items() if name != "previous"} for line in lines if line is not None]
    )
    refresh_hashes(run)


def refresh_hashes(run):
    result = json.loads((run.folder / RESULT).read_text())
    result["sha256"] = {name: sha256(run.folder / name) for name in result["sha256"]}
    result["chain"], _ = chain.end(run.manifest, run.episodes())
    result["seal"] = seal(result)
    (run.folder / RESULT).write_text(json.dumps(result))


def broken(root):
    return {violation.rule for violation in check(root)}


def test_a_whole_submission_breaks_no_rule(tmp_path):
    write_all(tmp_path)
    assert check(tmp_path) == []


def early(number):
    """The scores of the first evaluations of a run that diverges on its way to the next one."""
    return dict(list(scores_of(0).items())[:number])


def diverged(root, number=3, **more):
    run = write_all(root, scores=early(number), final=[], status=None, **more)
    last = run.metrics()[-1]
    made = run.manifest["options"]["updates"]  # every 100 env_steps
    counts = {"env_steps": last["env_steps"] + 100, "agent_steps": last["agent_steps"] + 25}
    counts["gradient_steps"] = last["gradient_steps"] + made
    said = {"seconds": 99.0, "env_steps_per_second": 1.0, "train_return": None}
    append_lines(run.folder / METRICS, [{**counts, **said, "diverged": True}])
    write_result(run, status="diverged", **counts, wall_seconds=99.0, device_seconds=99.0)
    return run


def test_a_diverged_run_is_a_result(tmp_path):
    diverged(tmp_path)
    assert check(tmp_path) == []


@pytest.mark.parametrize(("at", "rules"), [(0, {"score"}), (-1, {"score"})])
def test_a_run_with_a_return_that_is_not_finite_ends_with_a_result(tmp_path, at, rules):
    """The score is None if such a return counts (the final ones do); `validate` refuses the record."""
    final = [200.0 + episode for episode in range(PROTOCOL.final_episodes)]
    scores = scores_of(0)
    (scores[0] if at == 0 else final)[at] = float("nan")
    run = write_all(tmp_path, scores=scores, final=final)
    assert (run.result()["score"] is None) == (at == -1)
    assert broken(tmp_path) == rules


def test_a_diverged_run_needs_what_came_before(tmp_path):
    """The bad seed of three set to diverged, with nothing to show."""
    run = diverged(tmp_path)
    rewrite_lines(run, lambda line, index: None)
    assert "cadence" in broken(tmp_path)


def test_a_diverged_run_needs_the_line_that_says_so(tmp_path):
    run = diverged(tmp_path)
    lines = (run.folder / METRICS).read_text().splitlines(keepends=True)
    (run.folder / METRICS).write_text("".join(lines[:-1]))
    refresh_hashes(run)
    assert broken(tmp_path) == {"diverged"}


def test_a_diverged_run_counts_as_its_protocol_says(tmp_path, monkeypatch):
    own = replace(PROTOCOL, id="own@1", diverged="untrained")
    monkeypatch.setattr(catalog, "BUILT_IN", (own,))
    monkeypatch.setattr(f"{__name__}.PROTOCOL", own)
    run = diverged(tmp_path)
    assert check(tmp_path) == []
    untrained = sum(scores_of(0)[0]) / len(scores_of(0)[0])  # before any training
    assert run.result()["score"] == untrained
    assert counts(run) is None
    taken = [line["score"] for line in points(run, run.episodes()) if line["final"]]
    assert sum(taken) / len(taken) == untrained


def edit_result(run, **fields):
    result = json.loads((run.folder / RESULT).read_text()) | fields
    (run.folder / RESULT).write_text(json.dumps(result))
    refresh_hashes(run)


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"status": "whatever"}, {"record"}),
        ({"status": None}, {"record"}),
        ({"more": 1}, {"record"}),
        ({"wall_seconds": -5}, {"times"}),
        ({"wall_seconds": 0, "device_seconds": 0}, {"times"}),
        ({"gradient_steps": 0}, {"counts", "schedule"}),
        ({"env_steps": "10000"}, {"record"}),
        ({"episodes": 3}, {"counts"}),
        ({"score": 990.0}, {"score"}),
        ({"status": "diverged"}, {"diverged", "cadence", "score"}),
    ],
)
def test_a_result_with_another_value_is_refused(tmp_path, fields, rules):
    edit_result(write_all(tmp_path), **fields)
    found = broken(tmp_path)
    assert found
    assert found <= rules | {"complete"}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        ({"created": "1999-01-01T00:00:00+00:00"}, "times"),
        ({"created": "yesterday"}, "times"),
        ({"options": {}}, "options"),
        ({"options": {**profiles.known()["dreamer"]["quick"], "horizon": 3}}, "options"),
        ({"options": {**profiles.known()["dreamer"]["quick"], "extra": 3}}, "options"),
        ({"schema": 3}, "record"),
        ({"cohort": "0"}, "record"),
        ({"surprise": 1}, "record"),
        ({"hardware": {}}, "record"),
    ],
)
def test_a_manifest_with_another_value_is_refused(tmp_path, spoil, rule):
    run = write_all(tmp_path)
    (run.folder / MANIFEST).write_text(json.dumps({**run.manifest, **spoil}))
    refresh_hashes(run)
    assert rule in broken(tmp_path)


def test_a_run_without_sessions_is_refused(tmp_path):
    run = write_all(tmp_path)
    (run.folder / SESSIONS).write_text("")
    refresh_hashes(run)
    assert broken(tmp_path) == {"record", "complete"}


def test_updates_that_do_not_follow_the_schedule_are_seen(tmp_path):
    run = write_all(tmp_path)
    rewrite_lines(run, lambda line, index: line | {"gradient_steps": line["gradient_steps"] // 2})
    assert {"schedule"} <= broken(tmp_path)


def test_a_seed_given_twice_with_one_score_moved_is_seen(tmp_path):
    moved = {steps: [score + 1e-9 * (steps == 0) for score in scores] for steps, scores in scores_of(1).items()}
    write_all(tmp_path, scores=moved, final=[201.0 + episode for episode in range(PROTOCOL.final_episodes)])
    assert broken(tmp_path) == {"distinct"}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        ({"digest": "0" * 64}, "protocol"),
        ({"protocol_data": {**asdict(PROTOCOL), "margin": 0.5}}, "protocol"),
        ({"status": None}, "complete"),
        ({"limit_env_steps": PROTOCOL.evaluate_every_env_steps}, "budget"),
        ({"scores": dict(list(scores_of(0).items())[1:])}, "cadence"),
        ({"scores": {steps: scores[:-1] for steps, scores in scores_of(0).items()}}, "cadence"),
        ({"scores": scores_of(0) | {PROTOCOL.evaluate_every_env_steps // 2: [1.0]}}, "cadence"),
        ({"final": [1.0]}, "cadence"),
        ({"scores": scores_of(0) | {0: [1_000.1] * PROTOCOL.evaluate_episodes}}, "score"),
        ({"scores": scores_of(0) | {0: [float("nan")] * PROTOCOL.evaluate_episodes}}, "score"),
        ({"packages": {**PROTOCOL.simulators, "mujoco": "2.0.0"}}, "simulators"),
        ({"packages": {}}, "simulators"),
        ({"commit": None}, "commit"),
        ({"dirty": True}, "commit"),
    ],
)
def test_a_spoiled_run_is_named_by_its_rule(tmp_path, spoil, rule):
    run = write_all(tmp_path, **spoil)
    found = check(tmp_path)
    assert rule in {violation.rule for violation in found}
    assert {violation.run for violation in found if violation.rule == rule} == {run.folder.relative_to(tmp_path).as_posix()}
    assert all("\n" not in violation.what for violation in found)


def test_a_changed_score_is_seen_by_the_hash_and_with_a_new_hash_by_the_result(tmp_path):
    run = write_all(tmp_path)
    file = run.folder / EPISODES
    file.write_text(file.read_text().replace("200.0", "900.0"))
    assert broken(tmp_path) == {"hash", "score"}
    refresh_hashes(run)
    assert broken(tmp_path) == {"hash", "score"}  # the chain is broken still
    rewrite_lines(run, lambda line, index: line)
    assert broken(tmp_path) == {"score"}


def test_a_dropped_episode_is_a_hole(tmp_path):
    run = write_all(tmp_path)
    rewrite_lines(run, lambda line, index: None if index == 0 else line)
    assert broken(tmp_path) == {"cadence", "counts"}


def test_an_episode_under_a_chosen_seed_is_seen(tmp_path):
    run = write_all(tmp_path)
    rewrite_lines(run, lambda line, index: line | {"env_seed": 7} if index == 1 else line)
    assert broken(tmp_path) == {"episode_seed"}


def test_steps_that_do_not_fit_the_action_repeat_are_seen(tmp_path):
    run = write_all(tmp_path)
    rewrite_lines(run, lambda line, index: line | {"agent_steps": line["agent_steps"] + 1} if index == 0 else line)
    assert broken(tmp_path) == {"counts"}


def test_a_copied_seed_is_seen_even_when_its_manifest_was_corrected(tmp_path):
    write_all(tmp_path, scores=scores_of(1), final=[201.0 + episode for episode in range(PROTOCOL.final_episodes)])
    assert broken(tmp_path) == {"distinct"}


def test_a_missing_seed_and_a_seed_of_ones_own_are_seen(tmp_path):
    for seed in (*PROTOCOL.seeds[1:], 77):
        write(tmp_path, seed)
    assert [(violation.rule, violation.run) for violation in check(tmp_path)] == [
        ("protocol", f"quick@1/dreamer/{TASK}/seed-77"),
        ("complete", "quick@1/dreamer"),
    ]


def test_a_study_of_options_is_complete_with_the_runs_that_it_asked_for_and_a_submission_is_not(tmp_path):
    for seed in PROTOCOL.seeds[:2]:
        write(tmp_path, seed, overrides={"horizon": 5}, asked={"tasks": [TASK], "seeds": list(PROTOCOL.seeds[:2])})
    assert check(tmp_path) == []
    [violation] = check(tmp_path, submission=True)
    assert violation.rule == "complete"
    assert violation.what.startswith(f"{len(PROTOCOL.seeds) - 2} of {len(PROTOCOL.seeds)} runs are missing")
    shutil.rmtree(find_runs(tmp_path)[0].folder)
    [violation] = check(tmp_path)
    assert violation.what == f"1 of 2 runs are missing: {TASK} seed {PROTOCOL.seeds[0]}"


def test_a_moved_folder_is_seen(tmp_path):
    run = write_all(tmp_path)
    run.folder.rename(run.folder.with_name("seed-9"))
    assert broken(tmp_path) == {"place"}


def test_a_damaged_record_is_named_and_does_not_hide_the_others(tmp_path):
    run = write_all(tmp_path)
    (run.folder / EPISODES).write_text('{"env_steps": 0\n{}\n')
    assert "record" in broken(tmp_path)


@pytest.mark.parametrize(
    ("session", "rules"),
    [({"dirty": False}, set()), ({"dirty": True}, {"commit"}), ({"dirty": False, "commit": None}, {"commit"})],
)
def test_code_that_went_on_with_a_run_is_held_to_the_same_rule(tmp_path, session, rules):
    run = write_all(tmp_path)
    line = run.sessions()[0] | {"created": "2026-11-21T12:00:00+00:00", "commit": "c" * 40, **session}
    append_lines(run.folder / SESSIONS, [line])
    refresh_hashes(run)
    assert broken(tmp_path) == rules


def test_a_reader_is_told_of_another_simulator(tmp_path):
    run = write_all(tmp_path, packages={"dm_control": "1.0.50", "mujoco": "3.18.0"})
    assert simulator_drift(run.manifest) == {"mujoco": (PROTOCOL.simulators["mujoco"], "3.18.0")}


@pytest.mark.parametrize("name", [EPISODES, MANIFEST, METRICS, SESSIONS])
@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, path.stat().st_size // 2), lambda path: path.unlink()])
def test_no_file_of_a_finished_run_can_be_cut_or_taken_away(tmp_path, name, damage):
    run = write_all(tmp_path)
    damage(run.folder / name)
    assert broken(tmp_path) & {"hash", "record", "complete"}


@pytest.mark.parametrize("name", [METRICS, SESSIONS, RESULT])
def test_one_digit_changed_in_a_file_is_seen(tmp_path, name):
    run = write_all(tmp_path)
    text = (run.folder / name).read_text()
    (run.folder / name).write_text(text.replace("1", "2", 1))
    assert "hash" in broken(tmp_path)


def test_a_line_of_a_run_under_way_cannot_be_taken_out(tmp_path):
    run = write_all(tmp_path, status=None)
    lines = (run.folder / EPISODES).read_text().splitlines(keepends=True)
    (run.folder / EPISODES).write_text("".join([*lines[:1], *lines[2:]]))
    assert "hash" in broken(tmp_path)
    (run.folder / EPISODES).write_text("".join(lines))
    assert "hash" not in broken(tmp_path)


def test_a_record_written_before_the_chain_still_holds():
    """Three runs of the random agent, written by commit fb0a2b6 under schema 1."""
    root = Path(__file__).parents[1] / "records_of_schema_1"
    assert check(root) == []
    scores = [run.result()["score"] for run in find_runs(root)]
    assert scores == pytest.approx([151.2, 153.6, 142.1], abs=0.06)  # as the command printed them


def test_the_command_writes_a_list_and_leaves_with_four(tmp_path, capsys):
    runs, report = tmp_path / "runs", tmp_path / "violations.json"
    write_all(runs, dirty=True)
    assert ValidateCommand(runs=runs, json=report).run() == 4
    written = json.loads(report.read_text())
    assert (written["valid"], written["runs"]) == (False, len(PROTOCOL.seeds))
    assert [violation["rule"] for violation in written["violations"]] == ["commit"]
    assert set(written["rules"]) == set(RULES)
    assert "1 violations of commit" in capsys.readouterr().out


def test_the_command_leaves_with_zero_when_every_rule_holds(tmp_path, capsys):
    write_all(tmp_path)
    assert ValidateCommand(runs=tmp_path).run() == 0
    assert "every rule holds" in capsys.readouterr().out


def test_what_is_no_runs_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        ValidateCommand(runs=tmp_path / "nothing").run()


def test_a_folder_without_runs_is_not_valid(tmp_path):
    with pytest.raises(UserError, match="holds no run yet"):
        ValidateCommand(runs=tmp_path).run()


def test_a_file_with_the_name_of_a_protocol_is_no_protocol(tmp_path):
    """A picture beside `runs/` once made the folder a runs folder without runs."""
    write_all(tmp_path / "runs", dirty=True)
    (tmp_path / "logo@2x.png").write_bytes(b"")
    assert broken(tmp_path) == {"commit"}


@pytest.mark.parametrize(
    ("name", "value"), [("batch_length", "abc"), ("batch_length", None), ("updates", 10**400), ("prefill_env_steps", -1)]
)
def test_an_option_of_the_schedule_is_a_count(tmp_path, name, value):
    options = {**profiles.known()["dreamer"]["quick"], name: value}
    run = write_all(tmp_path)
    assert [rule for rule, _ in schedule.faults({**run.manifest, "options": options}, PROTOCOL, run.episodes(), None)] == [
        "schedule"
    ]
