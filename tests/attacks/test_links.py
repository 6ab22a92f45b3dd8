"""Links, devices and pipes in a submission: nothing of the maintainer's is read, quoted or published."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from analysis.leaderboard import adding, site
from analysis.leaderboard.evidence import RECORD_FILES
from analysis.report.pictures import pictures
from dreamer_bench_base import InvalidData, UserError
from protocols.records.store import Run
from tests.attacks.submissions import RUN, content, curves, honest, published

SECRET = "TOKEN-of-the-maintainer"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "secret"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def replaced(path: Path, target: Path | str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(target)


PLACES = [f"{RUN}/{name}" for name in RECORD_FILES] + ["card.json", "runs", "runs/quick@1", RUN]


@pytest.mark.parametrize("place", PLACES)
def test_a_link_anywhere_in_a_submission_is_refused_unread(place, secret, tmp_path):
    entry = honest(tmp_path / "entry")
    path = entry / place
    if path.is_dir():
        elsewhere = secret.parent / "folder"
        shutil.copytree(path, elsewhere)
        replaced(path, elsewhere)
    else:
        replaced(path, secret)
    with pytest.raises(UserError, match="link") as raised:
        adding.add(entry, tmp_path / "kept")
    assert SECRET not in str(raised.value)
    assert not (tmp_path / "kept").exists()


def test_the_environment_of_the_maintainer_is_no_sessions_file(tmp_path):
    entry = honest(tmp_path / "entry")
    replaced(entry / RUN / "sessions.jsonl", "/proc/self/environ") if (entry / RUN / "sessions.jsonl").exists() else (
        entry / RUN / "sessions.jsonl"
    ).symlink_to("/proc/self/environ")
    with pytest.raises(InvalidData, match="symbolic link"):
        adding.add(entry, tmp_path / "kept")


def test_a_score_file_that_is_a_link_or_a_pipe_is_refused(secret, tmp_path):
    entry = published(tmp_path / "entry", curves())
    (entry / "scores" / "more.csv").symlink_to(secret)
    with pytest.raises(InvalidData, match="symbolic link"):
        adding.add(entry, tmp_path / "kept")
    (entry / "scores" / "more.csv").unlink()
    os.mkfifo(entry / "scores" / "more.csv")
    with pytest.raises(InvalidData, match="a pipe"):
        adding.add(entry, tmp_path / "kept")


def test_a_file_of_one_line_without_its_end_is_refused_and_not_quoted(tmp_path):
    entry = honest(tmp_path / "entry")
    (entry / RUN / "metrics.jsonl").write_text(SECRET)
    with pytest.raises(InvalidData, match="cut short") as raised:
        adding.add(entry, tmp_path / "kept")
    assert SECRET not in str(raised.value)


def test_a_link_slipped_into_the_leaderboard_itself_is_left_out_of_the_site(secret, tmp_path):
    kept = adding.add(honest(tmp_path / "good", name="Good"), tmp_path / "kept")
    other = adding.add(honest(tmp_path / "entry", end=600), tmp_path / "kept")
    replaced(other / RUN / "episodes.jsonl", secret)
    (other / "extra.html").write_text("<script>")
    built = site.build(tmp_path / "kept", tmp_path / "site", reps=100)
    assert list(built.left_out) == ["honest"]
    assert kept.name == "good"
    published_bytes = content(tmp_path / "site")
    assert SECRET.encode() not in published_bytes


def test_a_report_shows_no_link_and_no_file_that_is_not_the_picture_it_says(secret, tmp_path):
    runs = honest(tmp_path / "entry")
    folder = runs / RUN
    (folder / "last_evaluation.webp").symlink_to(secret)
    (folder / "imagine").symlink_to(secret.parent)
    shutil.copy(secret, secret.parent / "a.png")
    assert [picture["data"] for picture in pictures([Run(folder)])] == [""]
    (folder / "last_evaluation.webp").unlink()
    (folder / "last_evaluation.webp").write_text("<svg onload=alert(1)>")
    (folder / "imagine").unlink()
    (folder / "imagine").mkdir()
    (folder / "imagine" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    found = pictures([Run(folder)])
    assert [bool(picture["data"]) for picture in found] == [False, True]
    assert found[1]["data"].startswith("data:image/png;base64,")
