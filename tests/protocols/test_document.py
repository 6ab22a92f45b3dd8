"""The page about protocols says what the protocols say."""

from __future__ import annotations

from pathlib import Path

from protocols.page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def test_the_page_is_generated_from_the_protocols():
    assert PAGE.read_text() == page(), "run: python -m protocols.page > docs/protocols.md"
