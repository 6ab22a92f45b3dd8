"""Where a record comes from: code, packages, machine. Each is a fact about this process, determined once per run."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from protocols.records.code_identity import Code
from protocols.records.machine import cpu, memory_bytes, packages
from protocols.records.schema import SCHEMA, Asked, DeviceCheck, Manifest, Origins, SessionLine
from protocols.spec import Protocol, RunSpec


def manifest(
    spec: RunSpec,
    protocol: Protocol,
    *,
    options: Mapping[str, Any],
    cohort: tuple[int, ...],
    device: str,
    gpu: str | None,
    gl_renderer: str | None,
    command: str,
    code: Code,
    origins: Origins,
    asked: Asked,
    device_check: DeviceCheck | None = None,
) -> Manifest:
    """The first file of a run: everything that decides it, and what it was made with.

    code     result of `code()`, once for a whole cohort
    origins  the packages of agent, suite and protocol
    asked    the tasks and seeds of one call of `run`
    device_check  result of the agent's self-check on a GPU
    """
    found: Manifest = {
        "schema": SCHEMA,
        "protocol": spec.protocol,
        "digest": spec.digest,
        "protocol_data": asdict(protocol),
        "agent": spec.agent,
        "label": spec.label,
        "overrides": dict(spec.overrides),
        "options": dict(options),
        "task": spec.task,
        "seed": spec.seed,
        "cohort": list(cohort),
        "action_repeat": protocol.action_repeat_of(spec.task),
        "limit_env_steps": spec.limit_env_steps,
        "asked": asked,
        "created": now(),
        **code,
        "origins": origins,
        "packages": packages(*protocol.simulators),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": {"cpu": cpu(), "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory_bytes(), "gpu": gpu},
        "gl_renderer": gl_renderer,
        "device": device,
        "command": command,
    }
    if device_check is not None:
        found["device_check"] = device_check
    return found


def session(device: str, gpu: str | None, command: str, code: Code, device_check: DeviceCheck | None = None) -> SessionLine:
    """One line of sessions.jsonl: the process that works on a run, its code, its machine, and what its check of a GPU found."""
    found: SessionLine = {
        "created": now(),
        **code,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": device,
        "gpu": gpu,
        "command": command,
    }
    if device_check is not None:
        found["device_check"] = device_check
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
