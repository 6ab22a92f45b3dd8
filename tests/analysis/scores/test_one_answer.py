"""One answer for one set of records: report, aggregate, export, figure, verify and board count the same runs by one rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.commands import AggregateCommand, ExportCommand, VerifyCommand
from analysis.figures.gather import gather
from analysis.leaderboard import evidence, submissions
from analysis.leaderboard.entries import entries_of
from analysis.report import build
from analysis.scores import exchange, from_runs, per_run, table
from analysis.statistics.aggregate_table import aggregate_scores
from analysis.verify.procedure import verify_scores
from dreamer_bench_base import InvalidData, UserError
from protocols import catalog
from protocols.cadence import cadence_of
from protocols.records.json_files import append_lines
from protocols.records.store import METRICS, Run, write_result
from protocols.spec import Protocol, ScoreRule
from tests.attacks.submissions import write_card
from tests.make_records import make_run

DMC = catalog.find("dmc-1m@1")
TASK = "dmc_walker_walk"


def diverged(root: Path, stop: int) -> Path:
    """Five seeds, of which the last diverged at `stop`: the case of ../shared/cases, at a tenth of its evaluations."""
    for seed in range(5):
        bad = seed == 4
        steps = range(0, (stop if bad else DMC.env_steps) + 1, 10_000)
        scores = {s: [(5.0 if bad and s > 300_000 else 900.0 + seed) * s / 1e6] for s in steps}
        make_run(
            root, DMC, agent="dreamer", task=TASK, seed=seed, scores=scores,
            final=() if bad else [900.0] * 10, status="diverged" if bad else "complete",
        )  # fmt: skip
    return root


def aggregate_json(capsys: pytest.CaptureFixture[str], **options: object) -> dict[str, object]:
    aggregate_scores(AggregateCommand(reps=100, json=True, **options))  # type: ignore[arg-type]
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("stop", [990_000, 500_000])
@pytest.mark.parametrize("at", [None, 1_000_000, 450_000])
def test_a_diverged_run_counts_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str], stop: int, at: int | None) -> None:
    runs = diverged(tmp_path / "runs", stop)
    counted = {"0", "1", "2", "3"}
    result = aggregate_json(capsys, scores=(runs,), metrics=("mean",), at=at)
    (mean,) = result["estimates"]  # type: ignore[misc]
    assert mean["runs"] == 4
    assert any("seed 4 left out" in note for note in result["notes"])  # type: ignore[attr-defined]
    assert set(gather([runs], at=at, reps=100).scores["seed"]) == counted
    exchange.export_scores(ExportCommand(format="rliable", scores=(runs,), out=tmp_path / "x.npz", at=at))
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["dreamer"].shape == (4, 1)
        assert archive["dreamer"].mean() / 1000 == pytest.approx(mean["point"])
    if at is None:
        summary = build.build([runs], tmp_path / "report", reps=100)["sections"][0]
        assert summary["means"][0]["point"] / 1000 == pytest.approx(mean["point"])
        assert summary["means"][0]["runs"] == 4


def test_the_rule_of_a_protocol_that_is_not_installed_is_that_of_its_manifests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = ScoreRule(kind="window", window_env_steps=6_000)
    protocol = replace(catalog.find("quick@1"), id="elsewhere@1", env_steps=10_000, score_rule=rule, final_episodes=0)
    for seed in range(3):
        scores = {x: [float(x + seed)] for x in range(0, 10_001, 2_000)}
        make_run(tmp_path / "runs", protocol, agent="mine", task=protocol.tasks[0], seed=seed, scores=scores)
    by_hand = (6_000 + 8_000 + 10_000) / 3 + 1  # the points after 4,000; the middle of three seeds
    for at in (None, 10_000):
        result = aggregate_json(capsys, scores=(tmp_path / "runs",), metrics=("mean",), at=at)
        assert result["estimates"][0]["point"] == pytest.approx(by_hand / 1000)  # type: ignore[index]
        assert result["rule"] == "mean of the last 6,000 env steps before 10,000"
        assert gather([tmp_path / "runs"], at=at, reps=100).scores["score"].mean() == pytest.approx(by_hand)
    assert table.protocols_of(from_runs.find(tmp_path / "runs")) == {"elsewhere@1": _as_recorded(protocol)}
    other = aggregate_json(capsys, scores=(tmp_path / "runs",), metrics=("mean",), at=8_000)
    assert other["rule"] == "last evaluation at or before 8,000 env steps"


def _as_recorded(protocol: Protocol) -> Protocol:
    return protocol


def test_a_score_file_of_an_unknown_protocol_is_not_scored_by_another_rule(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("method,task,seed,env_step,score,protocol\n" + "".join(f"m,pong,{s},10,1,gone@1\n" for s in range(3)))
    points = table.read([file])
    with pytest.raises(UserError, match=r"protocol 'gone@1' is not installed, .*--at and --window"):
        per_run.select(points)
    assert len(per_run.select(points, at=10).scores) == 3


def test_two_protocols_are_not_compared_by_a_rule_of_neither(tmp_path: Path) -> None:
    make_run(tmp_path, DMC, agent="a", task=TASK, seed=0, scores={0: [1.0], 1_000_000: [2.0]}, final=[3.0])
    quick = catalog.find("quick@1")
    make_run(tmp_path, quick, agent="b", task=quick.tasks[0], seed=0, scores={0: [1.0], quick.env_steps: [2.0]}, final=[3.0])
    with pytest.raises(UserError, match=r"the protocols dmc-1m@1, quick@1, .*choose one with --protocol"):
        per_run.select(table.read([tmp_path]))


@pytest.mark.parametrize("short", ["drop", "carry", "fail"])
def test_short_changes_short_runs_only(tmp_path: Path, short: per_run.Short) -> None:
    """Every run's last point lies a little before the budget: under `carry`, too, the window is that before the budget."""
    file = tmp_path / "x.csv"
    ends = {0: 95, 1: 98} if short == "fail" else {0: 95, 1: 98, 2: 40}
    rows = [f"m,pong,{seed},{x},{x}" for seed, end in ends.items() for x in range(end % 5, end + 1, 5)]
    file.write_text("\n".join(["method,task,seed,env_step,score", *rows]) + "\n")
    scores = per_run.select(table.read([file]), at=100, window=10, short=short).scores.set_index("seed")["score"]
    assert scores["0"] == 95.0  # of 91 to 100: the point at 95
    assert scores["1"] == np.mean([93.0, 98.0])
    if short == "carry":
        assert scores["2"] == np.mean([35.0, 40.0])  # of 31 to 40, its own end


def test_runs_without_a_result_count_only_where_they_have_been(tmp_path: Path) -> None:
    for seed in range(3):
        scores = {x: [float(x)] for x in range(0, 1_000_001, 100_000)}
        make_run(tmp_path, DMC, agent="a", task=TASK, seed=seed, scores=scores, status=None if seed == 2 else "complete")
    points = table.read([tmp_path])
    assert per_run.select(points, at=500_000).scores["seed"].tolist() == ["0", "1", "2"]
    with pytest.raises(InvalidData, match=r"seed 2 stops short of 1,000,000 env_steps \(it has no result, and ends at"):
        per_run.select(points)
    assert per_run.select(points, short="drop").scores["seed"].tolist() == ["0", "1"]
    assert {row["runs"] for row in build.build([tmp_path], tmp_path / "out", reps=100)["sections"][0]["means"]} == {2}


def test_cut_runs_are_named_as_cut(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / "runs", DMC, agent="a", task=TASK, seed=seed, scores={0: [1.0], 2000: [2.0]}, limit_env_steps=2000)
    says = r"no run (of dmc-1m@1 )?counts: a~2000, dmc_walker_walk, seed 0 and 2 more left out: its budget was cut with --limit"
    with pytest.raises(InvalidData, match=says):
        gather([tmp_path / "runs"], reps=100)
    with pytest.raises(InvalidData, match=says):
        aggregate_scores(AggregateCommand(scores=(tmp_path / "runs",), reps=100))
    command = VerifyCommand(scores=(tmp_path / "runs",), reference="dreamer-2020-appendix-g", json=tmp_path / "v.json", at=None)
    assert verify_scores(command) == 4
    assert "cut with --limit" in (tmp_path / "v.json").read_text()


def test_verify_takes_its_protocol_from_the_manifests(tmp_path: Path) -> None:
    rule = ScoreRule(kind="window", window_env_steps=6_000)
    protocol = replace(catalog.find("quick@1"), id="elsewhere@1", env_steps=10_000, score_rule=rule, final_episodes=0)
    for root, level in (("new", 0.0), ("old", 1.0)):
        for seed in range(5):
            scores = {x: [float(x / 20 + 7 * seed + level)] for x in range(0, 10_001, 2_000)}
            make_run(tmp_path / root, protocol, agent="mine", task=protocol.tasks[0], seed=seed, scores=scores)
    verify_scores(
        VerifyCommand(scores=(tmp_path / "new",), reference=str(tmp_path / "old"), json=tmp_path / "v.json", margin=1.0)
    )
    verdict = json.loads((tmp_path / "v.json").read_text())
    assert verdict["suite"]["difference"] == pytest.approx(-0.001)
    assert verdict["question"]["protocol"] == "elsewhere@1"
    assert verdict["question"]["normalization"] == "dmc"


# ---------------------------------------------------------------- all six beside each other

LEVELS, UNTRAINED = (300.0, 500.0, 640.0), 20.0
SIX = replace(catalog.find("quick@1"), id="six@1", evaluate_episodes=2, final_episodes=2)
Answers = Callable[[Protocol, str | None], dict[str, float | str]]


def three_seeds(root: Path, protocol: Protocol, last: str | None = "complete", *, more: float = 0.0) -> Path:
    """Three runs, of which the last has this status; one that is not complete ends half way."""
    task = protocol.tasks[0]
    times = cadence_of(protocol, task, protocol.env_steps).evaluation_env_steps
    for seed, level in enumerate(LEVELS):
        whole = seed < 2 or last == "complete"
        scores = {
            time: [UNTRAINED + seed + (level - UNTRAINED) * time / protocol.env_steps + more + off for off in (-1, 1)]
            for time in times
            if whole or time <= protocol.env_steps // 2
        }
        final = [level + more - 1, level + more + 1] if whole else []
        status = "complete" if whole else None
        run = make_run(root, protocol, agent="dreamer", task=task, seed=seed, scores=scores, status=status, final=final)
        if seed == 2 and last == "diverged":
            diverge(run)
    return root


def diverge(run: Run) -> None:
    """The next updates of a run give a loss that is not finite, and it ends."""
    before = run.metrics()[-1]
    counts = {
        "env_steps": before["env_steps"] + 100,
        "agent_steps": before["agent_steps"] + 100 // run.manifest["action_repeat"],
        "gradient_steps": before["gradient_steps"] + int(run.manifest["options"]["updates"]),
    }
    said = {"seconds": 99.0, "env_steps_per_second": 1.0, "train_return": None, "diverged": True}
    append_lines(run.folder / METRICS, [{**counts, **said}])
    write_result(run, status="diverged", wall_seconds=99.0, device_seconds=99.0, **counts)


@pytest.fixture
def answers(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Answers:
    """The mean in raw units that each of six readers gives of the same runs, or the line with which it refuses."""

    def asked(protocol: Protocol, last: str | None) -> dict[str, float | str]:
        monkeypatch.setattr(catalog, "BUILT_IN", (*catalog.BUILT_IN, protocol))
        runs = three_seeds(tmp_path / "entry" / "runs", protocol, last)
        reference = three_seeds(tmp_path / "old", protocol, more=1.0)
        aggregated = aggregate_json(capsys, scores=(runs,), metrics=("mean",), short="drop")
        exchange.export_scores(ExportCommand(format="rliable", scores=(runs,), out=tmp_path / "x.npz", short="drop"))
        with np.load(tmp_path / "x.npz") as archive:
            exported = float(archive["dreamer"].mean())
        summary = build.build([runs], tmp_path / "report", reps=100)["sections"][0]
        verify_scores(VerifyCommand(scores=(runs,), reference=str(reference), json=tmp_path / "v.json", margin=0.5))
        verdict = json.loads((tmp_path / "v.json").read_text())
        write_card(tmp_path / "entry")
        entry = submissions.of_files(tmp_path / "entry", evidence.of_submission(tmp_path / "entry"))
        entry, problems = submissions.checked(entry)
        return {
            "aggregate": 1000 * aggregated["estimates"][0]["point"],  # type: ignore[index]
            "export": exported,
            "report": summary["means"][0]["point"],
            "figure": float(gather([runs], reps=100).scores["score"].mean()),
            "verify": 1000 * verdict["tasks"][0]["ours"] if verdict["tasks"] else verdict["causes"][0],
            "board": problems[0] if problems else float(entries_of(entry)[0].scores["score"].mean()),
        }

    return asked


def test_six_readers_give_one_mean(answers: Answers) -> None:
    found = answers(SIX, "complete")
    assert found == pytest.approx(dict.fromkeys(found, (300 + 500 + 640) / 3))


def test_a_diverged_run_that_counts_as_untrained_counts_so_for_all_six(answers: Answers) -> None:
    found = answers(replace(SIX, diverged="untrained"), "diverged")
    assert found == pytest.approx(dict.fromkeys(found, (300 + 500 + UNTRAINED + 2) / 3))


def test_a_diverged_run_that_is_absent_is_so_for_five_and_keeps_verify_from_a_verdict(answers: Answers) -> None:
    found = answers(SIX, "diverged")
    assert "diverged and has no score; leaving it out would bias the verdict" in str(found.pop("verify"))
    assert found == pytest.approx(dict.fromkeys(found, (300 + 500) / 2))


def test_a_run_under_way_counts_for_none_and_keeps_verify_and_board_from_an_answer(answers: Answers) -> None:
    found = answers(SIX, None)
    assert "is resumable, not complete" in str(found.pop("verify"))
    assert "the run has not ended" in str(found.pop("board"))
    assert found == pytest.approx(dict.fromkeys(found, (300 + 500) / 2))


def test_runs_under_way_alone_are_a_cause_each_and_nothing_is_said_twice(tmp_path: Path) -> None:
    from analysis import api

    three_seeds(tmp_path / "old", SIX)
    for seed in range(2):
        make_run(
            tmp_path / "new", SIX, agent="dreamer", task=SIX.tasks[0], seed=seed, scores={0: [1.0], 1_000: [2.0]}, status=None
        )
    verdict = api.verdict(tmp_path / "new", reference=tmp_path / "old")
    assert verdict.status == "invalid"
    assert [cause.partition(", ")[2] for cause in verdict.causes] == [
        "not complete; resume it with `run`, or leave the task out"
    ] * 2


def test_verify_says_which_runs_of_the_reference_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three_seeds(tmp_path / "new", SIX)
    three_seeds(tmp_path / "old", SIX, "diverged")
    verify_scores(VerifyCommand(scores=(tmp_path / "new",), reference=str(tmp_path / "old"), json=tmp_path / "v.json"))
    assert "note: reference: dreamer, dmc_walker_stand, seed 2 left out: its loss was not finite" in capsys.readouterr().err
