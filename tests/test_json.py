"""JSON from outside: what does not fit the shape or the bounds is refused in one line."""

from __future__ import annotations

import json
from typing import Literal, NotRequired, TypedDict

import pytest

from dreamer_bench_base import InvalidData
from dreamer_bench_json import MOST_DEPTH, Count, Positive, check_shape, mismatch, parse_json, parse_lines
from dreamer_bench_untrusted import is_printable


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
    (b'{"a": NaN}', "NaN is no number"), (b'{"a": -1e999}', "-1e999 is too large a number"),
    (b"1" * 400 + b".0", "11... is too large"), (b"\xff", "not JSON"), (b'"' + b"x" * 100 + b'"', "100|102 bytes"),
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


@pytest.mark.parametrize("data", [
    b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n', b'{}\n{}\n', b'{"a": 1}\n{"b": true}\n{"a": -0.0}\ncut',
    b'{"a": "},"}\n{"}": "{"}\n', b'{"a": 1} \n {"a": 2}\r\n', b'{"a": {"b": 1}}\n{"a": [1, 2]}\n', b"",
])  # fmt: skip
def test_lines_read_at_once_are_those_read_one_by_one(data):
    assert parse_lines(data, "log") == [json.loads(line) for line in data.split(b"\n")[:-1]]


@pytest.mark.parametrize("data", [
    b'{"a": "}\n{"b": 1}\n', b'{"a": 1}{"a": 2}\n', b'{"a": 1},\n{"a": 2}\n', b'{"a": 1}\n\n', b'{"a": 1\n"b": 2}\n',
    b'{"a": "x}\n{y"}\n', b'}\n{\n', b'{"a": 1\n"b": 2},{"c": 3}\n', b'{"a": 1}, 5\n{}\n', b'{"a": 1e999}\n{"a": NaN}\n',
])  # fmt: skip
def test_lines_that_are_objects_only_together_are_refused(data):
    with pytest.raises(InvalidData, match=r"log line [12] is damaged"):
        parse_lines(data, "log")


@pytest.mark.parametrize("place", [b'{"a": "x%sy"}\n', b'{"a":%s 1}\n', b'{"a": 1}\n%s{"a": 2}\n'])
def test_every_byte_is_taken_or_refused_among_lines_as_in_a_line_alone(place):
    for number in range(256):
        data = place.replace(b"%s", bytes([number]))
        try:
            expected = [parse_json(line, "x") for line in data.split(b"\n")[:-1]]
        except InvalidData:
            with pytest.raises(InvalidData):
                parse_lines(data, "x")
        else:
            assert parse_lines(data, "x") == expected


def test_lines_are_objects_and_an_unfinished_last_one_is_left_out_or_refused():
    assert parse_lines(b'{"a": 1}\n{"b', "log") == [{"a": 1}]
    with pytest.raises(InvalidData, match="cut short"):
        parse_lines(b'{"a": 1}\n{"b', "log", whole=True)
    with pytest.raises(InvalidData, match=r"log line 2 is damaged: expected a JSON object, found 5"):
        parse_lines(b"{}\n5\n", "log")


def test_lines_hold_no_number_that_overflows():
    with pytest.raises(InvalidData, match=r"log line 2 is damaged: .*1e999 is too large a number"):
        parse_lines(b'{"a": 1e99}\n{"a": 1e999}\n', "log")


@pytest.mark.parametrize(
    ("value", "fits"), [(0, True), (2**63 - 1, True), (-1, False), (2**63, False), (True, False), (0.0, False)]
)
def test_a_count_is_a_whole_number_that_is_not_negative(value, fits):
    assert (mismatch(value, Count) is None) == fits
    assert (mismatch(value, Count | None) is None) == fits
    assert mismatch(None, Count | None) is None
    assert mismatch(0, Positive, "seed") == "seed is 0; expected a whole number from 1"
