"""card.json of a submission: name, authors and sources, as text that a table, a page and a terminal can show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypedDict
from urllib.parse import urlsplit

from analysis.scores.tasks import suite_of
from dreamer_bench_base import InvalidData
from dreamer_bench_json import check_shape, parse_json
from dreamer_bench_untrusted import is_printable, printable

INPUTS = ("pixels", "state", "both")
CARD_FIELDS: Mapping[str, str] = {
    "name": "the method's name in the table",
    "authors": "a list of names",
    "input": "what the agent observes: pixels, state or both; or an object that says it for each protocol",
    "paper": "https address, or null",
    "code": "https address, or null",
    "note": "a sentence for the reader; optional",
    "imported": "for scores published elsewhere: an object with protocol, source, licence and method; absent otherwise",
}
IMPORTED_FIELDS = ("protocol", "source", "licence", "method")
MOST_CHARACTERS = {"name": 80, "author": 100, "input": 80, "paper": 300, "code": 300, "note": 1_000, "imported": 300}
MOST_AUTHORS = 100


class Imported(TypedDict):
    """The source of published scores, and the name of their method in the files."""

    protocol: str
    source: str
    licence: str
    method: str


def read_card(data: bytes, path: object) -> dict[str, Any]:
    """The fields of a card. Raises InvalidData with the name of a wrong field."""
    card = parse_json(data, path, most_bytes=1 << 20)
    if not isinstance(card, dict):
        raise InvalidData(f"{path} must hold an object with {', '.join(CARD_FIELDS)}")
    unknown = sorted(set(card) - set(CARD_FIELDS))
    if unknown:
        raise InvalidData(f"{path}: field {printable(unknown[0])!r} is not known; a card has {', '.join(CARD_FIELDS)}")
    for name in ("name", "authors", "input", "paper", "code"):
        if name not in card:
            raise InvalidData(f"{path}: field {name!r} is missing ({CARD_FIELDS[name]})")
    _check_text(card["name"], "name", path)
    if not slug_of(card["name"]):
        raise InvalidData(f"{path}: name must be text with a letter or digit, not {card['name']!r}")
    authors = card["authors"]
    if not isinstance(authors, list) or not 0 < len(authors) <= MOST_AUTHORS or not all(authors):
        raise InvalidData(f"{path}: authors must be a list of one to {MOST_AUTHORS} names, not {_short(authors)}")
    for author in authors:
        _check_text(author, "author", path)
    inputs = card["input"] if isinstance(card["input"], dict) else {"every protocol": card["input"]}
    for protocol, word in inputs.items():
        _check_text(protocol, "input", path)
        if word not in INPUTS:
            raise InvalidData(f"{path}: input must be one of {', '.join(INPUTS)}, not {_short(word)}")
    for name in ("paper", "code"):
        if card[name] is not None:
            _check_text(card[name], name, path)
            _check_address(card[name], name, path)
    _check_text(card.get("note", ""), "note", path)
    imported = card.get("imported")
    if imported is not None:
        if not isinstance(imported, dict) or set(imported) != set(IMPORTED_FIELDS):
            raise InvalidData(f"{path}: imported must be an object with exactly {', '.join(IMPORTED_FIELDS)}")
        check_shape(imported, Imported, f"{path}, imported")
        for value in imported.values():
            _check_text(value, "imported", path)
    return card


def observed(data: Mapping[str, Any]) -> str | None:
    """What the tasks of a protocol show: "pixels", "state" or "both". None if its options do not say it for every task."""
    shown = set()
    for task in data["tasks"]:
        whole, own = data.get("suite_options", {}), data.get("task_options", {})
        own = own.get(task, {}) if isinstance(own, dict) else None
        if suite_of(task) != "dmc" or not isinstance(whole, dict) or not isinstance(own, dict):
            return None
        shown.add(str(own.get("observation", whole.get("observation", "pixels"))))
    return shown.pop() if len(shown) == 1 else "both"


def card_text(card: Mapping[str, Any]) -> bytes:
    """The card for the leaderboard: the known fields in a fixed order, as ASCII."""
    known = {name: card[name] for name in CARD_FIELDS if card.get(name) is not None or name in ("paper", "code")}
    return (json.dumps(known, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def slug_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _check_text(text: Any, field: str, path: object) -> None:
    if not isinstance(text, str):
        raise InvalidData(f"{path}: {field} must be text, not {_short(text)}")
    if not is_printable(text):
        raise InvalidData(f"{path}: {field} holds an invisible character in {printable(text[:60])!r}; remove it")
    if len(text) > MOST_CHARACTERS[field]:
        raise InvalidData(f"{path}: {field} has {len(text):,} characters; shorten it to {MOST_CHARACTERS[field]}")


def _check_address(address: str, field: str, path: object) -> None:
    """Refuses a link with another scheme, which could bring a script, or with a user name, which can hide the real host."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and address.isascii()
        good = good and re.fullmatch(r"[a-z0-9.-]+", parts.hostname or "") and not re.search(r"[\s\"'<>\\`]", address)
        parts.port  # noqa: B018  (raises for a port that is no number)
    except ValueError:
        good = False
    if not good:
        raise InvalidData(
            f"{path}: {field} must be an http(s) address in ASCII, without a user name, or null; not {_short(address)}"
        )


def _short(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."
