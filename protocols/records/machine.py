"""The machine a record was made on: packages, processor, memory."""

from __future__ import annotations

import os
import platform
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
