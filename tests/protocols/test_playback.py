"""`evaluate` and `video` on the checkpoint of a run: the same episodes as the run's own final evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from protocols.playback_commands import EvaluateCommand, VideoCommand
from protocols.revive import revive
from protocols.store import EPISODES, read_lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cut quick@1 run of the random agent on the real simulator."""
    from protocols.commands import COMMANDS

    root = tmp_path_factory.mktemp("runs")
    COMMANDS["run"](protocol="quick@1", agents=("random",), seeds=(1,), runs=root, limit=1000).run()
    (run,) = root.glob("quick@1/random~1000/*/seed-1")
    return run


def test_evaluate_plays_the_final_evaluation_again_to_the_bit(folder, tmp_path, capsys):
    recorded = [line for line in read_lines(folder / EPISODES) if line["final"]]
    assert EvaluateCommand(run_folder=folder, episodes=len(recorded), json=tmp_path / "scores.json").run() == 0
    played = json.loads((tmp_path / "scores.json").read_text())["episodes"]
    assert [(each["env_seed"], each["score"]) for each in played] == [(line["env_seed"], line["score"]) for line in recorded]
    assert f"n={len(recorded)} episodes" in capsys.readouterr().out


def test_evaluating_leaves_the_record_alone(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    EvaluateCommand(run_folder=folder, episodes=1).run()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_video_holds_every_frame_of_the_episode(folder, tmp_path, ending):
    target = tmp_path / f"episode.{ending}"
    assert VideoCommand(run_folder=folder, out=target).run() == 0
    (episode,) = revive(folder).play(1, film=True)
    with Image.open(target) as film:
        assert film.size == (64, 64)
        assert film.n_frames >= 0.9 * len(episode.frames)      # GIF joins frames that do not differ
        first = np.asarray(film.convert("RGB"), np.float32)
    assert np.abs(first - episode.frames[0]).mean() < 12


def test_what_is_no_run_or_has_no_checkpoint_is_refused_in_one_line(folder, tmp_path):
    with pytest.raises(ValueError, match="is not a run; give one seed's folder"):
        revive(tmp_path)
    bare = tmp_path / "seed-0"
    bare.mkdir()
    (bare / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    with pytest.raises(ValueError, match="no checkpoint yet"):
        revive(bare)
    with pytest.raises(ValueError, match=r"ending in \.webp or \.gif"):
        VideoCommand(run_folder=folder, out=tmp_path / "film.avi").run()
