"""A folder is exchanged as a whole: whatever moment a kill picks, a reader finds the old one or the new one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest

import dreamer_bench_files as files
from dreamer_bench_base import UserError
from dreamer_bench_files import exchange_folder, write_atomically


def site(word: bytes, *names: str) -> dict[str, bytes]:
    return {**dict.fromkeys(names, word), "list.json": json.dumps([*names, "list.json"]).encode()}


OLD = site(b"old", "index.html", "a/b.csv", "a/gone.csv")
NEW = site(b"new", "index.html", "a/b.csv", "c/d.csv")
THEIRS = {"CNAME": b"theirs", ".git/HEAD": b"theirs", "a/notes.txt": b"theirs"}


class Killed(BaseException):
    """In place of SIGKILL: nothing that runs after it may be needed."""


def listed(folder: Path) -> Collection[str] | None:
    path = folder / "list.json"
    return json.loads(path.read_text()) if path.is_file() else None


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def killed_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From here on the process dies before its `moment`-th change of the disk; returns the changes that it came to."""
    done: list[str] = []

    def counted(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments, **options):
            if len(done) >= moment:
                raise Killed
            done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    for module, name in ((os, "rename"), (os, "fsync"), (shutil, "rmtree"), (files, "_swap"), (Path, "mkdir")):
        counted(module, name)
    return done


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("before", [{}, {**OLD, **THEIRS}], ids=["first", "again"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_and_the_next_build_mends_it(before, at_once, tmp_path, monkeypatch):
    if not at_once:  # a disk that cannot exchange two names
        monkeypatch.setattr(files.ctypes, "CDLL", lambda name: object())
    moments = 0
    for moment in range(100):
        place = tmp_path / str(moment)
        out = place / "site"
        place.mkdir()
        write(out, before)
        with monkeypatch.context() as patch:
            done = killed_at(moment, patch)
            try:
                exchange_folder(out, NEW, listed)
            except Killed:
                moments += 1
        found = content(out) if out.exists() else {}
        mine = {name: data for name, data in found.items() if name not in THEIRS}
        old = {name: data for name, data in before.items() if name not in THEIRS}
        if at_once or out.exists() or not before:
            assert mine in (old, NEW), (moment, done)
        exchange_folder(out, NEW, listed)
        assert content(out) == {**NEW, **(THEIRS if before else {})}, (moment, done)
        assert sorted(os.listdir(place)) == ["site"], (moment, done)
        if len(done) < moment:
            break
    assert moments > 5


def test_a_full_disk_keeps_the_old_folder(tmp_path, monkeypatch):
    out = tmp_path / "site"
    write(out, OLD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        exchange_folder(out, NEW, listed)
    assert content(tmp_path) == {f"site/{name}": data for name, data in OLD.items()}


def test_what_is_not_this_commands_work_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    write(tmp_path / "home", {"thesis.tex": b"years"})
    (tmp_path / "link").symlink_to(tmp_path / "site")
    for out in ("file", "home"):
        with pytest.raises(UserError, match="--out"):
            exchange_folder(tmp_path / out, NEW, listed)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="current folder"):
        exchange_folder(Path(), NEW, listed)
    exchange_folder(tmp_path / "link", NEW, listed)
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "site") == NEW
    assert content(tmp_path / "home") == {"thesis.tex": b"years"}


def test_a_whole_file_replaces_files_only_and_a_link_stays_a_link(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path / "folder"):
        with pytest.raises(UserError, match="is not a regular file"):
            write_atomically(path, b"x")
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_many_files_are_written_by_several_processes_and_one_that_fails_keeps_the_old_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TOGETHER", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    out = tmp_path / "site"
    many = {f"records/{number % 5}/{number}.txt": f"{number}".encode() for number in range(20)}
    by = {f"by/{number}": lambda: str(os.getpid()).encode() for number in range(6)}
    exchange_folder(out, {**site(b"new"), **many, **by}, listed)
    assert {name: data for name, data in content(out).items() if name.startswith("records/")} == many
    writers = {data for name, data in content(out).items() if name.startswith("by/")}
    assert len(writers) > 1
    assert str(os.getpid()).encode() not in writers

    def changed() -> bytes:
        raise UserError("a record was changed while it was read")

    before = content(out)
    with pytest.raises(UserError, match="while it was read"):
        exchange_folder(out, {**many, "last.txt": changed}, listed)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
