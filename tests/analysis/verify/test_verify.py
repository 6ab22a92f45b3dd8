"""`verify` from score files to an exit code, on made-up scores and on published seeds."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis.commands import VerifyCommand
from analysis.scores import normalize, references, table
from analysis.scores.per_run import select
from analysis.verify import judge
from analysis.verify.procedure import verify_scores
from analysis.verify.reference import Reference
from analysis.verify.reference import load as load_reference
from analysis.verify.verdict import Question
from protocols import catalog
from protocols.records.store import Run
from tests.analysis.made_up_scores import REFERENCE, needs_reference
from tests.make_records import make_run, reseal

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/ci"
FIXTURES = EXAMPLES / "fixtures"


def run(
    tmp_path: Path, scores: Path, reference: Path | str = FIXTURES / "reference.csv", **options: Any
) -> tuple[int, dict[str, Any]]:
    """Exit code and verdict.json of one `verify`."""
    options.setdefault("json", tmp_path / "verdict.json")
    code = verify_scores(VerifyCommand(scores=(scores,), reference=str(reference), **options))
    return code, json.loads(options["json"].read_text())


def changed(tmp_path: Path, change: Any, name: str = "0-reproduced.csv") -> Path:
    """A fixture with something done to it."""
    path = tmp_path / "changed.csv"
    change(pd.read_csv(FIXTURES / name, dtype={"seed": str})).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["0-reproduced.csv", "1-below.csv", "3-inconclusive.csv", "4-invalid.csv"])
def test_known_verdicts(tmp_path: Path, name: str) -> None:
    code, verdict = run(tmp_path, FIXTURES / name)
    assert code == verdict["exit_code"] == int(name[0])
    assert verdict["status"] == name[2:-4]


def test_the_verdict_does_not_depend_on_row_order_seed_labels_or_task_aliases(tmp_path: Path) -> None:
    def disguise(rows: pd.DataFrame) -> pd.DataFrame:
        rows["seed"] = "run-" + (9 - rows["seed"].astype(int)).astype(str)
        rows["task"] = rows["task"].replace({"dmc_cup_catch": "ball_in_cup_catch", "dmc_walker_walk": "walker-walk"})
        return rows.sample(frac=1.0, random_state=1)

    _, plain = run(tmp_path, FIXTURES / "0-reproduced.csv")
    _, disguised = run(tmp_path, changed(tmp_path, disguise), json=tmp_path / "other.json")
    for key in ("status", "suite", "profile_p", "profile_statistic", "tasks", "margin", "data_sha256"):
        assert plain[key] == disguised[key], key


def test_a_gap_is_read_off_by_hand(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda rows: rows.assign(score=rows["score"] - 20))
    _, verdict = run(tmp_path, path)
    ours, theirs = (pd.read_csv(each).groupby("task")["score"].mean() for each in (path, FIXTURES / "reference.csv"))
    assert verdict["suite"]["difference"] == pytest.approx((ours - theirs).mean() / 1000)
    assert verdict["margin"] == 0.05


def test_a_method_above_fails_unless_better_is_allowed(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda rows: rows.assign(score=rows["score"] + 100))
    assert run(tmp_path, path)[0] == 1
    code, verdict = run(tmp_path, path, allow_better=True)
    assert (code, verdict["status"]) == (0, "above")


def test_the_profile_fails_what_cancels_in_the_mean_and_may_be_softened(tmp_path: Path) -> None:
    def tilt(rows: pd.DataFrame) -> pd.DataFrame:
        signs = {task: 150 * (-1) ** index for index, task in enumerate(sorted(rows["task"].unique()))}
        return rows.assign(score=rows["score"] + rows["task"].map(signs))

    path = changed(tmp_path, tilt)
    code, verdict = run(tmp_path, path)
    assert (code, verdict["status"]) == (1, "profile-differs")
    assert verdict["profile_p"] < 0.01
    code, verdict = run(tmp_path, path, profile="warn")
    assert (code, verdict["status"]) == (0, "reproduced")
    assert any("cancel" in note for note in verdict["notes"])


def test_inconclusive_may_pass_and_says_how_many_seeds_would_decide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, verdict = run(tmp_path, FIXTURES / "3-inconclusive.csv", inconclusive="pass")
    assert (code, verdict["exit_code"], verdict["status"]) == (0, 0, "inconclusive")
    assert verdict["plans"][0]["seeds"] > 3
    assert "seeds per task give 80% power" in capsys.readouterr().out


def test_not_inferior_is_one_sided(tmp_path: Path) -> None:
    above = changed(tmp_path, lambda rows: rows.assign(score=rows["score"] + 200))
    assert run(tmp_path, above, non_inferior=True)[1]["status"] == "non-inferior"
    assert run(tmp_path, FIXTURES / "1-below.csv", non_inferior=True)[0] == 1
    assert run(tmp_path, FIXTURES / "3-inconclusive.csv", non_inferior=True)[0] == 3


def test_improvement_needs_an_interval_above_one_half(tmp_path: Path) -> None:
    above = changed(tmp_path, lambda rows: rows.assign(score=rows["score"] + 40))
    assert run(tmp_path, above, improves=True)[1]["status"] == "improved"
    assert run(tmp_path, FIXTURES / "0-reproduced.csv", improves=True)[0] == 3
    assert run(tmp_path, FIXTURES / "1-below.csv", improves=True)[1]["status"] == "not-improved"
    with pytest.raises(ValueError, match="needs the runs of the reference"):
        run(tmp_path, FIXTURES / "0-reproduced.csv", "dreamer-2020-appendix-g", improves=True)
    with pytest.raises(ValueError, match="choose one"):
        run(tmp_path, above, improves=True, non_inferior=True)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda rows: rows.assign(score=rows["score"].where(rows.index != 7)), "changed.csv:9: .* has no finite score"),
        (lambda rows: rows[rows["task"] != "dmc_cup_catch"], "no runs on dmc_cup_catch"),
        (
            lambda rows: pd.concat([rows, rows[rows["task"] == "dmc_cup_catch"].assign(task="dmc_hopper_hop")]),
            "the reference has no dmc_hopper_hop",
        ),
        (lambda rows: rows[rows["seed"].astype(int) < 2], "has 2 seeds|have 2 seeds"),
        (
            lambda rows: rows.assign(env_step=500_000),
            "budget 500,000 env_steps against the reference's 1,000,000|no point|short",
        ),
        (lambda rows: pd.concat([rows, rows.head(1)]), "is there twice"),
    ],
)
def test_what_cannot_be_compared_is_invalid_with_its_cause(tmp_path: Path, change: Any, cause: str) -> None:
    code, verdict = run(tmp_path, changed(tmp_path, change))
    assert (code, verdict["status"]) == (4, "invalid")
    assert any(re.search(cause, each) for each in verdict["causes"]), verdict["causes"]
    assert verdict["suite"] is None


def test_every_cause_is_listed(tmp_path: Path) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[(rows["task"] != "dmc_cup_catch") & (rows["seed"].astype(int) < 2)]
        return pd.concat([rows, rows.head(2).assign(task="dmc_hopper_hop")])

    assert len(run(tmp_path, changed(tmp_path, spoil))[1]["causes"]) == 3


def test_the_reference_against_itself_is_no_reproduction(tmp_path: Path) -> None:
    code, verdict = run(tmp_path, FIXTURES / "reference.csv")
    assert code == 4
    assert "the reference's own scores" in verdict["causes"][0]


def test_two_seed_labels_on_one_record_are_found(tmp_path: Path) -> None:
    def copied(rows: pd.DataFrame) -> pd.DataFrame:
        curves = pd.concat(
            [rows.assign(env_step=step, score=rows["score"] + step / 1e5) for step in (250_000, 500_000, 750_000, 1_000_000)]
        )
        return curves[curves["seed"] != "4"]._append(curves[curves["seed"] == "3"].assign(seed="4"))

    code, verdict = run(tmp_path, changed(tmp_path, copied))
    assert code == 4
    assert "the seeds 3 and 4 hold identical records" in verdict["causes"][0]


def test_unequal_seeds_and_constant_tasks_are_handled(tmp_path: Path) -> None:
    def ragged(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[~((rows["task"] == "dmc_walker_walk") & (rows["seed"] == "4"))]
        return rows.assign(score=rows["score"].where(rows["task"] != "dmc_cup_catch", 930.0))

    code, verdict = run(tmp_path, changed(tmp_path, ragged))
    assert (code, verdict["seeds"]) == (0, [4, 5])
    assert math.isfinite(verdict["profile_p"])


def test_interim_analyses_of_growing_data_are_counted_and_tested_more_strictly(tmp_path: Path) -> None:
    few = changed(tmp_path, lambda rows: rows[rows["seed"].astype(int) < 3])
    _, first = run(tmp_path, few)
    _, second = run(tmp_path, FIXTURES / "0-reproduced.csv")
    assert [first["suite"]["alpha"], second["suite"]["alpha"]] == [0.05, 0.025]
    assert [first["looks"], second["looks"]] == [1, 2]
    _, again = run(tmp_path, FIXTURES / "0-reproduced.csv")  # the same data is the same interim analysis
    assert (again["looks"], again["question"]["look"]) == (2, 2)
    run(tmp_path, FIXTURES / "4-invalid.csv")  # shows nothing, forgets nothing
    _, other = run(tmp_path, FIXTURES / "0-reproduced.csv", non_inferior=True)  # another question
    assert other["question"]["look"] == 1
    _, third = run(tmp_path, changed(tmp_path, lambda rows: rows[rows["seed"] != "2"]))
    assert third["question"]["look"] == 3
    assert run(tmp_path, FIXTURES / "0-reproduced.csv", interim=4, json=tmp_path / "new.json")[1]["suite"]["alpha"] == 0.05 / 8


def test_margin_and_rule_come_from_the_protocol_and_an_own_margin_is_recorded(tmp_path: Path) -> None:
    _, verdict = run(tmp_path, FIXTURES / "0-reproduced.csv", protocol="dmc-1m@1")
    assert verdict["question"]["margin_source"] == "protocol dmc-1m@1"
    assert any("6 of the 20 tasks" in note for note in verdict["notes"])
    _, verdict = run(tmp_path, FIXTURES / "0-reproduced.csv", margin=0.01, json=tmp_path / "own.json")
    assert (verdict["question"]["margin_source"], verdict["margin"], verdict["status"]) == ("--margin", 0.01, "inconclusive")


def test_a_mean_only_reference_states_its_assumption_and_the_sensitivity(tmp_path: Path) -> None:
    means = load_reference("dreamer-2020-appendix-g").scores
    generator = np.random.default_rng(0)
    rows = [
        (f"ours,{row.task},{seed},5000000,{row.score + generator.normal(0, 20):.3f}")
        for row in means.itertuples()
        for seed in range(5)
    ]
    path = tmp_path / "ours.csv"
    path.write_text("\n".join(["method,task,seed,env_step,score", *rows]) + "\n")
    code, verdict = run(tmp_path, path, "dreamer-2020-appendix-g", protocol="dmc-5m@1")
    assert (code, verdict["reference"]["kind"]) == (0, "mean")
    assert any("assumed to have our spread and 5 seeds; with twice that variance" in note for note in verdict["notes"])
    wider = verdict["sensitivity"]["high"] - verdict["sensitivity"]["low"]
    assert wider == pytest.approx(math.sqrt(2) * (verdict["suite"]["high"] - verdict["suite"]["low"]))
    shifted = path.with_name("shifted.csv")
    shifted.write_text(path.read_text().replace(",5000000,", ",1000000,"))
    assert "budget 1,000,000" in run(tmp_path, shifted, "dreamer-2020-appendix-g", at=1_000_000)[1]["causes"][0]


def record(root: Path, *, agent: str = "dreamer", seeds: int = 5, shift: float = 0.0, seed: int = 0, **options: Any) -> Path:
    protocol = catalog.find("quick@1")
    generator = np.random.default_rng(seed)
    for index in range(seeds):
        level = generator.normal(500 + shift, 20)
        scores = {step: (level + generator.normal(0, 5, 2)).tolist() for step in range(0, 20_001, 5_000)}
        make_run(
            root,
            protocol,
            agent=agent,
            task=protocol.tasks[0],
            seed=index,
            scores=scores,
            final=(level + generator.normal(0, 5, 5)).tolist(),
            **options,
        )
    return root


def test_runs_folders_are_verified_under_their_own_protocol(tmp_path: Path) -> None:
    ours, theirs = record(tmp_path / "ours"), record(tmp_path / "theirs", seed=1)
    _, verdict = run(tmp_path, ours, theirs)
    assert verdict["question"]["protocol"] == "quick@1"
    assert verdict["reference"]["evaluation"] == f"separate final evaluation at {catalog.find('quick@1').env_steps:,} env steps"
    assert verdict["status"] in ("reproduced", "inconclusive")
    assert run(tmp_path, record(tmp_path / "low", shift=-300.0, seed=2), theirs)[0] == 1


def test_a_plan_knows_what_runs_cost(tmp_path: Path) -> None:
    ours = record(tmp_path / "ours", seed=3, seeds=3, cohort=[0, 1, 2])
    theirs = record(tmp_path / "theirs", seed=1, seeds=20)
    _, verdict = run(tmp_path, ours, theirs, margin=0.02)
    assert verdict["status"] == "inconclusive"
    more = verdict["plans"][0]["seeds"] - 3
    hours = 20_000 / 100 / 3 / 3600  # make_run: 100 env_steps a second for a cohort of three
    assert f"({more} more runs, about {more * hours:,.1f} device hours)" in verdict["plan_lines"][0]


def test_unfinished_runs_and_foreign_protocols_are_invalid(tmp_path: Path) -> None:
    theirs = record(tmp_path / "theirs", seed=1)
    open_runs = record(tmp_path / "open", status=None)
    _, verdict = run(tmp_path, open_runs, theirs)
    assert verdict["status"] == "invalid"
    assert sum("is resumable, not complete" in cause for cause in verdict["causes"]) == 5
    one_open = record(tmp_path / "one", seeds=6)
    (next(one_open.rglob("seed-5")) / "result.json").unlink()
    _, verdict = run(tmp_path, one_open, theirs)
    assert [("seed-5 is" in cause) for cause in verdict["causes"]] == [True], "said once"
    diverged = record(tmp_path / "diverged", status="diverged")
    assert "no run of quick@1 counts: " in run(tmp_path, diverged, theirs)[1]["causes"][0]
    mixed = record(tmp_path / "mixed")
    folder = next(iter(mixed.glob("*/*/*/seed-4")))
    (folder / "result.json").write_text((folder / "result.json").read_text().replace('"complete"', '"diverged"'))
    reseal(Run(folder))
    assert "seed-4 diverged and has no score" in run(tmp_path, mixed, theirs)[1]["causes"][0]
    protocol = catalog.find("quick@1")
    other = tmp_path / "other"
    for seed in range(3):
        make_run(
            other,
            replace(protocol, env_steps=20_000, num_envs=2),
            agent="dreamer",
            task=protocol.tasks[0],
            seed=seed,
            scores={20_000: [float(seed)]},
            final=[float(seed)],
        )
    assert any("was made under another definition of quick@1" in cause for cause in run(tmp_path, other, theirs)[1]["causes"])


def test_junit_has_a_case_per_task_that_never_fails_and_one_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    run(tmp_path, FIXTURES / "1-below.csv", junit=tmp_path / "verdict.xml")
    suite = ElementTree.parse(tmp_path / "verdict.xml").getroot()
    cases = suite.findall("testcase")
    assert (len(cases), suite.get("failures"), len(suite.findall(".//failure"))) == (7, "1", 1)
    assert cases[0].find("failure") is not None
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### verify: below")
    assert summary.count("| dmc_") == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -1.0}, "--margin must be"),
        ({"interim": 0}, "--interim must be"),
        ({"method": "nobody"}, "method 'nobody'"),
        ({"tasks": ("wlaker_walk",)}, "did you mean"),
        ({"reference_method": "x"}, "holds no method 'x'"),
        ({"at": -1}, "--at must be"),
        ({"json": Path("nowhere/verdict.json")}, "does not exist"),
        ({"json": Path("v.json"), "junit": Path("x/../v.json")}, "both name"),
        ({"protocol": "dmc-9m@1"}, "is not known"),
    ],
)
def test_usage_errors_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path, FIXTURES / "0-reproduced.csv", **options)
    assert getattr(error.value, "exit_code", 2) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_verdict_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text('{"mine": 1}')
    with pytest.raises(ValueError, match="is not a verdict of this program"):
        run(tmp_path, FIXTURES / "0-reproduced.csv")
    assert (tmp_path / "verdict.json").read_text() == '{"mine": 1}'


def test_the_ci_script_gives_the_known_exit_codes(tmp_path: Path) -> None:
    """The same script as in examples/ci/verify.yml, through the real command line."""
    program = f"{sys.executable} -m dreamer_bench"
    environment = {**os.environ, "DREAMER_BENCH": program}
    known = subprocess.run(
        [EXAMPLES / "known_verdicts.sh", tmp_path / "known"], env=environment, capture_output=True, text=True
    )
    assert known.returncode == 0, known.stdout + known.stderr
    assert known.stdout.count("ok ") == 4
    assert json.loads((tmp_path / "known/1-below/verdict.json").read_text())["exit_code"] == 1
    usage = subprocess.run(
        [EXAMPLES / "verify.sh", FIXTURES / "0-reproduced.csv", "nowhere.csv", tmp_path / "out"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (usage.returncode, usage.stdout) == (2, "")
    assert len(usage.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out/verdict.json").exists()


def test_the_fixtures_are_what_their_script_makes_and_say_that_they_are_synthetic() -> None:
    sys.path.insert(0, str(EXAMPLES))
    try:
        import make_fixtures
    finally:
        sys.path.pop(0)
    for name, lines in make_fixtures.FILES.items():
        assert (FIXTURES / name).read_text().splitlines()[1:] == lines
        assert all(line.endswith(",synthetic") for line in lines)


# ---------------------------------------------------------------- published seeds


@cache
def published(name: str, method: str, at: int) -> pd.DataFrame:
    points = table.read([REFERENCE / name])
    return select(points[points["method"] == method], at=at, window=100_000, short="drop").scores


def split(scores: pd.DataFrame, seeds: int, generator: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A random part of each task's seeds as ours, the others as the reference."""
    shuffled = scores.sample(frac=1.0, random_state=generator)
    order = shuffled.groupby("task").cumcount()
    return shuffled[order < seeds], shuffled[order >= seeds]


def judged(ours: pd.DataFrame, theirs: pd.DataFrame, at: int) -> judge.Verdict:
    reference = Reference(
        name="split",
        title="",
        source="",
        licence="",
        kind="raw",
        seeds=int(theirs.groupby("task").size().min()),
        budget_env_steps=at,
        window_env_steps=None,
        evaluation="",
        scores=theirs,
    )
    question = Question(method=str(ours["method"].iloc[0]), normalization="dmc", margin=0.05, margin_source="test")
    return judge.judge(ours, reference, question, budget_env_steps=at)


@needs_reference
def test_splits_of_published_seeds_reproduce_each_other() -> None:
    """DreamerV3, 8-10 seeds on 20 tasks, five against the rest: 99% pass the suite test in the notes, 1% fail the profile
    by design."""
    scores = published("dmc_vision_1m_dreamerv3_suite.csv.gz", "dreamer_v3", 1_000_000)
    generator = np.random.default_rng(0)
    verdicts = [judged(*split(scores, 5, generator), 1_000_000).status for _ in range(25)]
    assert verdicts.count("reproduced") >= 23
    assert not {"below", "above"} & set(verdicts)


@needs_reference
def test_dreamer_v2_against_dreamer_is_caught_by_the_profile() -> None:
    first = published("dmc_vision_dreamerv1.csv.gz", "dreamer_v1", 1_980_000)
    second = published("dmc_vision_dreamerv2.csv.gz", "dreamer_v2", 1_980_000)
    verdict = judged(second, first, 1_980_000)
    assert verdict.status == "profile-differs"
    assert verdict.suite is not None
    assert verdict.suite.within(0.05)
    assert verdict.profile_p < 0.001


@needs_reference
@pytest.mark.parametrize(("shift", "expected"), [(-100, "below"), (100, "above")])
def test_published_seeds_shifted_beyond_the_margin_fail(shift: int, expected: str) -> None:
    scores = published("dmc_vision_1m_dreamerv3_suite.csv.gz", "dreamer_v3", 1_000_000)
    ours, theirs = split(scores, 5, np.random.default_rng(1))
    assert judged(ours.assign(score=ours["score"] + shift), theirs, 1_000_000).status == expected


@needs_reference
def test_three_published_seeds_are_inconclusive_half_a_margin_away() -> None:
    """With a true gap of 25 points three seeds cannot tell; ten can be planned for."""
    scores = published("dmc_vision_dreamerv2.csv.gz", "dreamer_v2", 1_980_000)
    generator = np.random.default_rng(0)
    verdicts = []
    for _ in range(20):
        ours, theirs = split(scores, 3, generator)
        verdicts.append(judged(ours.assign(score=ours["score"] - 25), theirs, 1_980_000))
    assert sum(verdict.status == "inconclusive" for verdict in verdicts) >= 12
    assert all(verdict.status != "above" for verdict in verdicts)
    assert any("3 seeds are few" in note for note in verdicts[0].notes)


@needs_reference
def test_atari_is_tested_on_the_log_scale() -> None:
    scores = published("atari_dopamine_legacy.csv.gz", "iqn", 199_000_000)
    scores = scores[scores["task"].isin(references.atari_scores().query("in_dreamerv2_55 == 1")["task"])]
    ours, theirs = split(scores, 3, np.random.default_rng(0))
    reference = Reference(
        name="iqn",
        title="",
        source="",
        licence="",
        kind="raw",
        seeds=2,
        budget_env_steps=199_000_000,
        window_env_steps=None,
        evaluation="",
        scores=theirs,
    )
    question = Question(method="iqn", normalization="atari-human", margin=0.1, margin_source="protocol")
    verdict = judge.judge(ours, reference, question, budget_env_steps=199_000_000)
    assert verdict.units == "log(1 + human-normalised score)"
    iqm = np.sort(normalize.normalize(theirs, "atari-human")["score"])[27:-27].mean()  # 110 runs, a quarter off each end
    assert verdict.margin == pytest.approx(math.log1p(1.1 * iqm) - math.log1p(iqm))
    assert verdict.status in ("reproduced", "inconclusive")
    half = theirs.assign(score=theirs["score"] * 0.5)
    low = judge.judge(half.assign(score=half["score"] + 1e-9), reference, question, budget_env_steps=199_000_000)
    assert low.status in ("below", "invalid")
