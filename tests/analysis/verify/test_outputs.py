"""What `verify` returns, writes and reads: one answer in its exit code and its files, names without folders, one reading."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from analysis import api
from analysis.commands import VerifyCommand
from analysis.scores import from_runs
from analysis.verify import validity
from analysis.verify.procedure import verify_scores
from dreamer_bench_base import UserError
from protocols import catalog
from tests.analysis.scores.test_table import record

FIXTURES = Path(__file__).resolve().parents[3] / "examples/ci/fixtures"


def verify(tmp_path: Path, *scores: Path, reference: Path = FIXTURES / "reference.csv", **options: Any) -> tuple[int, Any, Any]:
    """Exit code, verdict.json and the root of the JUnit file."""
    out = {"json": tmp_path / "verdict.json", "junit": tmp_path / "verdict.xml"}
    code = verify_scores(VerifyCommand(scores=scores, reference=str(reference), **out, **options))
    return code, json.loads(out["json"].read_text()), ElementTree.parse(out["junit"]).getroot()


def shifted(path: Path, name: str, points: float) -> Path:
    header, *rows = [line.split(",") for line in (FIXTURES / name).read_text().splitlines()]
    place = header.index("score")
    moved = [[*row[:place], str(float(row[place]) + points), *row[place + 1 :]] for row in rows]
    path.write_text("\n".join(",".join(row) for row in (header, *moved)) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "points", "options", "expected"),
    [
        ("0-reproduced.csv", 0, {}, 0),
        ("1-below.csv", 0, {}, 1),
        ("0-reproduced.csv", 100, {}, 1),
        ("0-reproduced.csv", 100, {"allow_better": True}, 0),
        ("3-inconclusive.csv", 0, {}, 3),
        ("3-inconclusive.csv", 0, {"inconclusive": "pass"}, 0),
        ("4-invalid.csv", 0, {}, 4),
        ("4-invalid.csv", 0, {"inconclusive": "pass"}, 4),
    ],
)
def test_json_and_junit_agree_with_the_exit_code(
    tmp_path: Path, name: str, points: float, options: dict[str, Any], expected: int
) -> None:
    scores = shifted(tmp_path / "scores.csv", name, points) if points else FIXTURES / name
    code, verdict, junit = verify(tmp_path, scores, **options)
    assert (code, verdict["exit_code"]) == (expected, expected)
    failures = len(junit.findall(".//failure"))
    assert (failures, junit.get("failures"), junit.get("errors")) == (int(expected != 0), str(failures), "0")
    suite = junit.find("testcase[@classname='verify']")
    said = suite.find("failure").get("message") if expected else suite.findtext("system-out")
    assert said.splitlines()[0] == verdict["headline"]
    found = api.verdict(scores, reference=FIXTURES / "reference.csv", **options)
    assert (found.status, found.exit_code) == (verdict["status"], expected)


def test_tasks_take_patterns_of_both_sides_and_other_spellings_of_a_task(tmp_path: Path) -> None:
    def compared(*tasks: str, **options: Any) -> list[str]:
        return [row["task"] for row in verify(tmp_path, FIXTURES / "0-reproduced.csv", tasks=tasks, **options)[1]["tasks"]]

    assert compared("dmc_c*") == ["dmc_cartpole_swingup", "dmc_cheetah_run", "dmc_cup_catch"]
    for own in ((), ("rooms_*",)):
        assert compared("walker-walk", "ball_in_cup_catch", own_tasks=own) == ["dmc_cup_catch", "dmc_walker_walk"]
    fewer = tmp_path / "fewer.csv"
    lines = (FIXTURES / "0-reproduced.csv").read_text().splitlines(keepends=True)
    fewer.write_text("".join(line for line in lines if "cup_catch" not in line))
    code, verdict, _ = verify(tmp_path, fewer, tasks=("dmc_c*",))  # not fewer tasks than were asked for
    assert (code, verdict["causes"][0].partition(",")[0]) == (4, "no runs on dmc_cup_catch")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (("dmc_wlaker_*",), "no task matches 'dmc_wlaker_\\*'; there are dmc_"),
        (("wlaker_walk",), "did you mean 'dmc_walker_walk'"),
    ],
)
def test_tasks_that_are_not_there_are_refused(tmp_path: Path, tasks: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=f"--tasks: .*{message}") as error:
        verify(tmp_path, FIXTURES / "0-reproduced.csv", tasks=tasks)
    assert error.value.exit_code == 2


def test_an_interim_analysis_beyond_the_resamples_of_an_improvement_is_refused(tmp_path: Path) -> None:
    above = shifted(tmp_path / "above.csv", "0-reproduced.csv", 40.0)
    code, verdict, _ = verify(tmp_path, above, improves=True, interim=11)
    assert (code, verdict["improvement"]["confidence"]) == (0, 1 - 0.05 / 2**10)
    for interim in (12, 60):
        with pytest.raises(UserError, match=f"interim analysis {interim} of --improves is tested at .*50,000 resamples"):
            verify(tmp_path, above, improves=True, interim=interim)


def test_no_output_names_a_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    away = tmp_path / "some where"
    away.mkdir()
    reference, good, bad = away / "ref.csv", away / "good.csv", away / "bad.csv"
    reference.write_text((FIXTURES / "reference.csv").read_text())
    good.write_text((FIXTURES / "0-reproduced.csv").read_text())
    bad.write_text("method,task,seed,env_step,score\nm,walker_walk,0,10,\n")
    assert verify(tmp_path, good, reference=reference)[0] == 0
    check(tmp_path, away)
    assert json.loads((tmp_path / "verdict.json").read_text())["reference"]["source"] == "ref.csv"
    assert json.loads((tmp_path / "verdict.json").read_text())["command"]["reference"] == "ref.csv"
    assert verify(tmp_path, bad, reference=reference)[0] == 4  # a cause that names a file
    assert check(tmp_path, away)["causes"][0].startswith("bad.csv:2: ")
    assert verify(tmp_path, good, reference=bad)[0] == 4
    assert check(tmp_path, away)["causes"][0].startswith("bad.csv:2: ")
    runs = record(away / "runs", agents=("dreamer",))
    next(runs.rglob("result.json")).unlink()
    assert verify(tmp_path, runs, reference=reference)[0] == 4
    assert any(cause.startswith("runs/quick@1/") for cause in check(tmp_path, away)["causes"])


def check(tmp_path: Path, away: Path) -> dict[str, Any]:
    for name in ("verdict.json", "verdict.xml", "summary.md"):
        assert str(away) not in (tmp_path / name).read_text(), name
    return json.loads((tmp_path / "verdict.json").read_text())  # type: ignore[no-any-return]


def test_a_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = record(tmp_path / "runs", agents=("dreamer",))
    theirs = record(tmp_path / "theirs", agents=("dreamer",))
    read, find = [], from_runs.find
    monkeypatch.setattr(from_runs, "find", lambda root: read.append(root) or find(root))
    verify(tmp_path, runs, reference=theirs)
    assert read == [runs, theirs]


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused_by_command_and_library_before_the_scores_are_read(
    tmp_path: Path, margin: float
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("no scores\n")
    for ask in (verify, lambda _, scores, margin: api.verdict(scores, reference=bad, margin=margin)):
        with pytest.raises(UserError, match="--margin must be a number above 0 in normalised units, not"):
            ask(tmp_path, bad, margin=margin)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_run_on_joined_tasks_is_checked_when_one_of_its_tasks_is_chosen(tmp_path: Path) -> None:
    whole = Path(__file__).resolve().parents[3] / "results/studies/joined-small/runs"
    shipped = next(path.parent for path in sorted(whole.rglob("manifest.json")) if "joined-small@2" in path.parts)
    shutil.copytree(shipped, tmp_path / shipped.relative_to(whole))
    (run,) = from_runs.find(tmp_path)
    part, label, protocol = run.points.tasks[0], run.manifest["label"], catalog.find("joined-small@2")  # type: ignore[index]
    assert part != run.manifest["task"]
    assert validity.record_causes([run], label, protocol, [part])[0] == []
    run.__dict__["manifest"] = {**run.manifest, "digest": "0" * 64}
    assert "another definition" in validity.record_causes([run], label, protocol, [part])[0][0]
    assert validity.record_causes([run], label, protocol, ["dmc_walker_walk"])[0] == []
