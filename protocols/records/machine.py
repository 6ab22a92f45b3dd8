"""The machine a record was made on: packages, processor, memory."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

PACKAGES = ("dreamer-bench", "torch", "numpy", "gymnasium", "dm_control", "mujoco", "ale-py")
"""Packages that can change a number; those in the protocol's `simulators` are recorded, too."""


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages(*more: str) -> dict[str, str]:
    found = {}
    for name in dict.fromkeys((*PACKAGES, *more)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    """The processor's name, from the kernel."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory_bytes(source: Path = Path("/proc/meminfo")) -> int | None:
    """Memory that the kernel reports as available to this process, in bytes; None if it does not."""
    if not source.exists():
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", source.read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
