"""Replay: the arrival convention, which sequences are drawn and how often, and what survives a restart."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from agents.learning import lane as lane_module
from agents.learning.replay import Replay

KEYS = {"vector": ((2,), np.dtype(np.float32)), "image": ((2, 2, 1), np.dtype(np.uint8))}


def play(replay, lane, episode, steps, *, end=True, terminal=False):
    """An episode whose every row spells (episode, t): `steps` decisions, so steps + 1 rows."""
    for t in range(steps + 1):
        last = end and t == steps
        replay.add(
            lane,
            np.array([t * 1.0]),
            {"vector": np.array([episode, t]), "image": np.full((2, 2, 1), t % 256, np.uint8)},
            10.0 * t,
            t == 0,
            last,
            last and terminal,
        )


def draw(replay, length, sequences, seed=0, **options):
    out = {key: np.empty((length, sequences, *replay.row[key].shape), replay.row[key].base) for key in replay.keys}
    replay.sample(np.random.default_rng(seed), out, **options)
    return out


@pytest.fixture(params=["memory", "files"])
def replay(request, tmp_path):
    return Replay(KEYS, 1, 2, tmp_path if request.param == "files" else None)


def test_rows_keep_the_arrival_convention(replay):
    play(replay, 0, 7, 5, terminal=True)
    batch = draw(replay, 6, 3)
    for b in range(3):
        np.testing.assert_array_equal(batch["vector"][:, b], [[7, t] for t in range(6)])
        np.testing.assert_array_equal(batch["image"][:, b, 0, 0, 0], range(6))
        np.testing.assert_array_equal(batch["action"][:, b, 0], [0, 1, 2, 3, 4, 5])  # action[t] led into row t
        np.testing.assert_array_equal(batch["reward"][:, b], [0, 10, 20, 30, 40, 50])
        np.testing.assert_array_equal(batch["is_first"][:, b], [1, 0, 0, 0, 0, 0])
        np.testing.assert_array_equal(batch["is_terminal"][:, b], [0, 0, 0, 0, 0, 1])


def test_a_first_row_has_no_action_and_no_reward(replay):
    replay.add(0, np.array([9.0]), {"vector": np.zeros(2), "image": np.zeros((2, 2, 1), np.uint8)}, 9.0, True, True, False)
    batch = draw(replay, 1, 1)
    assert batch["action"].item() == 0
    assert batch["reward"].item() == 0


def test_episodes_are_drawn_alike_whatever_their_length_and_starts_alike(replay):
    play(replay, 0, 0, 9)  # 10 rows: starts 0..6 of sequences of 4
    play(replay, 1, 1, 29)  # 30 rows: starts 0..26
    batch = draw(replay, 4, 20_000)
    episode, start = batch["vector"][0, :, 0], batch["vector"][0, :, 1]
    assert abs((episode == 0).mean() - 0.5) < 0.02
    for number, starts in ((0, 7), (1, 27)):
        counts = np.bincount(start[episode == number].astype(int), minlength=starts)
        assert len(counts) == starts  # the last row is reachable
        assert np.abs(counts / counts.sum() - 1 / starts).max() < 0.02


def test_balanced_ends_are_drawn_more_often(replay):
    play(replay, 0, 0, 9)
    start = draw(replay, 4, 20_000, balance_ends=True)["vector"][0, :, 1].astype(int)
    share = np.bincount(start, minlength=7) / len(start)
    np.testing.assert_allclose(share, [0.1] * 6 + [0.4], atol=0.02)  # min(uniform {0..9}, 6)


def test_open_episodes_are_not_drawn(replay):
    play(replay, 0, 0, 9)
    play(replay, 1, 1, 50, end=False)
    assert replay.episodes == 1
    assert set(draw(replay, 4, 500)["vector"][0, :, 0]) == {0.0}


def test_a_short_episode_runs_on_into_the_rows_after_it(replay):
    play(replay, 0, 0, 2)
    play(replay, 0, 1, 2)
    play(replay, 0, 2, 9, end=False)
    batch = draw(replay, 7, 200)
    for b in range(200):
        first = int(batch["vector"][0, b, 0])
        rows = [[first, t] for t in range(3)] + [[first + 1, t] for t in range(3 if first == 0 else 4)]
        rows += [[first + 2, 0]] if first == 0 else []
        np.testing.assert_array_equal(batch["vector"][:, b], rows)
        np.testing.assert_array_equal(batch["is_first"][:, b], [float(t == 0) for _, t in rows])


def test_nothing_can_be_drawn_before_an_episode_and_enough_rows(replay):
    assert not replay.ready(4)
    play(replay, 0, 0, 2)
    assert replay.ready(3)
    assert not replay.ready(4)
    play(replay, 1, 0, 9, end=False)
    assert not replay.ready(4)  # the other lane's rows cannot follow
    play(replay, 0, 1, 2)
    assert replay.ready(4)


def test_sequences_cross_the_edges_of_blocks(replay, monkeypatch):
    monkeypatch.setattr(lane_module, "BLOCK_BYTES", 1)
    for lane in replay.lanes:
        lane.block_rows = 3
    play(replay, 0, 5, 19)
    batch = draw(replay, 8, 50)
    assert (np.diff(batch["vector"][:, :, 1], axis=0) == 1).all()


def test_the_hash_of_a_file_is_that_of_its_rows_however_often_it_was_begun_again(tmp_path):
    first = Replay(KEYS, 1, 1, tmp_path)
    play(first, 0, 1, 4)
    state = first.state()
    play(first, 0, 2, 3)  # forgotten: the process died before its next checkpoint
    second = Replay(KEYS, 1, 1, tmp_path)
    second.restore(state)
    play(second, 0, 3, 5)
    rows = (tmp_path / "lane-0" / "rows-000000.bin").read_bytes()[: 11 * second.row.itemsize]
    assert second.state()["hashes"] == [{"0": hashlib.sha256(rows).hexdigest()}]


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_replay_file_that_was_changed_between_two_processes_is_refused(place, tmp_path):
    replay = Replay(KEYS, 1, 1, tmp_path)
    play(replay, 0, 1, 9)
    state = replay.state()
    path = tmp_path / "lane-0" / "rows-000000.bin"
    data, end = bytearray(path.read_bytes()), 10 * replay.row.itemsize
    data[place % end] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"rows-000000\.bin does not hold the rows that the run wrote; restore it from a copy"):
        Replay(KEYS, 1, 1, tmp_path).restore(state)
    without = {name: value for name, value in state.items() if name != "hashes"}
    Replay(KEYS, 1, 1, tmp_path).restore(without)  # a checkpoint from before there were hashes still reads


def test_mapped_files_come_back_and_rows_after_the_state_are_forgotten(tmp_path):
    replay = Replay(KEYS, 1, 1, tmp_path)
    play(replay, 0, 0, 9)
    state = replay.state()
    expected = draw(replay, 4, 20)
    play(replay, 0, 1, 9)  # written, but never committed
    again = Replay(KEYS, 1, 1, tmp_path)
    again.restore(state)
    for key, value in draw(again, 4, 20).items():
        np.testing.assert_array_equal(value, expected[key])
    play(again, 0, 2, 9)
    assert set(draw(again, 4, 200)["vector"][:, :, 0].ravel()) == {0.0, 2.0}


CEILING, IMAGE_ROWS = 2**20, 3000  # 37 MB of rows


def resident_bytes(folder):
    """What this process has resident of the files below a folder, as the kernel counts it."""
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = f"{folder}/" in line
        elif ours and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two lanes of images in several files each, under a ceiling far below their size, and the most that was resident."""
    monkeypatch.setattr(lane_module, "BLOCK_BYTES", 2**23)
    replay = Replay({"image": ((64, 64, 3), np.dtype(np.uint8))}, 6, 2, tmp_path, CEILING)
    peak = 0
    for number in range(IMAGE_ROWS):
        lane, t = number % 2, number // 2 % 100
        replay.add(lane, np.zeros(6), {"image": np.full((64, 64, 3), t, np.uint8)}, 0.0, t == 0, t == 99, False)
        if number % 20 == 0:
            peak = max(peak, resident_bytes(tmp_path))
    return replay, peak


def test_mapped_rows_stay_below_the_ceiling_however_many_are_written_and_drawn(tmp_path, images):
    replay, written_peak = images
    assert 0 < written_peak <= CEILING
    for seed in range(30):
        image = draw(replay, 50, 2, seed)["image"]
        assert 0 < resident_bytes(tmp_path) <= CEILING
        assert (np.diff(image[:, :, 0, 0, 0].astype(int), axis=0) == 1).all()  # and what was let go is not lost


def test_reading_more_at_once_than_the_ceiling_lets_stay_resident(tmp_path, images):
    replay, _ = images
    rows = {"image": np.empty((IMAGE_ROWS // 2, 64, 64, 3), np.uint8)}
    replay.lanes[1].expect(0, IMAGE_ROWS // 2)
    replay.lanes[1].read(0, rows)
    np.testing.assert_array_equal(rows["image"][:, 5, 5, 1], np.arange(IMAGE_ROWS // 2) % 100)
    assert 0 < resident_bytes(tmp_path) <= CEILING


def test_after_a_restart_the_ceiling_holds(tmp_path, images):
    replay, _ = images
    again = Replay({"image": ((64, 64, 3), np.dtype(np.uint8))}, 6, 2, tmp_path, CEILING)
    again.restore(replay.state())
    image = draw(again, 50, 20)["image"]
    np.testing.assert_array_equal(image, draw(replay, 50, 20)["image"])
    del replay
    assert resident_bytes(tmp_path) <= 2 * CEILING  # of the two that were open
