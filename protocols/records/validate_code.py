"""Checks of a record: whether its names and folder are right, and whether others can get the code that made it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from protocols.records import code_identity
from protocols.records.drift import simulator_drift
from protocols.records.rules import Broken
from protocols.records.store import Run
from protocols.spec import RunSpec


def check_provenance(run: Run, manifest: Mapping[str, Any]) -> Iterator[Broken]:
    drift = simulator_drift(manifest)
    for package, (expected, recorded) in drift.items():
        yield "simulators", f"expected {package} {expected}, recorded under {recorded or 'none'}"
    fault = _code_fault(manifest, run.schema)
    if fault is not None:
        yield "commit", fault
    elif changed := [(each, fault) for each in run.sessions() if (fault := _code_fault(each, run.schema)) is not None]:
        yield "commit", f"the process that trained it from {changed[0][0].get('created')} on: {changed[0][1]}"
    if run.schema >= 2:
        yield from _check_origins(manifest)
    spec = RunSpec(
        protocol=manifest["protocol"],
        digest=manifest["digest"],
        agent=manifest["agent"],
        task=manifest["task"],
        seed=manifest["seed"],
        overrides=manifest["overrides"],
        limit_env_steps=manifest["limit_env_steps"],
    )
    expected_place = (spec.protocol, spec.label, spec.task, f"seed-{spec.seed}")
    place = tuple(unquote(part) for part in run.folder.parts[-4:])
    if place != expected_place or manifest["label"] != spec.label:
        yield "place", f"the manifest names {'/'.join(expected_place)}, but the folder is {'/'.join(place)}"


def _code_fault(record: Mapping[str, Any], schema: int) -> str | None:
    """Why others cannot get the code that a manifest or a session names; None if they can."""
    commit, source = record.get("commit"), record.get("source")
    if record.get("dirty") is not False:
        return f"the code differed from {f'commit {commit[:12]}' if commit else 'the installed wheel'}; run it unchanged"
    if commit is not None:
        if not _is_hash(commit, 40):
            return f"{commit!r} is not a commit"
        if not isinstance(source, dict):  # schema 1 has no hash of files
            return None if schema < 2 else "the record lacks the files that ran (source), which schema 2 needs"
        if code_identity.files_hash_of_commit(commit) not in (None, source.get("sha256")):
            found = str(source.get("sha256"))[:12]
            return f"the files that ran, {found}, are not those of commit {commit[:12]}; run that commit unchanged"
        return None
    if not isinstance(source, dict):
        return "no commit is recorded; run from a git checkout, or install a wheel of schema 2 or later"
    if source.get("sha256") != code_identity.code()["source"]["sha256"]:
        return (
            f"{source.get('package')} {source.get('version')} with files {str(source.get('sha256'))[:12]} names no commit and "
            "is not what is installed here; run from a git checkout, or from a wheel built in an unchanged one"
        )
    return None


def _check_origins(manifest: Mapping[str, Any]) -> Iterator[Broken]:
    origins = manifest.get("origins")
    for part in ("agent", "suite", "protocol"):
        origin = origins.get(part) if isinstance(origins, dict) else None
        if not isinstance(origin, dict) or not _is_hash(origin.get("sha256"), 64) or not origin.get("version"):
            yield "origin", f"the package that brought the {part} is recorded without its version or the hash of its files"
        elif origin.get("dirty") is not False:
            yield "origin", f"the {part} of {origin.get('package')} differed from commit {str(origin.get('commit'))[:12]}"


def _is_hash(value: Any, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None
