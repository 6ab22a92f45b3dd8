"""Checks of a record: dates must be possible, and times must increase."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from protocols.records.rules import Broken
from protocols.records.store import EPISODES, METRICS, Run

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""The first day of this project's runs."""

CLOCK_SLACK = timedelta(days=1)


def check_times(run: Run) -> Iterator[Broken]:
    """Checks that dates are possible and times increase."""
    manifest, sessions, result = run.manifest, run.sessions(), run.result()
    begun = _date(manifest["created"])
    if begun is None:
        yield "times", f"created is {manifest['created']!r}, no date between {FIRST_DAY:%Y-%m-%d} and tomorrow"
    for session in sessions:
        worked = _date(session["created"])
        if worked is None or (begun is not None and worked < begun - CLOCK_SLACK):
            yield "times", f"a process worked on it from {session['created']!r} on, before the run began or at no date"
    for name, seconds in (
        (EPISODES, [line["seconds"] for line in run.episodes()]),
        (METRICS, [line[name] for line in run.metrics() for name in ("seconds", "env_steps_per_second")]),  # type: ignore[literal-required]
    ):
        if min(seconds, default=0) < 0:
            yield "times", f"{name} holds a negative time"
    marks = [line["seconds"] for line in run.metrics()]
    if marks != sorted(marks):
        yield "times", f"the seconds of {METRICS} go back"
    if result is not None:
        wall, device = result["wall_seconds"], result["device_seconds"]
        if not wall > 0 or not 0 < device <= wall + 1e-3:
            yield "times", f"wall_seconds {wall} and device_seconds {device}: expected 0 < device_seconds <= wall_seconds"
        elif marks and marks[-1] > wall + 1:
            yield "times", f"the run took {wall} s and its metrics {marks[-1]} s"


def _date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not FIRST_DAY <= moment <= datetime.now(UTC) + CLOCK_SLACK:
        return None
    return moment
