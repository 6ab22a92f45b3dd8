"""One agent for all tasks beside one for each: the axis and the means by hand, the picture from records."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from analysis.figures import joined
from protocols.joined import APART_SMALL_1, JOINED_SMALL_1, PLANET_ALL_1, SIX, THREE


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
    found = joined.curves(table).set_index("task")
    assert found["mean"].to_dict() == {"a": 200.0, "b": 20.0, joined.MEAN: 110.0}
    assert (found["low"]["a"], found["high"]["a"]) == (100.0, 300.0)  # of two runs: both drawn twice in more than 2.5%
    assert (found["low"][joined.MEAN], found["high"][joined.MEAN]) == (55.0, 165.0)
    assert found["runs"].tolist() == [2, 2, 2]


def test_the_picture_and_its_numbers_are_written(tmp_path):
    rows = [
        (group, "dreamer", task, seed, float(episodes), 10.0 * episodes + int(seed))
        for group in ("one", "each") for task in ("dmc_reacher_easy", "dmc_finger_spin")
        for seed in "012" for episodes in (0, 5)
    ]  # fmt: skip
    found = joined.curves(pd.DataFrame(rows, columns=["group", "method", "task", "seed", "episodes", "score"]))
    svg, png, csv = joined.draw(found, tmp_path, "caption")
    assert "episodes per task" in svg.read_text()
    assert png.stat().st_size > 1000
    assert len(pd.read_csv(csv)) == len(found) == 2 * 2 * 3
    assert np.isfinite(found["low"]).all()
