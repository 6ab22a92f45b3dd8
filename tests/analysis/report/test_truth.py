"""What tables, bars and headers say is what the records hold; rliable itself says the same as we do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from analysis import pages
from analysis.commands import AggregateCommand
from analysis.figures import catalog as figures
from analysis.figures.gather import gather
from analysis.figures.style import bar_number
from analysis.report import build, section
from analysis.scores import groups
from analysis.statistics.aggregate_table import aggregate_scores
from dreamer_bench_base import InvalidData, UserError
from protocols import catalog
from tests.make_records import make_run

CASES = Path(__file__).parents[1] / "cases"
RESULTS = Path(__file__).resolve().parents[3] / "results"
DMC = catalog.find("dmc-1m@1")


def lead_of(tmp_path: Path, runs: list[tuple[str, int]], **options: object) -> str:
    for task, seed in runs:
        scores = {0: [1.0], 1_000_000: [float(seed)]} if not options else {0: [1.0], 1_000: [2.0]}
        make_run(tmp_path / "runs", DMC, agent="hill", task=task, seed=seed, scores=scores, final=[1.0], **options)  # type: ignore[arg-type]
    page = build.build([tmp_path / "runs"], tmp_path / "out", reps=100)
    assert page["runs"] == len(runs)
    return (tmp_path / "out/index.html").read_text()


def test_the_header_counts_the_runs_that_are_there(tmp_path: Path) -> None:
    runs = [(task, seed) for task in ("dmc_walker_walk", "dmc_cup_catch") for seed in range(7)]
    lead = lead_of(tmp_path, runs)
    assert "1 agent on 2 of 20 tasks: Cup Catch, Walker Walk; 7 seeds each (the protocol has 5), " in lead
    assert "14 of 14 runs finished" in lead


def test_the_header_counts_variants_apart_from_the_agents_that_they_vary() -> None:
    assert section._who({"dreamer", "planet"}) == "2 agents"
    assert section._who({"dreamer", "planet", "dreamer+0a", "dreamer+1b"}) == "2 agents and 2 variants with options set by hand"
    assert section._who({"dreamer", "dreamer+0a"}) == "1 agent and 1 variant with options set by hand"
    assert section._who({"dreamer+0a", "dreamer+1b"}) == "2 variants of 1 agent, with options set by hand,"


def test_missing_is_what_lacks_on_tasks_that_were_begun(tmp_path: Path) -> None:
    lead = lead_of(tmp_path, [("dmc_walker_walk", 0), ("dmc_walker_walk", 1)])
    assert "2 of 5 runs finished" in lead
    assert "3 runs of the grid" in lead


def test_seeds_that_nobody_asked_for_are_not_missing(tmp_path: Path) -> None:
    task, asked = "dmc_walker_walk", {"tasks": ["dmc_walker_walk"], "seeds": [7, 8, 9]}
    runs = [
        make_run(
            tmp_path, DMC, agent="hill", task=task, seed=seed, scores={0: [1.0], 1_000_000: [2.0]}, final=[1.0], asked=asked
        )
        for seed in (7, 8)
    ]
    (group,) = groups.groups(runs)
    assert groups.missing(group) == [("hill", task, 9)]


def test_cut_runs_alone_are_called_cut(tmp_path: Path) -> None:
    lead = lead_of(tmp_path, [("dmc_walker_walk", seed) for seed in range(3)], limit_env_steps=1_000)
    assert "No complete run yet; 3 runs were cut short with --limit." in lead


@pytest.mark.parametrize(
    ("value", "text"), [(4.4, "4.4"), (0.04, "0.04"), (246.5, "246"), (0.0, "0"), (-0.004, "−0.0040"), (1234.0, "1,234")]
)
def test_numbers_on_bars_keep_a_digit_when_small(value: float, text: str) -> None:
    assert bar_number(value) == text


def test_rliable_itself_computes_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Points to rounding, interval ends within the noise of 500 resamples of scores that spread over about 0.1."""
    file = CASES / "atari_plain_ids.csv"
    assert aggregate_scores(AggregateCommand(scores=(file,), reps=500)) == 0
    ours = capsys.readouterr()
    assert aggregate_scores(AggregateCommand(scores=(file,), reps=500, engine="rliable")) == 0
    theirs = capsys.readouterr()
    assert "500 resamples; by rliable" in theirs.out
    assert [line.split("[")[0] for line in theirs.out.splitlines()[1:]] == [
        line.split("[")[0] for line in ours.out.splitlines()[1:]
    ]
    note = next(line for line in theirs.err.splitlines() if "largest difference to ours" in line)
    point, end = (float(part.split()[0]) for part in note.replace("interval end ", "point ").split("point ")[1:])
    assert point < 1e-12
    assert 0 < end < 0.1
    np.random.seed(7)  # noqa: NPY002  rliable draws from this generator
    assert aggregate_scores(AggregateCommand(scores=(file,), reps=500, engine="rliable")) == 0
    assert capsys.readouterr() == theirs
    after = np.random.rand()  # noqa: NPY002
    assert after == np.random.RandomState(7).rand()
    with pytest.raises(UserError, match="the four aggregates"):
        aggregate_scores(AggregateCommand(scores=(file,), reps=500, engine="rliable", improvement=True))


def test_figures_and_report_put_no_raw_returns_of_several_suites_together(tmp_path: Path) -> None:
    mixed = gather([CASES / "mixed_suites.csv"], reps=100)
    for name in figures.OVER_TASKS:
        with pytest.raises(InvalidData, match="the suites atari and dmc"):
            figures.draw(name, mixed)
    section = build.build([CASES / "mixed_suites.csv"], tmp_path / "out", reps=100)["sections"][0]
    assert any("nothing is averaged or ranked over the 3 tasks" in warning for warning in section["warnings"])
    assert not section.get("means")
    assert not section.get("aggregates")
    assert len(section["run_scores"]) == 9


def test_finished_runs_of_joined_tasks_are_not_called_missing(tmp_path: Path) -> None:
    build.build([RESULTS / "studies/joined-small"], tmp_path / "out", reps=100)
    page = (tmp_path / "out/index.html").read_text()
    assert "10 finished runs of joined tasks, which <code>figure joined</code> compares" in page
    assert "no run of the protocol yet" not in page


def test_a_page_of_several_protocols_opens_with_the_fullest_and_names_every_folder_it_counted(tmp_path: Path) -> None:
    paths = [
        RESULTS / "studies/joined-small",
        RESULTS / "leaderboard/random-actions",
        RESULTS / "references",
        RESULTS / "leaderboard/sac-on-the-model-s-features",
    ]
    summary = build.build(paths, tmp_path / "out", reps=100)
    page = (tmp_path / "out/index.html").read_text()
    shown = [section["protocol"] for section in summary["sections"]]
    assert shown == ["small@1", "dmc-small@1", "apart-small@2", "joined-small@2"]
    assert summary["headline"] == "4 protocols, 150 runs"
    text = re.sub(r"<[^>]+>", " ", page[page.index("<body>") :])
    assert "150 runs in 4 folders" in text
    assert "results/references/dreamer-small/runs" in summary["sections"][0]["facts"]["Read from"]
    assert "Cartpole Swingup (repeat 8)" in text
    assert "`" not in text
    warned = "\n".join(summary["sections"][0]["warnings"])
    assert "30 counted runs have seeds that the protocol does not list: dreamer, seeds 30, 31, " in warned


def test_words_between_backticks_are_code_and_nothing_of_a_text_is_markup() -> None:
    assert (
        pages.with_code("use `verify <a>` & `b`, not ` alone")
        == "use <code>verify &lt;a&gt;</code> &amp; <code>b</code>, not ` alone"
    )
