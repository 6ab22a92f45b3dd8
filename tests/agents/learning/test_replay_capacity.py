"""A replay with a capacity: first in, first out, by whole episodes; and short episodes that are never drawn."""

import numpy as np
import pytest
import torch

from agents.learning import lane as lane_module
from agents.learning.batches import DeviceBatches, HostBatches
from agents.learning.replay import Replay

KEYS = {"vector": ((2,), np.dtype(np.float32))}


def play(replay, episode, rows, lane=0):
    """An episode whose every row spells (episode, t)."""
    for t in range(rows):
        replay.add(lane, np.zeros(1), {"vector": np.array([episode, t])}, 0.0, t == 0, t == rows - 1, False)


def drawn(replay, length, seed=0, sequences=300):
    """Every sequence as ((episode, t), ...)."""
    out = {key: np.empty((length, sequences, *replay.row[key].shape), replay.row[key].base) for key in replay.keys}
    replay.sample(np.random.default_rng(seed), out)
    return {tuple(map(tuple, out["vector"][:, b].astype(int).tolist())) for b in range(sequences)}


def whole(episode, rows, length):
    return {tuple((episode, start + t) for t in range(length)) for start in range(rows - length + 1)}


@pytest.fixture(params=["memory", "files"])
def make(request, tmp_path, monkeypatch):
    """Makes replays with blocks of three rows, all over the same files."""
    monkeypatch.setattr(lane_module, "BLOCK_BYTES", 1)

    def make(**settings):
        replay = Replay(KEYS, 1, 2, tmp_path if request.param == "files" else None, **settings)
        for lane in replay.lanes:
            lane.block_rows = 3
        return replay

    return make


def test_the_oldest_episodes_go_first_and_whole(make):
    replay = make(capacity=12)
    for episode in range(4):
        play(replay, episode, 5)
    assert drawn(replay, 4) == whole(2, 5, 4) | whole(3, 5, 4)  # a third episode would be 15 rows


def test_the_capacity_is_of_all_lanes_and_the_newest_episode_stays_whatever_its_length(make):
    replay = make(capacity=6)
    play(replay, 0, 3, lane=0)
    play(replay, 1, 4, lane=1)
    assert drawn(replay, 3) == whole(1, 4, 3)
    play(replay, 2, 20, lane=0)
    assert drawn(replay, 3) == whole(2, 20, 3)


def test_rows_of_the_episode_under_way_are_never_dropped(make):
    replay = make(capacity=8)
    play(replay, 0, 6)
    for t in range(5):
        replay.add(1, np.zeros(1), {"vector": np.array([7, t])}, 0.0, t == 0, False, False)
    play(replay, 1, 6)
    replay.add(1, np.zeros(1), {"vector": np.array([7, 5])}, 0.0, False, True, False)
    assert drawn(replay, 4) == whole(7, 6, 4)


def test_an_episode_that_is_too_short_is_never_drawn_and_never_makes_ready(make):
    replay = make(shortest=5)
    play(replay, 0, 4)
    play(replay, 1, 4)
    assert not replay.ready(4)
    play(replay, 2, 5)
    assert drawn(replay, 4) == whole(2, 5, 4)


def test_what_was_kept_comes_back(make):
    replay = make(capacity=12)
    for episode in range(4):
        play(replay, episode, 5)
    state, rows = replay.state(), [lane.everything() for lane in replay.lanes]
    assert [len(each) for each in rows] == [10, 0]
    again = make(capacity=12)
    if again.lanes[0].folder is None:
        for lane, each, first in zip(again.lanes, rows, state["first"]):
            lane.restore(each, first)
    again.restore(state)
    assert drawn(again, 4) == drawn(replay, 4)
    play(again, 9, 5)
    assert drawn(again, 4) == whole(3, 5, 4) | whole(9, 5, 4)


def test_files_stay_for_the_two_states_before_and_go_then(tmp_path, monkeypatch):
    monkeypatch.setattr(lane_module, "BLOCK_BYTES", 1)
    replay = Replay(KEYS, 1, 1, tmp_path, capacity=6)
    replay.lanes[0].block_rows = 3
    states = []
    for episode in range(6):
        play(replay, episode, 6)
        states.append(replay.state())
        for state in states[-3:]:  # the one being written, and the two that a run keeps
            again = Replay(KEYS, 1, 1, tmp_path, capacity=6)
            again.lanes[0].block_rows = 3
            again.restore(state)
            kept = state["episodes"][0][1] // 6
            assert drawn(again, 6) == whole(kept, 6, 6)
    assert len(list(tmp_path.rglob("rows-*.bin"))) == 6  # three episodes of two blocks, of six that were played


def test_a_copy_on_the_device_goes_round_and_gives_the_same_batches():
    replay = Replay(KEYS, 1, 2, capacity=30, shortest=6)
    here = HostBatches([replay], 5, 4, False, torch.device("cpu"))
    there = DeviceBatches(
        [replay], 5, 4, False, torch.device("cpu"), capacity=31, otherwise=lambda: pytest.fail("there is room")
    )
    for episode in range(30):
        play(replay, episode, 6 + episode % 3, lane=episode % 2)
        found, wanted = (each.take([np.random.default_rng(episode)]) for each in (there, here))
        for key in wanted:
            torch.testing.assert_close(found[key], wanted[key])
