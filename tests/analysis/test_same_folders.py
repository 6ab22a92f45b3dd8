"""Every command that reads records takes the same folders: a runs folder, and one that holds folders `runs` below it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.commands import AggregateCommand, ExportCommand, VerifyCommand
from analysis.figures.commands import FigureCommand
from analysis.report.commands import ReportCommand
from dreamer_bench_base import UserError
from protocols import catalog
from protocols.costs.commands import ValidateCommand
from protocols.records.store import find_runs
from protocols.running.commands import StatusCommand
from tests.make_records import make_run

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]


def fill(runs: Path, agent: str, level: float) -> None:
    for seed in QUICK.seeds:
        times = range(0, QUICK.env_steps + 1, QUICK.evaluate_every_env_steps)
        scores = {time: [level * time / QUICK.env_steps + seed] * QUICK.evaluate_episodes for time in times}
        final = [level + seed] * QUICK.final_episodes
        make_run(runs, QUICK, agent=agent, task=TASK, seed=seed, scores=scores, final=final)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder as results/ of this project: a README, a leaderboard of two entries, a study."""
    root = tmp_path / "results"
    fill(root / "leaderboard" / "one" / "runs", "dreamer", 500.0)
    fill(root / "leaderboard" / "two" / "runs", "random", 100.0)
    fill(root / "studies" / "three" / "runs", "sac", 300.0)
    for file in ("README.md", "leaderboard/one/card.json", "studies/note.txt", "leaderboard/one/runs/note.txt"):
        (root / file).write_text("{}")
    return root


def readers(folder: Path, out: Path) -> dict[str, Callable[[], int]]:
    verdict = out / "verdict.json"
    return {
        "report": ReportCommand(scores=(folder,), out=out / "report", reps=100).run,
        "aggregate": AggregateCommand(scores=(folder,), reps=100).run,
        "export": ExportCommand(format="tidy", scores=(folder,), out=out / "x.csv").run,
        "figure": FigureCommand(name="fig6", scores=(folder,), out=out / "figures", reps=100).run,
        "verify": VerifyCommand(
            scores=(folder,), method="dreamer", reference=str(folder), reference_method="dreamer", json=verdict
        ).run,
        "validate": ValidateCommand(runs=folder, json=out / "violations.json").run,
        "status": StatusCommand(runs=folder).run,
    }


READERS = ("report", "aggregate", "export", "figure", "verify", "validate", "status")


@pytest.mark.parametrize("name", READERS)
def test_a_folder_of_folders_of_runs_is_read_by_every_command(
    name: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = readers(results, tmp_path)[name]()
    written = (tmp_path / "x.csv", *tmp_path.glob("*/*.csv"), *tmp_path.glob("*.json"))
    shown = capsys.readouterr().out + "".join(path.read_text() for path in written if path.exists())
    assert code == (4 if name == "verify" else 0), shown  # 4: the reference is the same runs, which is said
    if name == "validate":
        assert '"runs": 9' in shown
    else:
        assert {agent for agent in ("dreamer", "random", "sac") if agent in shown} == (
            {"dreamer"} if name == "verify" else {"dreamer", "random", "sac"}
        )


@pytest.mark.parametrize("part", ["", "leaderboard", "leaderboard/one", "leaderboard/one/runs", "studies", "studies/three"])
def test_the_folder_may_be_named_at_any_height(part: str, results: Path) -> None:
    expected = {"": 9, "leaderboard": 6, "leaderboard/one": 3, "leaderboard/one/runs": 3, "studies": 3, "studies/three": 3}
    assert len(find_runs(results / part)) == expected[part]


@pytest.mark.parametrize("name", READERS)
def test_a_folder_of_something_else_is_refused_by_every_command_in_the_same_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "src" / "deeper" / "and" / "still" / "runs" / "quick@1").mkdir(parents=True)  # a level too deep
    (tmp_path / "src" / "README.md").write_text("")
    with pytest.raises(
        UserError, match=r"src' is not a runs folder: expected folders named protocol@version, or folders named"
    ):
        readers(tmp_path / "src", tmp_path)[name]()


@pytest.mark.parametrize("name", READERS)
def test_a_run_that_lies_twice_is_refused_by_every_command(name: str, results: Path, tmp_path: Path) -> None:
    fill(results / "studies" / "four" / "runs", "dreamer", 500.0)
    with pytest.raises(UserError, match=r"the same run lies in .*seed-0 and in .*seed-0; give folders that hold it once"):
        readers(results, tmp_path)[name]()


@pytest.mark.parametrize("name", [*(each for each in READERS if each != "verify")])
def test_a_protocol_that_no_run_is_of_is_refused_by_every_command_in_the_same_line(
    name: str, results: Path, tmp_path: Path
) -> None:
    command = readers(results, tmp_path)[name].__self__  # type: ignore[attr-defined]
    object.__setattr__(command, "protocol", "nope@1")
    with pytest.raises(UserError, match=r"holds no run of nope@1; it holds quick@1"):
        command.run()
