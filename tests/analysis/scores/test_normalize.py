"""Normalisations and shipped references against the numbers that papers print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.scores import normalize, references
from analysis.statistics.atari_aggregates import AGGREGATES, table_1
from analysis.verify.reference import load as load_reference
from dreamer_bench_base import InvalidData
from tests.analysis.made_up_scores import REFERENCE, needs_reference, scores


def one(task: str, score: float) -> pd.DataFrame:
    return scores({"m": {task: [score]}})


@pytest.mark.parametrize(
    ("name", "task", "score", "expected"),
    [
        ("none", "dmc_walker_walk", 431.0, 431.0),
        ("dmc", "dmc_walker_walk", 431.0, 0.431),
        ("atari-human", "atari_pong", 14.6, 1.0),
        ("atari-human", "atari_pong", -20.7, 0.0),
        ("atari-record", "atari_breakout", 864.0, 1.0),
        ("atari-human", "atari_jamesbond", 302.8, 1.0),  # DreamerV2's file has 29 there, which made it 39
        ("atari-human", "atari_jamesbond", 29.0, 0.0),
        ("atari-gamer", "atari_jamesbond", 7.0, 0.0),  # DreamerV2's Table K.1
        ("atari-gamer", "atari_alien", 228.8, 0.0),
        ("atari-gamer-record", "atari_jamesbond", 45550.0, 1.0),
        ("atari-gamer-clipped", "atari_jamesbond", 91100.0, 1.0),
        ("small-control", "gym:CartPole-v1", 261.1, 0.5),
        ("small-control", "gym:Pendulum-v1", -1235.9, 0.0),
    ],
)
def test_units(name: str, task: str, score: float, expected: float) -> None:
    assert normalize.normalize(one(task, score), name)["score"].tolist() == pytest.approx([expected])


def test_a_normalisation_is_named_with_its_version() -> None:
    assert [entry.id for entry in normalize.NORMALIZATIONS.values()] == [
        "none@1",
        "dmc@1",
        "atari-human@1",
        "atari-record@1",
    ] + [f"atari-gamer{suffix}@1" for suffix in ("", "-record", "-clipped")] + ["small-control@1"]
    assert normalize.find("dmc@1") is normalize.find("dmc")
    with pytest.raises(ValueError, match=r"'dmc@2' is not known; choose from none@1"):
        normalize.find("dmc@2")


def test_a_suite_whose_name_begins_like_another_has_not_its_units() -> None:
    with pytest.raises(InvalidData, match="dmc@1 is not defined for dmcgb_walker"):
        normalize.normalize(scores({"a": {"dmcgb_walker": [500.0]}}), "dmc")


def test_tasks_without_constants_are_refused_by_name() -> None:
    with pytest.raises(InvalidData, match="atari-human@1 is not defined for dmc_walker_walk"):
        normalize.normalize(one("dmc_walker_walk", 1.0), "atari-human")
    with pytest.raises(InvalidData, match="no human score of atari_air_raid"):
        normalize.normalize(one("atari_air_raid", 1.0), "atari-human")
    with pytest.raises(InvalidData, match="no record score of atari_surround"):
        normalize.normalize(one("atari_surround", 1.0), "atari-record")


def test_the_suite_decides_the_default() -> None:
    assert normalize.for_tasks(["dmc_walker_walk", "dmc_cup_catch"]) == "dmc"
    assert normalize.for_tasks(["atari_pong"]) == "atari-human"
    assert normalize.for_tasks(["atari_pong", "dmc_cup_catch"]) == "none"
    assert normalize.for_tasks(["minigrid_doorkey"]) == "none"


def test_the_input_is_not_changed() -> None:
    frame = one("dmc_walker_walk", 500.0)
    normalize.normalize(frame, "dmc")
    assert frame["score"].tolist() == [500.0]


def test_appendix_g_holds_the_printed_means_and_the_like_for_like_ones() -> None:
    means = references.appendix_g_means().set_index("method")
    assert means["tasks"].to_dict() == {"A3C": 18, "D4PG": 18, "Dreamer": 20, "PlaNet": 20}
    printed = {"A3C": 243.70, "D4PG": 786.32, "Dreamer": 823.39, "PlaNet": 332.97}
    common = {"A3C": 243.70, "D4PG": 786.33, "Dreamer": 813.77, "PlaNet": 341.12}
    for method in printed:
        assert means.loc[method, "mean"] == pytest.approx(printed[method], abs=0.01)
        assert means.loc[method, "mean_common"] == pytest.approx(common[method], abs=0.005)


def test_appendix_g_is_a_reference_of_means() -> None:
    reference = load_reference("dreamer-2020-appendix-g")
    assert (reference.kind, reference.seeds, reference.budget_env_steps) == ("mean", 5, 5_000_000)
    assert reference.scores["score"].mean() == pytest.approx(823.39, abs=0.005)
    assert len(load_reference("dreamer-2020-appendix-g", method="A3C").scores) == 18


@pytest.mark.parametrize("name", ["dreamer-2020", "nowhere.csv"])
def test_an_unknown_reference_is_a_usage_error(name: str) -> None:
    with pytest.raises(ValueError, match="neither a file nor one of dreamer-2020-appendix-g"):
        load_reference(name)


def test_every_shipped_number_has_its_source() -> None:
    assert references.appendix_g()["source"].str.len().min() > 10
    atari = references.atari_scores()
    assert len(atari) == 57
    assert atari["source_random_human"].str.len().min() > 10
    assert (atari["record"].isna() == atari["source_record"].isna()).all()
    assert (atari["in_atari57"].sum(), atari["in_dreamerv2_55"].sum(), atari["in_atari100k_26"].sum()) == (57, 55, 26)
    assert max(path.stat().st_size for path in references.FOLDER.iterdir()) < 20_000


def test_a_file_of_several_methods_needs_a_choice(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("method,task,seed,env_step,score\n" + "".join(f"{m},pong,{s},10,{s}\n" for m in "ab" for s in range(3)))
    with pytest.raises(ValueError, match="holds the methods a, b; choose one with --reference-method"):
        load_reference(path)
    assert load_reference(path, method="b").seeds == 3
    with pytest.raises(ValueError, match="holds no method 'c'"):
        load_reference(path, method="c")


def test_table_k1_gives_the_four_aggregates_of_table_1() -> None:
    """Printed there with two digits: 2.15 11.33 0.44 0.28, 1.29 8.85 0.21 0.21, 1.47 9.12 0.17 0.17."""
    found = table_1(references.table_k1_scores()).set_index("method")
    assert found["games"].tolist() == [55, 55, 55]
    expected = {
        "DreamerV2": (2.146, 11.326, 0.438, 0.279),
        "IQN": (1.288, 8.852, 0.211, 0.209),
        "Rainbow": (1.472, 9.117, 0.173, 0.173),
    }
    for method, numbers in expected.items():
        assert tuple(found.loc[method, list(AGGREGATES)].round(3)) == numbers
        printed = {"DreamerV2": (2.15, 11.33, 0.44, 0.28), "IQN": (1.29, 8.85, 0.21, 0.21), "Rainbow": (1.47, 9.12, 0.17, 0.17)}
        np.testing.assert_allclose(found.loc[method, list(AGGREGATES)].astype(float), printed[method], atol=0.0051)


@needs_reference
def test_the_published_runs_give_the_printed_rows_when_seeds_are_averaged_first() -> None:
    """With schedules 2.64 10.45 0.43 0.28, without 2.15 11.33 0.44 0.28: at 199M frames, stopped runs at their last value."""
    curves = pd.read_csv(REFERENCE / "atari_dreamerv2.csv.gz").query("env_step <= 199_000_000").dropna(subset=["score"])
    last = curves.sort_values("env_step").groupby(["method", "task", "seed"], as_index=False).last()
    last["task"] = "atari_" + last["task"].str.removeprefix("atari_")
    found = table_1(last).set_index("method")
    for method, printed in {"dreamer_v2": (2.15, 11.33, 0.44, 0.28), "dreamer_v2_schedules": (2.64, 10.45, 0.43, 0.28)}.items():
        assert tuple(found.loc[method, list(AGGREGATES)].astype(float).round(2)) == printed


def test_small_control_is_what_fits_the_tasks_of_small_and_no_others() -> None:
    assert normalize.for_tasks(["gym:Pendulum-v1", "gym:CartPole-v1"]) == "small-control"
    assert normalize.for_tasks(["gym:Pendulum-v1", "gym:CarRacing-v3"]) == "none"
    assert normalize.for_tasks(["dmc_walker_walk"]) == "dmc"
    assert normalize.for_tasks([]) == "none"


def test_pendulums_optimum_is_what_dynamic_programming_finds() -> None:
    """Value iteration over an episode's 200 steps, linear between 61 x 61 states, 9 torques; equations of Gymnasium's docs."""
    cells, torques = 61, np.linspace(-2, 2, 9)
    angle, speed = np.linspace(-np.pi, np.pi, cells, endpoint=False), np.linspace(-8, 8, cells)
    th, w, u = np.meshgrid(angle, speed, torques, indexing="ij")
    cost = th**2 + 0.1 * w**2 + 0.001 * u**2
    w_next = np.clip(w + (15 * np.sin(th) + 3 * u) * 0.05, -8, 8)
    i = ((th + 0.05 * w_next + np.pi) % (2 * np.pi)) / (2 * np.pi) * cells
    j = (w_next + 8) / 16 * (cells - 1)
    i0, j0 = i.astype(int) % cells, np.minimum(j.astype(int), cells - 2)
    fi, fj, i1, j1 = i - np.floor(i), j - j0, (i0 + 1) % cells, j0 + 1
    value = np.zeros((cells, cells))
    for _ in range(200):
        low = value[i0, j0] * (1 - fi) + value[i1, j0] * fi
        high = value[i0, j1] * (1 - fi) + value[i1, j1] * fi
        value = (low * (1 - fj) + high * fj - cost).max(-1)
    beginnings = value[:, np.abs(speed) <= 1].mean()  # angle anywhere, speed in [-1, 1]
    printed = references.small_control().set_index("task").loc["gym:Pendulum-v1", "optimum"]
    assert beginnings - 1 < printed < beginnings + 10  # a coarse grid costs up to 10


def test_table_k1_is_a_reference_of_means() -> None:
    reference = load_reference("dreamer-2021-table-k1")
    assert (reference.kind, reference.seeds, reference.budget_env_steps) == ("mean", 5, 200_000_000)
    assert len(load_reference("dreamer-2021-table-k1", method="IQN").scores) == 55
    with pytest.raises(ValueError, match="has no method 'DQN'; it has DreamerV2, IQN, Rainbow"):
        load_reference("dreamer-2021-table-k1", method="DQN")


@needs_reference
def test_dreamerv2s_table_of_aggregates_at_200m_frames() -> None:
    """DreamerV2's Table 1 for the Dopamine baselines (55 games): median and mean of human-normalised, mean of
    record-normalised scores.

    Printed there: 1.29 8.85 0.21, 1.47 9.12 0.17, 1.09 7.70 0.15, 0.65 2.84 0.12. Its James Bond row reads another reference.
    """
    games = references.atari_scores().query("in_dreamerv2_55 == 1")["task"]
    published = pd.read_csv(REFERENCE / "published_point_scores.csv").query("suite == 'atari'")
    published["task"] = "atari_" + published["task"]
    printed = {"iqn": (1.29, 8.85, 0.21), "rainbow": (1.47, 9.12, 0.17), "c51": (1.09, 7.70, 0.15), "dqn": (0.65, 2.84, 0.12)}
    for agent, expected in printed.items():
        rows = published[(published["baseline"] == f"{agent}_sticky_2e8") & published["task"].isin(games)]
        human, record = (normalize.normalize(rows, name)["score"] for name in ("atari-human", "atari-record"))
        found = (np.median(human), human.mean(), record.mean())
        assert len(rows) == 55
        np.testing.assert_allclose(found, expected, atol=0.025)
