"""A protocol from a user's file: what it takes over, what it refuses, and that records alone tell it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pytest

import dreamer_bench
from dreamer_bench_base import UserError
from protocols import catalog, own, studies
from protocols.records import validate
from protocols.records.store import MANIFEST, find_runs
from protocols.spec import PROSE, Protocol, digest
from tests.make_records import make_run


def written(tmp_path: Path, text: str, name: str = "Mine 100k.toml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_a_file_takes_over_its_base_and_changes_what_it_names(tmp_path):
    mine = catalog.find(written(tmp_path, 'base = "dmc-1m@1"\ntasks = ["dmc_walker_walk"]\nenv_steps = 100_000\nseeds = [7]\n'))
    base = catalog.find("dmc-1m@1")
    assert mine.id == "own-mine-100k@1"
    assert (mine.tasks, mine.env_steps, mine.seeds) == (("dmc_walker_walk",), 100_000, (7,))
    changed = {"id", "tasks", "env_steps", "seeds", "task_options", *PROSE}
    same = [field.name for field in fields(Protocol) if field.name not in changed]
    assert [getattr(mine, name) for name in same] == [getattr(base, name) for name in same]
    assert digest(mine) != digest(base)


def test_the_digest_follows_the_content_not_the_prose(tmp_path):
    first = catalog.find(written(tmp_path, 'base = "dmc-1m@1"\nenv_steps = 100_000\n'))
    prose = catalog.find(written(tmp_path, 'base = "dmc-1m@1"\nenv_steps = 100_000\ntitle = "Short"\n'))
    other = catalog.find(written(tmp_path, 'base = "dmc-1m@1"\nenv_steps = 200_000\n'))
    assert digest(first) == digest(prose) != digest(other)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("env_steps = 0", "env_steps must be a whole number of at least 1, not 0"),
        ("env_steps = 1.5", "env_steps must be a whole number of at least 1, not 1.5"),
        ("env_steps = true", "env_steps must be a whole number"),
        ("env_stepz = 5", "'env_stepz' is not known; did you mean 'env_steps'?"),
        ("seeds = [0, 0]", "seeds must be a list without a number twice"),
        ("seeds = []", "seeds must be a list"),
        ("seeds = [-1]", "seeds must be a list of whole numbers from 0"),
        ("tasks = []", "tasks must be a list of different task names"),
        ("margin = nan", "margin must be a number above 0"),
        ("margin = inf", "margin must be a number above 0"),
        ('normalization = "z"', "normalization must be one of dmc, atari-human"),
        ("score_range = [-inf, 5]", "score_range must be a list of two finite numbers, the lowest and the highest return"),
        ("suite_options = {action_repeat = nan}", "suite_options must be a table of texts, finite numbers, true and false"),
        ("score_range = [5, 1]", "score_range must be a list of the lowest and the highest return, in this order"),
        ('score_rule = {kind = "window"}', "score_rule must be a table with kind"),
        ('score_rule = {kind = "best"}', "score_rule must be a table with kind"),
        ('score_rule = {kind = "final"}\nfinal_episodes = 0', "so give final_episodes"),
        ("env_steps = 5_000", "more than the budget"),
        ("evaluate_episodes = 1_000_000", "more than 10,000,000 evaluation episodes"),
        ("task_profiles = {dmc_walker_walk = 3}", "task_profiles must be a table with the name of a profile for each task"),
        ('task_profiles = {walker = "quick"}', "task_profiles has 'walker', which is not among the tasks"),
        ("task_options = {walker = {action_repeat = 4}}", "task_options has 'walker', which is not among the tasks"),
        ("", "does not differ from dmc-1m@1"),
        ("env_steps = ", "is not TOML"),
        ('id = "dmc-1m@1"', "'id' is not known"),
    ],
)
def test_what_is_no_protocol_is_refused_in_one_line_that_names_the_field(tmp_path, line, told):
    with pytest.raises(UserError) as caught:
        catalog.find(written(tmp_path, f'base = "dmc-1m@1"\n{line}\n'))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_has_no_base_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        catalog.find(str(tmp_path / "nowhere.toml"))
    with pytest.raises(UserError, match="base must name the protocol"):
        catalog.find(written(tmp_path, "env_steps = 5\n"))
    with pytest.raises(UserError, match="'dmc-2m@1' is not known"):
        catalog.find(written(tmp_path, 'base = "dmc-2m@1"\n'))


@pytest.mark.parametrize("name", ["quick@1", "dmc-5m@1", "planet-6@1", "atari-200m@1", "dmlab-30@1"])
def test_a_record_gives_every_protocol_back_whole(name):
    try:
        protocol = catalog.find(name)
    except UserError:
        pytest.skip(f"{name} is not published in this version")
    kept = json.loads(json.dumps(asdict(protocol)))
    assert digest(own.from_data(kept)) == digest(protocol)
    assert own.from_data(kept).tasks == protocol.tasks


def test_a_record_with_a_field_of_a_newer_version_is_refused():
    data = {**asdict(catalog.find("quick@1")), "new_rule": 1}
    with pytest.raises(UserError, match="'new_rule' that is not known here"):
        own.from_data(data)


def test_a_study_runs_under_another_protocol_unless_it_compares_protocols(tmp_path):
    path = written(tmp_path, 'base = "dmc-1m@1"\nenv_steps = 100_000\n')
    rows = studies.under(studies.find("figure-4").rows, path)
    assert {row.protocol for row in rows} == {path}
    assert [row.overrides for row in rows] == [row.overrides for row in studies.find("figure-4").rows]
    with pytest.raises(UserError, match="compares protocols"):
        studies.under(studies.find("figure-12").rows, path)


OWN = """base = "quick@1"
env_steps = 1000
evaluate_every_env_steps = 500
evaluate_episodes = 2
final_episodes = 0
score_rule = {kind = "last"}
seeds = [7, 8]
"""


def whole(tmp_path: Path, text: str = OWN) -> tuple[str, Path]:
    """A protocol file, and a runs folder with every run that it asks for."""
    path = written(tmp_path, text, "mine.toml")
    protocol, root = catalog.find(path), tmp_path / "runs"
    for seed in protocol.seeds:
        scores = {steps: [seed + steps / 100, seed + 1.0] for steps in (0, 500, 1000)}
        make_run(root, protocol, agent="random", task=protocol.tasks[0], seed=seed, scores=scores)
    return path, root


def test_records_under_an_own_protocol_are_held_to_what_their_manifest_keeps(tmp_path):
    path, root = whole(tmp_path)
    Path(path).unlink()
    assert validate.check(root) == []


def test_the_id_of_an_own_protocol_alone_is_refused_with_the_reason():
    with pytest.raises(
        UserError, match=r"own-mine@1 comes from a user's own file and is not installed.* a leaderboard takes only published"
    ):
        catalog.find("own-mine@1")


def test_a_missing_run_of_an_own_protocol_is_seen(tmp_path):
    _, root = whole(tmp_path)
    shutil.rmtree(next(root.glob("*/*/*/seed-8")))
    assert [(violation.rule, "seed 8" in violation.what) for violation in validate.check(root)] == [("complete", True)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"env_steps": 10**15, "evaluate_every_env_steps": 1}, "evaluation episodes"),
        ({"evaluate_episodes": 10**12}, "evaluation episodes"),
        ({"evaluate_every_env_steps": 0}, "evaluate_every_env_steps is 0; expected a whole number from 1"),
        ({"num_envs": "many"}, "num_envs is 'many'; expected a whole number"),
        ({"joined": 3}, "joined is 3; expected an object"),
        ({"id": "own-other@1"}, "holds own-other@1"),
    ],
)
def test_a_kept_protocol_out_of_range_is_one_violation_and_costs_no_time(tmp_path, change, told):
    _, root = whole(tmp_path)
    run = find_runs(root)[0]
    manifest = json.loads((run.folder / MANIFEST).read_text())
    manifest["protocol_data"] |= change
    (run.folder / MANIFEST).write_text(json.dumps(manifest))
    assert any(violation.rule in ("protocol", "record") and told in violation.what for violation in validate.check(root))


def test_a_kept_protocol_without_a_field_that_has_a_default_is_read(tmp_path):
    _, root = whole(tmp_path)
    data = dict(find_runs(root)[0].manifest["protocol_data"])
    del data["score_range"]
    assert own.from_data(data).score_range is None


def answers(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["dreamer-bench", *arguments])
    with pytest.raises(SystemExit) as left:
        dreamer_bench.main()
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out + told.err


@pytest.mark.parametrize("given", ["mine.toml", "own-mine@1"])
@pytest.mark.parametrize(
    "command",
    [
        ["figure", "curves", "runs", "--out", "figures"],
        ["aggregate", "runs", "--reps", "200"],
        ["verify", "runs", "--reference", "other.csv", "--margin", "1"],
        ["status", "runs"],
        ["report", "runs", "--out", "report", "--reps", "200"],
        ["validate", "runs"],
        ["export", "tidy", "runs", "--out", "scores.csv"],
    ],
    ids=lambda command: command[0],
)
def test_every_reader_takes_an_own_protocol_by_its_file_and_by_its_id(tmp_path, monkeypatch, capsys, command, given):
    """Beside runs of another protocol, so that a filter that filters nothing is seen."""
    whole(tmp_path)
    quick = catalog.find("quick@1")
    make_run(
        tmp_path / "runs", quick, agent="sac", task=quick.tasks[0], seed=0, scores={0: [1.0], 10_000: [900.0]}, final=[900.0]
    )
    monkeypatch.chdir(tmp_path)
    lines = [f"other,walker_stand,{seed},1000,{value}" for seed, value in ((0, 12.0), (1, 14.0), (2, 13.0))]
    Path("other.csv").write_text("\n".join(["method,task,seed,env_step,score", *lines]) + "\n")
    code, told = answers([*command, "--protocol", given], monkeypatch, capsys)
    assert code in ((1, 3, 4) if command[0] == "verify" else (0,)), told
    assert "sac" not in told
    if command[0] == "verify":
        verdict = json.loads(Path("verdict.json").read_text())
        assert verdict["question"]["protocol"] == "own-mine@1"


@pytest.mark.parametrize("command", ["figure curves", "aggregate", "status", "report", "validate"])
def test_a_file_that_changed_since_is_refused_by_every_reader(tmp_path, monkeypatch, capsys, command):
    path, _ = whole(tmp_path)
    Path(path).write_text(OWN.replace("env_steps = 1000", "env_steps = 2000", 1))
    monkeypatch.chdir(tmp_path)
    code, told = answers([*command.split(), "runs", "--protocol", "mine.toml"], monkeypatch, capsys)
    assert code == 2
    assert "were made under another mine.toml" in told
