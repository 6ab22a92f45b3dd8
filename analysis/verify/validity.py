"""The validity check of `verify` for records: complete runs, one protocol, and no run that is a copy of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.scores.copies import copies as copies
from analysis.scores.copies import listed
from analysis.scores.from_runs import ScoredRun
from protocols.records.score import counts
from protocols.spec import Protocol, digest

_UNFINISHED = ", not complete; resume it with `run`, or leave the task out"


def name_unfinished(causes: Iterable[str]) -> bool:
    """Whether a cause names a run that is not complete."""
    return any(cause.endswith(_UNFINISHED) for cause in causes)


def record_causes(
    runs: Sequence[ScoredRun], method: str, protocol: Protocol | None, tasks: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Causes why the runs of a method are not valid for a verdict, and notes about them; both are empty without runs.

    Causes: an incomplete run, a protocol that differs from the catalog's of that name, an action repeat that differs from the
    protocol's. Notes: other simulator versions than the protocol's, several commits, uncommitted changes.
    """
    unfinished, foreign, repeats = [], [], []
    versions, commits, dirty = set(), set(), 0
    expected = None if protocol is None else digest(protocol)
    for run in runs:
        manifest = run.manifest
        played = {manifest["task"], *(run.points.tasks or ())}  # a run on joined tasks has the points of several
        if manifest["label"] != method or (tasks and played.isdisjoint(tasks)):
            continue
        if protocol is not None and manifest["protocol"] != protocol.id:
            continue
        state = run.state()
        if state == "diverged" and counts(run) is not None:  # otherwise it counts, with the score that its protocol sets
            unfinished.append(
                f"{run.folder} diverged and has no score; leaving it out would bias the verdict, so there is none"
            )
        elif state not in ("done", "diverged"):
            unfinished.append(f"{run.folder} is {state}{_UNFINISHED}")
        if expected is not None and manifest["digest"] != expected:
            foreign.append(
                f"{run.folder} was made under another definition of {manifest['protocol']} (digest "
                f"{manifest['digest'][:12]}, not {expected[:12]})"
            )
        if protocol is not None and manifest["action_repeat"] != protocol.action_repeat_of(manifest["task"]):
            repeats.append(
                f"{run.folder} used action repeat {manifest['action_repeat']}, not "
                f"{protocol.action_repeat_of(manifest['task'])}"
            )
        versions |= {(name, manifest["packages"].get(name)) for name in (protocol.simulators if protocol else {})}
        commits.add(manifest["commit"])
        dirty += bool(manifest["dirty"])
    notes = []
    if protocol is not None:
        other = sorted(f"{name} {version}" for name, version in versions if version != protocol.simulators[name])
        if other:
            notes.append(
                f"simulators other than {protocol.id}'s ({', '.join(f'{k} {v}' for k, v in protocol.simulators.items())}): "
                f"{', '.join(other)}"
            )
    if len(commits) > 1:
        notes.append(f"the runs come from {len(commits)} commits")
    if dirty:
        notes.append(f"{dirty} run{'s' if dirty > 1 else ''} started from a tree with uncommitted changes")
    return [*listed(unfinished), *listed(foreign), *listed(repeats)], notes
