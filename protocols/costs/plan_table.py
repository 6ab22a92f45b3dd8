"""The plan as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.costs.plan import WorkloadCost
from protocols.running.terminal import bytes_in_words, duration


def table(estimates: Sequence[WorkloadCost], *, devices: int) -> str:
    """The plan for people: a row per agent, the sum, and the assumptions."""
    head = (
        "protocol",
        "agent",
        "runs",
        "programs",
        "updates/run",
        "wall time",
        "device hours",
        "disk at most",
        "disk kept",
        "memory",
    )
    rows = [
        (
            one.protocol,
            one.label,
            f"{one.runs}",
            f"{one.programs}",
            f"{one.gradient_steps_per_run:,}",
            duration(one.wall_seconds),
            f"{one.device_seconds / 3600:,.2f}",
            bytes_in_words(one.disk_bytes),
            bytes_in_words(one.kept_bytes),
            bytes_in_words(one.memory_bytes),
        )
        for one in estimates
    ]
    kept = sum(one.kept_bytes for one in estimates)
    rows.append(
        (
            "all",
            "",
            f"{sum(one.runs for one in estimates)}",
            f"{sum(one.programs for one in estimates)}",
            "",
            duration(sum(one.wall_seconds for one in estimates)),
            f"{sum(one.device_seconds for one in estimates) / 3600:,.2f}",
            bytes_in_words(kept + max(one.disk_bytes - one.kept_bytes for one in estimates)),
            bytes_in_words(kept),
            bytes_in_words(max(one.memory_bytes for one in estimates)),
        )
    )
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    notes = dict.fromkeys(note for one in estimates for note in one.notes)
    where = "one device" if devices == 1 else f"{devices} devices"
    lines.append(
        f"on {where}, one agent after the other; environments are stepped one by one, evaluation episodes at full length"
    )
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])
