"""What comes from outside is data: files are read without following links, and text cannot act."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import as_cell, check_name, printable, read_regular, read_tree


@pytest.mark.parametrize(("text", "shown"), [
    ("Dreamer, λ = 0.95 [ours] $x$ 漢字", None), ("a\x1b[31mred", "a\\u001b[31mred"), ("a\u202eb", "a\\u202eb"),
    ("\ud800", "\\ud800"), ("two\nlines", "two\\u000alines"), ("\U000e0041", "\\U000e0041"), ("\u200b", "\\u200b"),
])  # fmt: skip
def test_what_does_not_show_itself_is_written_as_its_number_and_is_no_name(text, shown):
    assert printable(text) == (text if shown is None else shown)
    if shown is None:
        assert check_name(text, "method") == text
    else:
        with pytest.raises(InvalidData, match="invisible character"):
            check_name(text, "method")


def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe():
    assert [as_cell(text) for text in ("=1+1", "@x", "+1", "-1", "a=1")] == ["'=1+1", "'@x", "'+1", "'-1", "a=1"]


def test_links_devices_pipes_and_folders_are_not_read(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("token")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "plain").write_text("data")
    (root / "link").symlink_to(secret)
    (root / "away").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    assert read_tree(root, [("plain",), ("folder", "missing"), ("gone", "plain")]) == {("plain",): b"data"}
    for parts in (("link",), ("away", "secret"), ("pipe",), ("folder",)):
        with pytest.raises(InvalidData, match=r"expected a (regular file|folder)"):
            read_tree(root, [parts])
    for path in (root / "link", root / "pipe", root / "folder", Path("/dev/zero")):
        with pytest.raises(InvalidData, match="expected a regular file"):
            read_regular(path)
    with pytest.raises(InvalidData, match="more than 3 bytes"):
        read_regular(root / "plain", most_bytes=3)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has files that say they are empty and are not")
def test_a_file_is_read_to_its_end_whatever_size_it_says_it_has():
    assert Path("/proc/self/status").stat().st_size == 0
    assert b"VmSize:" in read_regular(Path("/proc/self/status"))
    with pytest.raises(InvalidData, match="more than 100 bytes"):
        read_regular(Path("/proc/self/status"), most_bytes=100)
