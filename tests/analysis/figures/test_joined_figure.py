"""One agent for all tasks beside one for each: the axis and the means by hand, the picture from records."""

from dataclasses import asdict

import pandas as pd
import pytest

from analysis import api
from analysis.figures import joined
from analysis.figures.commands import FigureCommand
from dreamer_bench_base import InvalidData, UserError
from protocols.joined import APART_SMALL_1, JOINED_SMALL_1, PLANET_ALL_1, SIX, THREE
from tests.make_records import make_run


def test_a_round_is_an_episode_of_every_task():
    """PlaNet: 125 + 250 + 250 + 500 + 250 + 500 decisions."""
    assert joined.decisions_per_round(asdict(PLANET_ALL_1), SIX) == 1875
    assert joined.decisions_per_round(asdict(JOINED_SMALL_1), THREE) == 375
    assert joined.decisions_per_round(asdict(APART_SMALL_1), APART_SMALL_1.tasks[0]) == 125
    with pytest.raises(ValueError, match="joins no tasks"):
        joined.decisions_per_round({**asdict(PLANET_ALL_1), "joined": {}}, SIX)


def test_means_are_over_runs_and_then_over_tasks():
    table = pd.DataFrame(
        [("one", "dreamer", task, seed, 5.0, score) for task, seed, score in
         [("a", "0", 100.0), ("a", "1", 300.0), ("b", "0", 10.0), ("b", "1", 30.0)]],
        columns=["group", "method", "task", "seed", "episodes", "score"],
    )  # fmt: skip
    found = joined.curves(table, 10_000).set_index("task")
    assert found["mean"].to_dict() == {"a": 200.0, "b": 20.0, joined.MEAN: 110.0}
    assert (found["low"]["a"], found["high"]["a"]) == (100.0, 300.0)  # of two runs: both drawn twice in more than 2.5%
    assert (found["low"][joined.MEAN], found["high"][joined.MEAN]) == (55.0, 165.0)
    assert found["runs"].tolist() == [2, 2, 2]


EVERY = 5 * 125
"""Decisions between two evaluations: five episodes of a task."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """joined-small@1 and apart-small@1, two seeds: after n episodes of every task 10 n + the task's place, apart 1 more."""
    root = tmp_path_factory.mktemp("records")
    for seed in (0, 1):
        together = {3 * EVERY * n: [50.0 * n + place for place in (0, 1, 2, 0, 1, 2)] for n in range(5)}
        make_run(root / "one", JOINED_SMALL_1, agent="dreamer", task=THREE, seed=seed, scores=together, final=[9.0] * 12)
        for place, task in enumerate(APART_SMALL_1.tasks):
            alone = {EVERY * n: [50.0 * n + place + 1.0] * 2 for n in range(5)}
            make_run(root / "each", APART_SMALL_1, agent="dreamer", task=task, seed=seed, scores=alone, final=[9.0] * 4)
    return root


def test_the_figure_is_drawn_from_both_folders_at_equal_episodes_per_task(folders, tmp_path):
    assert FigureCommand(name="joined", scores=(folders / "one", folders / "each"), out=tmp_path, reps=200).run() == 0
    found = pd.read_csv(tmp_path / "joined.csv").set_index(["group", "task", "episodes"])
    assert sorted({episodes for _, _, episodes in found.index}) == [0, 5, 10, 15, 20]
    for place, task in enumerate(("dmc_cartpole_swingup", "dmc_reacher_easy", "dmc_finger_spin")):
        assert found.loc[("one", task, 10), "mean"] == 100.0 + place
        assert found.loc[("each", task, 10), "mean"] == 101.0 + place
    assert found.loc[("one", joined.MEAN, 20), "mean"] == 201.0
    assert set(found["runs"]) == {2}
    assert "episodes per task" in (tmp_path / "joined.svg").read_text()


def test_tasks_can_be_chosen_and_the_caption_names_protocols_and_agent(folders):
    drawn, notes = joined.joined([folders / "one", folders / "each"], tasks=["reacher_easy"], reps=200)
    assert set(drawn.data["task"]) == {"dmc_reacher_easy", joined.MEAN}
    assert "dreamer under apart-small@1, joined-small@1" in drawn.caption
    assert notes == []


def test_python_draws_it_by_the_same_name(folders):
    assert len(api.figure("joined", folders / "one", folders / "each", reps=200).axes) == 4


@pytest.mark.parametrize(
    ("kinds", "options", "said"),
    [
        (("one",), {}, "these hold no complete run of an agent for each"),
        (("each",), {}, "these hold no complete run of one agent for all"),
        (("one", "each"), {"methods": ("sac",)}, "no complete run of one agent for all for sac"),
        (("one", "each"), {"at": 5}, "--at does not apply to figure 'joined'"),
        (("one", "each"), {"tasks": ("walker_walk",)}, "no task of both kinds among walker_walk"),
    ],
)
def test_what_the_figure_cannot_show_is_one_line(folders, tmp_path, kinds, options, said):
    with pytest.raises(UserError, match=said):
        FigureCommand(
            name="joined", scores=tuple(folders / kind for kind in kinds), out=tmp_path / "out", reps=200, **options
        ).run()
    assert not (tmp_path / "out").exists()


def test_two_agents_are_no_comparison_of_one_with_itself(folders, tmp_path):
    make_run(tmp_path, JOINED_SMALL_1, agent="sac", task=THREE, seed=0, scores={0: [1.0] * 6}, final=[9.0] * 12)
    with pytest.raises(UserError, match="these runs are of dreamer, sac; choose one with --methods"):
        joined.joined([folders / "one", folders / "each", tmp_path])


@pytest.mark.parametrize("part", ["dmc_reacher_easy", "dmc_reacher_easy*0", "dmc_reacher_easy*x", "*8"])
def test_a_manifest_that_joins_nonsense_is_invalid(part):
    with pytest.raises(InvalidData, match="expected task\\*repeat each"):
        joined.decisions_per_round({**asdict(JOINED_SMALL_1), "joined": {THREE: [part]}}, THREE)
