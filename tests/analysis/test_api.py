"""The Python API says what the command line says, in tables that pandas, seaborn and rliable take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import api
from dreamer_bench_base import UserError

FIXTURES = Path(__file__).resolve().parents[2] / "examples/ci/fixtures"
OURS, REFERENCE = FIXTURES / "0-reproduced.csv", FIXTURES / "reference.csv"


def test_scores_and_aggregates_are_those_of_the_command_line():
    command = [sys.executable, "-m", "dreamer_bench", "aggregate", str(OURS), "--json", "--reps", "500"]
    printed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    scores = api.scores(api.load(OURS))
    table = api.aggregates(scores, reps=500).set_index("metric")
    for estimate in printed["estimates"]:
        if estimate["metric"] in table.index:
            row = table.loc[estimate["metric"]]
            assert (row["point"], row["low"], row["high"]) == (estimate["point"], estimate["low"], estimate["high"])


def test_scores_are_one_row_a_run_and_agree_with_rliable():
    from rliable import metrics

    scores = api.scores(api.load(OURS))
    assert not scores.duplicated(["method", "task", "seed"]).any()
    matrix = scores.pivot(index="seed", columns="task", values="score").to_numpy()
    iqm = api.aggregates(scores, metrics=["iqm"], reps=100)["point"].item()
    assert iqm == pytest.approx(metrics.aggregate_iqm(matrix), rel=1e-12)


def test_a_figure_is_a_matplotlib_figure_and_is_written_where_asked(tmp_path):
    from matplotlib.figure import Figure

    drawn = api.figure("aggregates", OURS, reps=100, out=tmp_path)
    assert isinstance(drawn, Figure)
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png", ".csv"}


@pytest.mark.parametrize(("name", "status", "code"), [("0-reproduced", "reproduced", 0), ("1-below", "below", 1)])
def test_a_verdict_is_that_of_verify_and_writes_nothing(name, status, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = api.verdict(FIXTURES / f"{name}.csv", reference=REFERENCE, protocol="dmc-1m@1")
    assert (found.status, found.exit_code) == (status, code)
    assert list(tmp_path.iterdir()) == []


def test_the_chance_of_an_improvement_over_itself_is_one_half():
    scores = api.scores(api.load(OURS))
    twin = scores.assign(method="twin")
    both = pd.concat([scores, twin], ignore_index=True)
    point = api.improvement(both, scores["method"].iloc[0], "twin", reps=100)["point"]
    assert point == pytest.approx(0.5)
    assert np.isfinite(point)


def test_bad_input_is_the_command_lines_one_line():
    with pytest.raises(UserError, match="nowhere"):
        api.load("nowhere.csv")
