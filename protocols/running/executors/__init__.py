"""Executor name -> function that trains cohorts: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from protocols.running.cohort import CohortRequest
from protocols.running.display import Display
from protocols.running.launch import Room, inline
from protocols.running.stop import Stop


def ray(requests: Sequence[CohortRequest], display: Display, stop: Stop, address: str | None, room: Room) -> None:
    """Runs every program as a Ray task (extra `cluster`)."""
    from protocols.running.executors.ray_tasks import execute

    execute(requests, display, stop, address, room)


Executor = Callable[[Sequence[CohortRequest], Display, Stop, str | None, Room], None]

EXECUTORS: Mapping[str, Executor] = {"inline": inline, "ray": ray}
