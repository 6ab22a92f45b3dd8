"""Trains mutated copies of the code under `small@1`, and gathers their scores into one file.

In a work folder: commit, trees/NAME (the mutated source), runs/NAME (records, as `dreamer-bench run` leaves them). A program is
one mutation on one task; finished ones are skipped and interrupted ones are resumed by `run` itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dreamer_bench_base import UserError
from dreamer_bench_files import write_atomically
from tests.mutants.mutations import MUTATIONS, UNCHANGED, Mutation
from tests.mutants.tree import commit, copy_of, dreamer_bench

if TYPE_CHECKING:
    import pandas as pd

SEEDS_AT_ONCE = 5
"""Of a program: the gate's number, whatever the number of seeds asked for."""


def begin(work: Path) -> str:
    """The commit that a work folder belongs to; a new one belongs to the present commit."""
    work.mkdir(parents=True, exist_ok=True)
    marker, now = work / "commit", commit()
    if not marker.exists():
        marker.write_text(now)
    if (known := marker.read_text()) != now:
        raise UserError(
            f"{work} was begun at {known[:20]}, and this tree is at {now[:20]}; check that commit out, or take another folder"
        )
    return now


def train(work: Path, mutation: Mutation, *, protocol: str, agent: str, tasks: Sequence[str], seeds: Sequence[int]) -> int:
    """The exit code of `run` in the mutated copy, which is made where it is missing."""
    begin(work)
    tree = work / "trees" / mutation.name
    if not tree.exists():
        copy_of(mutation, tree.with_name(f".{mutation.name}.{time.time_ns()}")).rename(tree)
    started = time.monotonic()
    code = dreamer_bench(
        tree,
        [
            *("run", protocol, "--agents", agent, "--tasks", *tasks, "--seeds", *map(str, seeds)),
            *("--seeds-per-program", str(SEEDS_AT_ONCE), "--workers", "0", "--no-film", "--device", "cpu"),
            *("--runs", str((work / "runs" / mutation.name).resolve())),
        ],
    )
    print(
        f"{mutation.name}: {', '.join(tasks)}, {len(seeds)} seeds, exit code {code}, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return code


def gather(work: Path, unchanged: Sequence[Path] = (), agent: str | None = None) -> pd.DataFrame:
    """The table of all records of a work folder: the method of a row is its mutation.

    unchanged  runs folders of the same code, from elsewhere
    agent      whose runs count; None: all
    """
    import pandas as pd

    from analysis.scores import table

    frames = []
    own = [(mutation.name, work / "runs" / mutation.name) for mutation in (UNCHANGED, *MUTATIONS)]
    for name, folder in [*own, *((UNCHANGED.name, folder) for folder in unchanged)]:
        if any(folder.rglob("episodes.jsonl")):
            points = table.read([folder])
            kept = points["finished"] & ((points["method"] == agent) | (agent is None))
            frames.append(points[kept].assign(method=name))
    if not frames:
        raise UserError(f"{work} holds no records yet; train first")
    return pd.concat(frames, ignore_index=True)


def made_with(out: Path) -> Path:
    """The file beside a score file that says what it was made with."""
    return out.with_name("made-with.json")


def write_scores(work: Path, out: Path, unchanged: Sequence[Path], agent: str) -> None:
    """A score file that `dreamer-bench verify` reads; its methods are the mutations."""
    from analysis.scores.exchange import check_target, compressed, tidy

    check_target(out)
    points = gather(work, unchanged, agent)
    write_atomically(out, compressed(out, tidy(points)))
    manifest = json.loads(
        next(path for folder in (work / "runs", *unchanged) for path in folder.rglob("manifest.json")).read_text()
    )
    made = {
        "commit": (work / "commit").read_text(),
        "cpu": manifest["hardware"]["cpu"],
        "agent": agent,
        "protocol": manifest["protocol"],
    }
    write_atomically(made_with(out), (json.dumps(made, indent=1) + "\n").encode())
    for (method, task), rows in points.groupby(["method", "task"]):
        print(f"{method}: {task}, {rows['seed'].nunique()} seeds")
