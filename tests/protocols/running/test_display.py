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
    assert len(text.getvalue().splitlines()) == ended
