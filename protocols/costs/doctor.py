"""Whether this machine can run the benchmark. Each check says what it found and, if something is wrong, how to fix it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from protocols.records.machine import available_memory_bytes

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "suites", "protocols", "analysis")
OLDEST_PYTHON, FIRST_UNSUPPORTED = (3, 11), (3, 13)
NEEDED_TO_RUN = ("train", "dmc")
"""Extras without which the protocols of the paper do not run; reading records needs none."""
DISK_BYTES = 2 * 10**9
MEMORY_BYTES = 4 * 10**9


@dataclass(frozen=True, kw_only=True)
class Checked:
    """With `bad` a run cannot start; `note` may change numbers or speed, but runs can start."""

    check: str
    state: Literal["ok", "note", "bad"]
    found: str
    cure: str = ""


def examine(folder: Path) -> list[Checked]:
    """Results of all checks, the most basic first. `folder` is the folder for runs."""
    return [python(), *packages(), shadowing(), gpu(), renderer(), roms(), disk(folder), memory()]


def python() -> Checked:
    found = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST_PYTHON <= tuple(map(int, found.split("."))) < FIRST_UNSUPPORTED:
        return Checked(
            check="Python", state="bad", found=found, cure="install Python 3.11 or 3.12 and call: make setup PYTHON=python3.11"
        )
    return Checked(check="Python", state="ok", found=found)


def versions_of_record() -> dict[str, str]:
    """Package -> version with which our numbers were made; empty if the file is not installed."""
    constraints = ROOT / "constraints.txt"
    if not constraints.exists():
        return {}
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", constraints.read_text(), re.MULTILINE))


def installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def required(name: str = "dreamer-bench") -> list[tuple[str, str]]:
    """(package, specifier) of the project's requirements, with the extras that `run` needs."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    wanted = [f'extra == "{extra}"' for extra in NEEDED_TO_RUN]
    plain = [line.partition(";")[0] for line in lines if "extra ==" not in line or any(one in line for one in wanted)]
    return [(match[1], match[2].strip()) for line in plain if (match := re.match(r"([A-Za-z0-9_.-]+)\s*(.*)", line))]


def packages() -> list[Checked]:
    """A missing package is `bad`; a version that differs from the tested one is a `note`."""
    tested = versions_of_record()
    needed = required()
    if not needed:
        return [Checked(check="packages", state="bad", found="dreamer-bench is not installed", cure="make setup")]
    versions = {name: installed_version(name) for name, _ in needed}
    findings = [
        Checked(
            check="packages",
            state="bad",
            found=f"{name} is missing",
            cure=f"pip install -c constraints.txt '{name}{specifier}'",
        )
        for name, specifier in needed
        if versions[name] is None
    ]
    differing = [
        f"{name} {version} (tested {tested[name]})"
        for name, version in versions.items()
        if version is not None and name in tested and version.split("+")[0] != tested[name]
    ]
    if differing:
        findings.append(
            Checked(
                check="packages",
                state="note",
                found=", ".join(differing),
                cure="pip install -c constraints.txt --editable . (records name the versions they were made with)",
            )
        )
    if not findings:
        findings.append(Checked(check="packages", state="ok", found=f"{len(needed)} {'as tested' if tested else 'installed'}"))
    return findings


def shadowing() -> Checked:
    """Whether another installed package has the name of one of ours (they are common words) and would be imported instead."""
    astray = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if origin != ROOT / name:
            astray.append(f"`import {name}` finds {origin or 'nothing'}")
    owners = metadata.packages_distributions()
    others = [
        f"{name} is also a package of {owner}"
        for name in PACKAGES
        for owner in sorted(set(owners.get(name, ())))
        if re.sub(r"[-_.]+", "-", owner).lower() != "dreamer-bench"
    ]
    here = Path.cwd()
    beside = [f"{here / name} would be imported by `python -m` and pytest here" for name in PACKAGES if (here / name).is_dir()]
    if astray or others:
        return Checked(
            check="import names",
            state="bad" if astray else "note",
            found="; ".join(astray + others),
            cure="use a separate environment: make setup (or uninstall the other package)",
        )
    if beside and here.resolve() != ROOT:
        return Checked(
            check="import names",
            state="note",
            found="; ".join(beside),
            cure="call the command `dreamer-bench`, or work in a folder that has no such folder",
        )
    return Checked(check="import names", state="ok", found="agents, suites, protocols, analysis are ours")


def gpu() -> Checked:
    from agents.device import resolve_device

    try:
        device = resolve_device("auto")
    except (ImportError, OSError) as error:
        return Checked(
            check="GPU", state="bad", found=f"torch does not import: {error}", cure="pip install -c constraints.txt torch"
        )
    if device == "cpu":
        return Checked(check="GPU", state="note", found="none: runs use the CPU (quick@1 is made for that)")
    return Checked(check="GPU", state="ok", found=device)


def renderer() -> Checked:
    """Renders two frames of a real task in the reference look and times the second."""
    from suites import catalog

    try:
        environment = catalog.make("dmc_cartpole_balance", action_repeat=2)
        environment.reset(seed=0)
        environment.step(environment.action_space.sample())
        start = time.perf_counter()
        environment.step(environment.action_space.sample())
        seconds = time.perf_counter() - start
        name = catalog.gl_renderer()
        environment.close()
    except (ValueError, ImportError) as error:
        return Checked(
            check="rendering",
            state="bad",
            found=" ".join(str(error).split()),
            cure="sudo apt-get install -y --no-install-recommends libegl1 libgl1",
        )
    return Checked(
        check="rendering", state="ok", found=f"{name}: one 64x64 frame at the reference look in {1000 * seconds:.0f} ms"
    )


def roms() -> Checked:
    from suites import catalog

    reason = catalog.unavailable("atari_pong")
    if reason is not None:
        return Checked(check="Atari ROMs", state="note", found=reason, cure="pip install -c constraints.txt ale-py")
    return Checked(check="Atari ROMs", state="ok", found="in the ale-py wheel (ale-py is GPL-2.0-only)")


def disk(folder: Path) -> Checked:
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.0f} GB free at {existing}"
    if free < DISK_BYTES:
        return Checked(
            check="disk",
            state="bad",
            found=found,
            cure=f"free at least {DISK_BYTES / 1e9:.0f} GB or choose another disk with --runs DIR",
        )
    return Checked(check="disk", state="ok", found=found + "; a 5e6 env_steps run needs about 31 GB")


def memory(source: Path = Path("/proc/meminfo")) -> Checked:
    free = available_memory_bytes(source)
    if free is None:
        return Checked(check="memory", state="note", found="this system does not report the free memory")
    found = f"{free / 1e9:.0f} GB free"
    if free < MEMORY_BYTES:
        return Checked(
            check="memory", state="bad", found=found, cure=f"close other programs: quick@1 needs {MEMORY_BYTES / 1e9:.0f} GB"
        )
    return Checked(check="memory", state="ok", found=found)
