"""The runs of one protocol in a runs folder: by its id, or by a user's own file."""

from __future__ import annotations

from pathlib import Path

from dreamer_bench_base import UserError
from protocols import catalog
from protocols.records.store import Run, find_runs


def runs_of(root: Path, protocol: str | None) -> list[Run]:
    """The runs of a protocol in the order of `find_runs`; all runs if no protocol is given.

    Raises UserError if there is no such run, and if the user's own file has changed since the runs were made.
    """
    runs = find_runs(root)
    if protocol is None:
        return runs
    id = catalog.id_of(protocol)
    kept = [run for run in runs if run.manifest["protocol"] == id]
    if not kept:
        there = sorted({run.manifest["protocol"] for run in runs})
        raise UserError(f"{root} holds no run of {id}; it holds {', '.join(there) or 'no run at all'}")
    catalog.refuse_changed_file(protocol, (run.manifest["digest"] for run in kept))
    return kept
