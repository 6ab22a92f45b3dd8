"""What was run, in words: protocol, machines and versions of the records."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.scores.groups import Group, tally
from dreamer_bench_base import count
from protocols.records.store import Run


def hardware(manifest: Mapping[str, Any]) -> str:
    machine = manifest["hardware"]
    cores = machine.get("cores", "?")
    parts = [str(machine.get("cpu") or "unknown CPU"), "1 core" if cores == 1 else f"{cores} cores"]
    if machine.get("memory_bytes"):
        parts.append(f"{machine['memory_bytes'] / 2**30:.0f} GiB")
    if machine.get("gpu"):
        parts.append(str(machine["gpu"]))
    return ", ".join(parts)


def runs_folders(runs: Sequence[Run]) -> dict[Path, str]:
    """Folder of a run -> the name of its runs folder, from the last folder on that holds all runs."""
    places = {run.folder: run.folder.absolute().parents[3] for run in runs}  # below it: protocol/label/task/seed
    if not places:
        return {}
    base = Path(os.path.commonpath(places.values())).parent
    return {folder: place.relative_to(base).as_posix() for folder, place in places.items()}


def compress(runs: Sequence[tuple[str, str, int]]) -> list[str]:
    """Lines such as "dreamer, seeds 1, 2: dmc_walker_run, dmc_walker_walk" for a list of runs."""
    by_task: dict[tuple[str, str], list[int]] = {}
    for method, task, seed in runs:
        by_task.setdefault((method, task), []).append(seed)
    alike: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (method, task), seeds in sorted(by_task.items()):
        alike.setdefault((method, tuple(sorted(seeds))), []).append(task)
    return [
        f"{method}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {', '.join(tasks)}"
        for (method, seeds), tasks in alike.items()
    ]


def facts(group: Group) -> list[tuple[str, str]]:
    """Pairs of name and value for the section about what was run."""
    data = group.data
    manifests = [member.run.manifest for member in group.members]
    rule = data["score_rule"]
    rules = {
        "window": f"mean of the evaluation episodes in the last {rule.get('window_env_steps', 0):,} env steps",
        "last": "mean of the episodes of the last evaluation",
        "final": f"mean of the {count(data.get('final_episodes', 0), 'episode')} of the separate final evaluation",
    }
    options = ", ".join(f"{key} {value}" for key, value in data.get("suite_options", {}).items()) or "none"
    packages = sorted({name for manifest in manifests for name in manifest["packages"]})
    known = group.known_digest
    agreement = (
        "this installation does not know the protocol"
        if known is None
        else "the same as in this installation"
        if known == group.digest
        else f"this installation has another digest, {known[:12]}"
    )
    hours = [
        result["device_seconds"] / 3600
        for member in group.members
        if (result := member.run.result()) and result.get("device_seconds")
    ]
    found = [
        ("Protocol", f"{group.protocol}: {data['title']}"),
        ("Digest", f"{group.digest} ({agreement})"),
        ("Source", data["source"]),
        ("Tasks", f"{len(data['tasks'])}: {', '.join(data['tasks'])}"),
        (
            "Budget",
            f"{data['env_steps']:,} env steps a run; action repeat {data['action_repeat']}, episodes of at most "
            f"{data['time_limit_env_steps']:,} env steps",
        ),
        ("Suite options", options),
        ("Score of a run", rules[rule["kind"]]),
        (
            "Evaluation",
            f"{count(data['evaluate_episodes'], 'episode')} every {data['evaluate_every_env_steps']:,} env steps, "
            "in separate environments",
        ),
        ("Seeds", f"{', '.join(map(str, data['seeds']))} in a complete submission"),
        (
            "Recorded",
            f"{min(m['created'] for m in manifests)[:16].replace('T', ' ')} to "
            f"{max(m['created'] for m in manifests)[:16].replace('T', ' ')} UTC",
        ),
        (
            "Code",
            tally(
                f"commit {m['commit'][:12] if m['commit'] else 'unknown'}{' with local changes' if m['dirty'] else ''}"
                for m in manifests
            ),
        ),
        ("Hardware", tally(hardware(m) for m in manifests)),
        ("Device", tally(str(m["device"]) for m in manifests)),
        ("Renderer", tally(str(m["gl_renderer"] or "none") for m in manifests)),
        ("Python", tally(f"{m['python']} on {m['platform']}" for m in manifests)),
        (
            "Packages",
            "; ".join(
                f"{name} {tally(str(m['packages'][name]) for m in manifests if name in m['packages'])}" for name in packages
            ),
        ),
    ]
    if hours:
        found.append(("Device time", f"{sum(hours):.2f} hours in {count(len(hours), 'finished run')}"))
    return found
