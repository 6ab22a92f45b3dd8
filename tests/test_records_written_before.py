"""Records written under schema 1 still mean what they meant: every reader gives the scores that were worked out by hand.

The records are three runs of random actions on quick@1, whose score is the mean of the five final episodes, and the shipped
runs of small@1, where it is that of ten. The numbers below are those means, by awk over the lines of episodes.jsonl.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis import api
from analysis.commands import AggregateCommand, ExportCommand
from analysis.figures.gather import gather
from analysis.leaderboard.entries import entries_of
from analysis.leaderboard.submissions import read_leaderboard
from analysis.report.build import build as build_report
from analysis.scores import exchange
from analysis.statistics.aggregate_table import aggregate_scores
from protocols.records.store import find_runs
from protocols.running.status import standings

RUNS = Path(__file__).parent / "protocols" / "records_of_schema_1"
SCORES = {"0": 151.2432988431, "1": 153.5512058189, "2": 142.1476529034}
MEAN = 148.9807191885

SHIPPED = Path(__file__).parents[1] / "results" / "leaderboard"
PENDULUM = {"0": -1134.9326635567, "1": -1117.9428732180, "2": -1246.8811363154, "3": -1290.1747787596, "4": -1305.4788408714}


def test_the_records_are_of_schema_1():
    assert [run.manifest["schema"] for run in find_runs(RUNS)] == [1, 1, 1]


def test_the_table_of_scores():
    scores = api.scores(api.load(RUNS), normalization="none")
    assert dict(zip(scores["seed"], scores["score"])) == pytest.approx(SCORES)


def test_results_and_status():
    assert {str(run.manifest["seed"]): run.result()["score"] for run in find_runs(RUNS)} == pytest.approx(SCORES)
    assert {str(row.seed): row.score for row in standings(RUNS, None) if row.score is not None} == pytest.approx(SCORES)


def test_aggregates(capsys):
    assert aggregate_scores(AggregateCommand(scores=(RUNS,), metrics=("mean",), reps=100, json=True)) == 0
    (mean,) = json.loads(capsys.readouterr().out)["estimates"]
    assert mean["runs"] == 3
    assert mean["point"] == pytest.approx(MEAN / 1000)  # of DeepMind Control's range


def test_exports(tmp_path):
    exchange.export_scores(ExportCommand(format="rliable", scores=(RUNS,), out=tmp_path / "scores.npz"))
    with np.load(tmp_path / "scores.npz") as archive:
        assert archive["random"][:, 0] == pytest.approx(sorted(SCORES.values()))


def test_figures_and_the_report(tmp_path):
    shown = gather([RUNS], reps=100).scores
    assert dict(zip(shown["seed"], shown["score"])) == pytest.approx(SCORES)
    (section,) = build_report([RUNS], tmp_path / "report", reps=100)["sections"]
    (mean,) = section["means"]
    assert (mean["runs"], mean["point"]) == (3, pytest.approx(MEAN))


def test_the_verdict(tmp_path):
    reference = tmp_path / "reference.csv"
    rows = [f"published,dmc_walker_stand,{seed},10000,{score},true" for seed, score in enumerate((140.0, 145.0, 150.0))]
    reference.write_text("\n".join(["method,task,seed,env_step,score,final", *rows]) + "\n")
    verdict = api.verdict(RUNS, reference=reference, margin=0.5)
    assert verdict.causes == ()
    assert verdict.suite.difference == pytest.approx((MEAN - 145) / 1000)


def test_the_leaderboard():
    submissions, _ = read_leaderboard(SHIPPED)
    (random,) = (each for each in submissions if each.slug == "random-actions")
    (entry,) = (entry for entry in entries_of(random) if entry.protocol.id == "small@1")
    pendulum = entry.scores[entry.scores["task"] == "gym:Pendulum-v1"]
    assert dict(zip(pendulum["seed"], pendulum["score"])) == pytest.approx(PENDULUM)
