"""What comes from outside: bounds, shapes, and text that shows itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import pytest

from dreamer_bench_base import InvalidData
from dreamer_bench_untrusted import (
    MOST_DEPTH,
    as_cell,
    check_name,
    check_shape,
    is_printable,
    parse_json,
    parse_lines,
    printable,
    read_regular,
    read_tree,
)


class Inner(TypedDict):
    name: str
    seeds: list[int]


class Outer(TypedDict):
    inner: Inner
    score: float | None
    kind: Literal["a", "b"]
    sizes: dict[str, int]
    note: NotRequired[str]


GOOD = {"inner": {"name": "x", "seeds": [1, 2]}, "score": 1, "kind": "a", "sizes": {"k": 3}, "more": [{}]}


def test_a_value_of_the_shape_passes_and_unknown_fields_are_left_alone():
    check_shape(GOOD, Outer, "here")
    check_shape({**GOOD, "score": None, "note": ""}, Outer, "here")


@pytest.mark.parametrize(("change", "says"), [
    ({"inner": 5}, "inner is 5; expected an object"),
    ({"inner": {"name": "x"}}, "lacks inner.seeds"),
    ({"inner": {"name": "x", "seeds": [1, True]}}, r"inner.seeds\[1\] is true; expected a whole number"),
    ({"score": "12"}, "score is '12'; expected a number or null"),
    ({"score": float("inf")}, "score is Infinity; expected a number or null"),
    ({"score": 10**400}, "score is 1000"),
    ({"kind": "c"}, "kind is 'c'; expected 'a' or 'b'"),
    ({"kind": []}, "kind is a list"),
    ({"sizes": {"k": None}}, "sizes.k is null; expected a whole number"),
    ({"note": 1}, "note is 1; expected text"),
])  # fmt: skip
def test_a_wrong_type_is_named_with_its_field_and_what_was_expected(change, says):
    with pytest.raises(InvalidData, match=f"here:? {says}"):
        check_shape({**GOOD, **change}, Outer, "here")


@pytest.mark.parametrize(("data", "says"), [
    (b"[" * 200_000, "nested"), (b'{"a":' * 50 + b"1" + b"}" * 50, "nested"), (b"", "not JSON"), (b"{", "not JSON"),
    (b'{"a": NaN}', "NaN is no number"), (b"\xff", "not JSON"), (b'"' + b"x" * 100 + b'"', "100|102 bytes"),
    (b'{"\\ud800": 1}', "invisible character"), (b'"\\u001b[31m"', "invisible character"), (b'"\xe2\x80\xae"', "invisible"),
    (b"1" * 5_000, "bytes|digits"),
])  # fmt: skip
def test_what_is_no_plain_json_within_bounds_is_one_line(data, says):
    with pytest.raises(InvalidData, match=says) as raised:
        parse_json(data, "card.json", most_bytes=99 if data.startswith(b'"x') else 1 << 20)
    assert "\n" not in str(raised.value)
    assert is_printable(str(raised.value))


def test_json_as_deep_as_the_limit_is_read_and_a_level_more_is_not():
    deep = b"[" * MOST_DEPTH + b"]" * MOST_DEPTH
    assert json.dumps(parse_json(deep, "x")).encode() == deep
    with pytest.raises(InvalidData, match="nested"):
        parse_json(b"[" + deep + b"]", "x")


def test_lines_are_objects_and_an_unfinished_last_one_is_left_out_or_refused():
    assert parse_lines(b'{"a": 1}\n{"b', "log") == [{"a": 1}]
    with pytest.raises(InvalidData, match="cut short"):
        parse_lines(b'{"a": 1}\n{"b', "log", whole=True)
    with pytest.raises(InvalidData, match="log line 2 is damaged: expected a JSON object, found 5"):
        parse_lines(b"{}\n5\n", "log")


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
