"""Where a record comes from: code, packages, machine. Each is a fact of this process, asked for once a run."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from protocols.records.store import SCHEMA
from protocols.spec import Protocol, RunSpec

SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = ("dreamer-bench", "torch", "numpy", "gymnasium", "dm_control", "mujoco", "ale-py")
"""Packages that can move a number; those of the protocol's `simulators` are recorded as well."""


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
    code: Mapping[str, Any],
) -> dict[str, Any]:
    """The first file of a run: everything that decides it, and what it was made with.

    code  what `commit()` said, asked once for a whole cohort
    """
    return {
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
        "created": now(),
        **code,
        "packages": packages(*protocol.simulators),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": {"cpu": cpu(), "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory_bytes(), "gpu": gpu},
        "gl_renderer": gl_renderer,
        "device": device,
        "command": command,
    }


def session(device: str, gpu: str | None, command: str, code: Mapping[str, Any]) -> dict[str, Any]:
    """One line of sessions.jsonl: which process went on with a run, with which code, where."""
    return {
        "created": now(),
        **code,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": device,
        "gpu": gpu,
        "command": command,
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> dict[str, Any]:
    """{"commit": hash or None, "dirty": whether tracked or new files differ from it}; None and False outside a git checkout."""
    head = _git("rev-parse", "HEAD")
    top = _git("rev-parse", "--show-toplevel")
    if head is None or top is None or Path(top).resolve() != SOURCE:
        return {"commit": None, "dirty": False}
    return {"commit": head, "dirty": bool(_git("status", "--porcelain"))}


def packages(*more: str) -> dict[str, str]:
    found = {}
    for name in dict.fromkeys((*PACKAGES, *more)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    """The processor's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", "--no-optional-locks", "-C", str(SOURCE), *arguments),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
