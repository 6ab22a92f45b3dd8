"""Checks that a run resumes with the same seeds, options, simulators and code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from dreamer_bench_base import UserError
from protocols.records import machine
from protocols.records.schema import Origin, Origins
from protocols.records.store import Run
from protocols.running.cohort import CohortRequest
from protocols.spec import canonical_json


def check_same_run(run: Run, options: Any, request: CohortRequest, origins: Origins) -> None:
    manifest = run.manifest
    if tuple(manifest["cohort"]) != request.seeds:
        raise UserError(
            f"{run.folder} was started together with the seeds {manifest['cohort']}, not {list(request.seeds)}; "
            "give those with --seeds, or give another folder with --runs"
        )
    now = asdict(options)
    if canonical_json(manifest["options"]) != canonical_json(now):
        changed = sorted(
            key
            for key in {*now, *manifest["options"]}
            if canonical_json(manifest["options"].get(key)) != canonical_json(now.get(key))
        )
        raise UserError(
            f"{run.folder} was started with other options of {request.agent} ({', '.join(changed)} changed since); "
            "resume with the code of that commit, or give another folder with --runs"
        )
    recorded, here = manifest["packages"], machine.packages(*request.protocol.simulators)
    for package in request.protocol.simulators:
        if recorded.get(package) != here.get(package):
            raise UserError(
                f"{run.folder} was started under {package} {recorded.get(package)}, here it is {here.get(package)}; "
                "a run must keep its simulator; install that version again, or give another folder with --runs"
            )
    begun = cast(Mapping[str, Origin], manifest.get("origins", {}))
    for part, now_here in cast(Mapping[str, Origin], origins).items():
        if part in begun and _identity(begun[part]) != _identity(now_here):
            raise UserError(
                f"{run.folder} was started with the {part} of {_named(begun[part])}, here it comes from {_named(now_here)}: "
                "a run must keep its code; install that again, or give another folder with --runs"
            )


def _identity(origin: Origin) -> tuple[Any, ...]:
    return origin["module"], origin["package"], origin["version"], origin["sha256"]


def _named(origin: Origin) -> str:
    commit = f", commit {origin['commit'][:12]}" if origin["commit"] else ""
    return f"{origin['package'] or origin['module']} {origin['version']}{commit} (files {origin['sha256'][:12]})"
