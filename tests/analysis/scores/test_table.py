"""Runs folders and score files as one table, and one score per run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.scores import from_runs, per_run, table
from dreamer_bench_base import InvalidData
from protocols import catalog
from protocols.records.score import score_of
from protocols.records.store import EPISODES
from protocols.spec import ScoreRule
from tests.make_records import make_run

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]
END = QUICK.env_steps


def record(root: Path, *, agents: tuple[str, ...] = ("dreamer", "random"), seeds: int = 3, **options: object) -> Path:
    for agent in agents:
        for seed in range(seeds):
            base = 100.0 * seed + (500.0 if agent == "dreamer" else 0.0)
            points = {0: [base, base], END // 2: [base + 10, base + 12], END: [base + 20, base + 22]}
            make_run(root, QUICK, agent=agent, task=TASK, seed=seed, scores=points, final=[base + 30, base + 34], **options)  # type: ignore[arg-type]
    return root


def write_csv(path: Path, rows: list[tuple[object, ...]], header: str = "method,task,seed,env_step,score") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def curve(
    method: str = "theirs", task: str = "walker_walk", seeds: int = 2, end: int = 100, step: int = 10
) -> list[tuple[object, ...]]:
    return [(method, task, seed, x, x + seed) for seed in range(seeds) for x in range(step, end + 1, step)]


def test_runs_and_files_stand_side_by_side(tmp_path: Path) -> None:
    runs = record(tmp_path / "runs")
    path = write_csv(tmp_path / "scores.csv", curve())
    points = table.read([runs, path])
    assert tuple(points.columns) == table.COLUMNS
    assert sorted(points["method"].unique()) == ["dreamer", "random", "theirs"]
    assert points.groupby("method")["protocol"].first().to_dict() == {"dreamer": "quick@1", "random": "quick@1", "theirs": ""}
    assert points.loc[points["method"] == "dreamer", "final"].sum() == 3 * 2


def test_the_score_of_a_run_is_the_stores(tmp_path: Path) -> None:
    """The same rule is written twice, for a run and for tables; they must agree, whichever it is."""
    rules = [ScoreRule(kind="final"), ScoreRule(kind="last"), ScoreRule(kind="window", window_env_steps=END // 2 + 1_000)]
    points = table.read([record(tmp_path / "runs")])
    for rule in rules:
        selection = per_run.select(points, rule=rule)
        run = next(iter((tmp_path / "runs").glob("*/dreamer/*/seed-1")))
        from protocols.records.store import Run

        expected = score_of(
            {"kind": rule.kind, "window_env_steps": rule.window_env_steps}, Run(run).episodes(), QUICK.env_steps
        )
        row = selection.scores.set_index(["method", "seed"]).loc[("dreamer", "1")]
        assert row["score"] == pytest.approx(expected)


def test_the_protocols_own_rule_and_budget_are_the_default(tmp_path: Path) -> None:
    selection = per_run.select(table.read([record(tmp_path / "runs")]))
    assert selection.budget_env_steps == END
    assert selection.rule == f"separate final evaluation at {END:,} env steps"
    assert selection.scores["score"].tolist() == [532.0, 632.0, 732.0, 32.0, 132.0, 232.0]


def test_a_budget_and_a_window_replace_the_protocols_rule(tmp_path: Path) -> None:
    points = table.read([record(tmp_path / "runs", agents=("dreamer",))])
    assert per_run.select(points, at=END // 2).scores["score"].tolist() == [511.0, 611.0, 711.0]
    assert per_run.select(points, at=END, window=END).scores["score"].tolist() == [
        516.0,
        616.0,
        716.0,
    ]  # not the point at 0
    assert per_run.select(points, at=END, window=END // 2).scores["points"].tolist() == [2, 2, 2]


def test_without_a_protocol_the_budget_is_what_every_method_reaches(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [*curve("long", end=200), *curve("brief", end=100)])
    selection = per_run.select(table.read([path]))
    assert selection.budget_env_steps == 100
    assert selection.scores["score"].tolist() == [100.0, 101.0, 100.0, 101.0]


def test_short_runs_are_refused_by_name_dropped_or_carried(tmp_path: Path) -> None:
    rows = [*curve(seeds=2), *[("theirs", "walker_walk", 2, x, 7) for x in (10, 20, 30)]]
    points = table.read([write_csv(tmp_path / "scores.csv", rows)])
    with pytest.raises(InvalidData, match=r"theirs, dmc_walker_walk, seed 2 stops short of 100 env_steps \(it ends at 30\)"):
        per_run.select(points, at=100)
    dropped = per_run.select(points, at=100, short="drop")
    assert dropped.scores["seed"].tolist() == ["0", "1"]
    assert dropped.left_out.to_dict("records") == [
        {"method": "theirs", "task": "dmc_walker_walk", "seed": "2", "env_steps": 30}
    ]
    carried = per_run.select(points, at=100, window=20, short="carry")
    assert carried.scores["score"].tolist() == [95.0, 96.0, 7.0]
    assert carried.scores["carried"].tolist() == [False, False, True]
    assert carried.left_out.empty


def test_a_run_may_end_one_evaluation_before_the_budget(tmp_path: Path) -> None:
    points = table.read([write_csv(tmp_path / "scores.csv", curve(end=90))])
    assert per_run.select(points, at=100).scores["score"].tolist() == [90.0, 91.0]
    with pytest.raises(InvalidData, match="stop short"):
        per_run.select(points, at=101)


def test_device_seconds_are_the_runs_share_of_its_cohort(tmp_path: Path) -> None:
    points = table.read([record(tmp_path / "runs", agents=("dreamer",), cohort=[0, 1, 2])])
    # make_run writes 100 env_steps a second for the cohort
    np.testing.assert_allclose(points["device_seconds"], points["env_steps"] / 100.0 / 3)


def test_cut_runs_never_count_as_runs_of_the_protocol(tmp_path: Path) -> None:
    record(tmp_path / "runs")
    make_run(
        tmp_path / "runs",
        QUICK,
        agent="dreamer",
        task=TASK,
        seed=0,
        scores={0: [1.0], 4_000: [2.0]},
        limit_env_steps=4_000,
        status=None,
    )
    notes: list[str] = []
    assert set(table.read([tmp_path / "runs"], notes=notes)["method"]) == {"dreamer", "random"}
    assert notes == [f"dreamer~4000, {TASK}, seed 0 left out: its budget was cut with --limit"]


def test_one_name_under_two_protocols_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "runs")
    other = catalog.find("dmc-1m@1")
    make_run(tmp_path / "runs", other, agent="dreamer", task=other.tasks[0], seed=0, scores={0: [1.0]}, status=None)
    says = r"episodes.jsonl:1: method 'dreamer' is filed under quick@1, but under dmc-1m@1 at .*episodes.jsonl:1; choose"
    with pytest.raises(InvalidData, match=says):
        table.read([tmp_path / "runs"])
    assert table.protocols_of(from_runs.find(tmp_path / "runs")) == {"dmc-1m@1": other, "quick@1": QUICK}
    assert set(table.read([tmp_path / "runs"], protocol="quick@1")["protocol"]) == {"quick@1"}


def test_two_protocols_under_one_id_are_refused(tmp_path: Path) -> None:
    record(tmp_path / "runs", agents=("dreamer",))
    make_run(tmp_path / "runs", replace(QUICK, margin=0.5), agent="random", task=TASK, seed=0, scores={0: [1.0]}, status=None)
    with pytest.raises(InvalidData, match="two protocols under the name quick@1"):
        table.read([tmp_path / "runs"])


def test_a_run_given_twice_is_refused(tmp_path: Path) -> None:
    first, second = (write_csv(tmp_path / name, curve()) for name in ("one.csv", "two.csv"))
    with pytest.raises(InvalidData, match=r"two.csv:2: theirs, dmc_walker_walk, seed 0 at 10 .* second time; give it once"):
        table.read([first, second])
    write_csv(second, [(m, t, s, x + 1000, y) for m, t, s, x, y in curve()])  # type: ignore[operator]
    with pytest.raises(InvalidData, match=r"two.csv:2: theirs, dmc_walker_walk, seed 0 begins again, after .*one.csv:2; give"):
        table.read([first, second])


def test_a_score_that_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    runs = record(tmp_path / "runs")
    path = next(iter(runs.glob("*/dreamer/*/seed-0"))) / EPISODES
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace('"score": 512.0', '"score": null')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidData, match=rf"{EPISODES}:4: the score is"):
        table.read([runs])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (EPISODES, '{"env_steps": 0}\n', "episodes.jsonl:1: lacks episode, score, final"),
        (EPISODES, "{broken\n", "episodes.jsonl line 1 is damaged"),
        ("manifest.json", "{}", "manifest.json lacks protocol, protocol_data, digest"),
        ("manifest.json", "{", "manifest.json is damaged"),
    ],
)
def test_damaged_records_are_invalid_data(tmp_path: Path, name: str, content: str, message: str) -> None:
    runs = record(tmp_path / "runs")
    (next(iter(runs.glob("*/dreamer/*/seed-0"))) / name).write_text(content)
    with pytest.raises(InvalidData, match=message):
        table.read([runs])


def test_methods_without_a_final_evaluation_do_not_vanish_under_that_rule(tmp_path: Path) -> None:
    runs = record(tmp_path / "runs")
    file = write_csv(tmp_path / "scores.csv", curve(end=END, step=1_000))
    points = table.read([runs, file])
    with pytest.raises(InvalidData, match=r"theirs, dmc_walker_walk, seed 0 and 1 more run stop short .* no final evaluation"):
        per_run.select(points)
    for short in ("drop", "carry"):
        left_out = per_run.select(points, short=short).left_out  # type: ignore[arg-type]
        assert left_out["method"].tolist() == ["theirs", "theirs"]
    assert set(per_run.select(points, at=END, window=1_000).scores["method"]) == {"dreamer", "random", "theirs"}


def test_a_run_without_a_point_before_the_budget_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "scores.csv", [*curve("early"), *[("late", "walker_walk", 0, x, 1) for x in (500, 600)]])
    with pytest.raises(InvalidData, match="late, dmc_walker_walk, seed 0 has no point at or before 100"):
        per_run.select(table.read([path]), at=100)


def test_order_of_paths_does_not_matter(tmp_path: Path) -> None:
    runs, path = record(tmp_path / "runs"), write_csv(tmp_path / "scores.csv", curve())
    pd.testing.assert_frame_equal(table.read([runs, path]), table.read([path, runs]))


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "does not exist"), ("text.txt", "is not a known score file"), ("empty.csv", "is empty")]
)
def test_what_is_no_score_is_refused_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.txt").write_text("hello,world\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=message) as error:
        table.read([tmp_path / name])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("choice", [{"at": 0}, {"at": -5}, {"window": -1}])
def test_impossible_budgets_are_usage_errors(tmp_path: Path, choice: dict[str, int]) -> None:
    points = table.read([write_csv(tmp_path / "scores.csv", curve())])
    with pytest.raises(ValueError, match="must be"):
        per_run.select(points, **choice)  # type: ignore[arg-type]


def test_a_window_that_holds_no_point_is_named(tmp_path: Path) -> None:
    points = table.read([write_csv(tmp_path / "scores.csv", curve(end=95, step=19))])
    with pytest.raises(InvalidData, match="widen --window"):
        per_run.select(points, at=100, window=4)
