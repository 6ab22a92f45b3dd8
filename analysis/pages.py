"""What the pages of the report and of the leaderboard share: their style sheet, and how a text shows the names in it."""

from __future__ import annotations

import re
from importlib import resources

from markupsafe import Markup, escape


def style_sheet() -> str:
    return (resources.files("analysis") / "page.css").read_text(encoding="utf-8")


def with_code(text: str) -> Markup:
    """A text for a page: the words between two backticks become code, and everything is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
