"""What a log file is told while programs run: evaluations at once, and never more than ten seconds of silence."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

from rich.console import Console

from protocols.running import display


def moment(env_steps: int, lines: tuple = ()) -> SimpleNamespace:
    return SimpleNamespace(
        env_steps=env_steps, budget_env_steps=100, lines=lines, scores=(), env_steps_per_second=7.0, seconds_left=None
    )


def test_a_program_that_is_silent_gets_a_line_until_it_ends(monkeypatch):
    monkeypatch.setattr(display, "QUIET_SECONDS", 0.2)
    text = io.StringIO()
    with display.Display(Console(file=text, width=200), ["dreamer on a task"]) as shown:
        watch = shown.watcher(0)
        watch(moment(0, lines=({"score": 1.0},)))
        watch(moment(10))
        time.sleep(0.7)
        between = text.getvalue().splitlines()
        watch(moment(100, lines=({"score": 1.0},)))
        ended = len(text.getvalue().splitlines())
        time.sleep(0.5)
    assert between[0] == "dreamer on a task: 0% 0 env_steps, 7/s"
    assert len(between) >= 3
    assert all(
        line.startswith("dreamer on a task: 10% 10 env_steps, 7/s, ") and line.endswith(" s ago") for line in between[1:]
    )
    assert set(text.getvalue().splitlines()[ended:]) <= {"dreamer on a task: final evaluation"}


def test_a_program_that_has_not_told_anything_yet_gets_a_line_too(monkeypatch):
    """Imports, environments and the first evaluation come before the first word, and may take minutes."""
    monkeypatch.setattr(display, "QUIET_SECONDS", 0.1)
    text = io.StringIO()
    with display.Display(Console(file=text, width=200), ["dreamer on a task"]):
        time.sleep(0.5)
    assert text.getvalue().splitlines()[0] == "dreamer on a task: starting"


def test_between_two_programs_no_line_says_more_than_is_known(monkeypatch):
    monkeypatch.setattr(display, "QUIET_SECONDS", 0.1)
    text = io.StringIO()
    with display.Display(Console(file=text, width=200), ["first", "second"]) as shown:
        shown.watcher(0)(moment(100))
        time.sleep(0.4)
        shown.watcher(1)(moment(100))
        time.sleep(0.4)
    assert "first: final evaluation, or second: starting" in text.getvalue().splitlines()
    assert text.getvalue().splitlines()[-1] == "second: final evaluation"


def test_a_terminal_says_how_old_its_words_are_while_a_program_is_silent(monkeypatch):
    monkeypatch.setattr(display, "QUIET_SECONDS", 0.1)
    text = io.StringIO()
    with display.Display(Console(file=text, width=200, force_terminal=True), ["dreamer on a task"]) as shown:
        shown.watcher(0)(moment(10))
        time.sleep(0.5)
        shown.watcher(0)(moment(100))
        time.sleep(0.3)
    assert "10 env_steps, 7/s, 0 s ago" in text.getvalue()
    assert "100 env_steps, 7/s, " not in text.getvalue()
