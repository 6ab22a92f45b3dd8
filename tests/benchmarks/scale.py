"""Runs by the hundred and thousand, and what reading them costs: every line written by the functions that the loop writes with.

    python -m tests.benchmarks.scale make FOLDER --runs 1000           FOLDER/runs, FOLDER/board and how large they are
    python -m tests.benchmarks.scale multiply FOLDER --runs 10000      more methods: those of FOLDER with other scores, in a
                                                                       fraction of the time that `make` takes
    python -m tests.benchmarks.scale measure FOLDER --commands status  seconds, processor seconds and memory of each command
    python -m tests.benchmarks.scale curves FOLDER                     `figure curves` of 57 games x 3 methods x 5 seeds
    python -m tests.benchmarks.scale rliable FOLDER --runs 1000        the aggregates of the same table, ours and rliable's

A method brings the whole grid of its protocol, so N runs are N / (tasks x seeds) methods. Scores are noise around a curve of
each method and task; nothing of them is a result. `measure` starts each command as a user does, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from analysis.leaderboard.card import card_text
from dreamer_bench_files import sha256
from protocols import catalog
from protocols.cadence import cadence_of
from protocols.records import chain
from protocols.records.json_files import encode_lines
from protocols.records.store import EPISODES, MANIFEST, RESULT, Run, find_runs, seal
from protocols.spec import Protocol
from tests.make_records import make_run

PROTOCOL = "dmc-5m@1"
"""511 episode lines and 501 metrics lines a run: more than any other published protocol but Atari's 200M."""
COMMANDS = ("status", "validate", "report", "aggregate", "board")


def methods(runs: int, protocol: Protocol) -> list[str]:
    """The names of the methods whose whole grids make up so many runs."""
    grid = len(protocol.tasks) * len(protocol.seeds)
    return [f"method_{number:03}" for number in range(-(-runs // grid))]


def scores(protocol: Protocol, number: int, task: str, seed: int) -> tuple[dict[int, list[float]], list[float]]:
    """Scores of every evaluation, and of the final one: noise around a curve that rises with training."""
    generator = np.random.default_rng((number, protocol.tasks.index(task), seed))
    times = cadence_of(protocol, task, protocol.env_steps).evaluation_env_steps
    low, high = protocol.score_range or (0.0, 1000.0)
    height = 0.2 + 0.6 * np.random.default_rng((number, protocol.tasks.index(task))).random()
    part = height * (1 - np.exp(-5 * np.array(times) / protocol.env_steps))
    noise = generator.normal(0, 0.04, (len(times), protocol.evaluate_episodes))
    values = low + (high - low) * np.clip(part[:, None] + noise, 0, 1)
    last = low + (high - low) * np.clip(part[-1] + generator.normal(0, 0.04, protocol.final_episodes), 0, 1)
    return dict(zip(times, values.tolist(), strict=True)), last.tolist()


def make_method(root: Path, protocol: Protocol, number: int, name: str, most: int) -> int:
    """The runs of one method, at most so many; how many were made."""
    cells = [(task, seed) for task in protocol.tasks for seed in protocol.seeds][:most]
    for task, seed in cells:
        values, last = scores(protocol, number, task, seed)
        make_run(root, protocol, agent=name, task=task, seed=seed, scores=values, final=last)
    return len(cells)


def make(folder: Path, runs: int, protocol: Protocol) -> None:
    """`runs/` with all methods, and `board/` with each as a submission that `leaderboard add` took."""
    from analysis.leaderboard import adding

    os.fsync = lambda _: None  # type: ignore[assignment]  # measured is the reading: nothing here must outlive a power cut
    for number, name in enumerate(methods(runs, protocol)):
        alone = folder / "submissions" / name
        if (folder / "board" / name.replace("_", "-")).exists():
            continue
        made = make_method(alone / "runs", protocol, number, name, runs)
        card = {"name": name, "authors": ["A. Author"], "input": "pixels", "paper": None, "code": None}
        (alone / "card.json").write_text(json.dumps(card))
        target = adding.add(alone, folder / "added" / name)
        (folder / "board").mkdir(exist_ok=True)
        target.rename(folder / "board" / name.replace("_", "-"))
        for label in (alone / "runs" / protocol.id).iterdir():
            (folder / "runs" / protocol.id).mkdir(parents=True, exist_ok=True)
            label.rename(folder / "runs" / protocol.id / label.name)
        print(f"{name}: {made} runs", flush=True)


def multiply(folder: Path, runs: int, protocol: Protocol) -> None:
    """Adds methods to `runs/` and `board/` until there are so many runs: each is one of those there, with scores 0.1 higher."""
    names, made = methods(runs, protocol), sorted(path.name for path in (folder / "runs" / protocol.id).iterdir())
    for number, name in enumerate(names):
        if name in made:
            continue
        label, shift = made[number % len(made)], 0.1 * (number // len(made))
        target = folder / "board" / name.replace("_", "-")
        for old in find_runs(folder / "board" / label.replace("_", "-") / "runs"):
            place = Path(protocol.id, name, *old.folder.parts[-2:])
            _shifted(old, target / "runs" / place, name, shift)
            shutil.copytree(target / "runs" / place, folder / "runs" / place, copy_function=os.link)
        card = json.loads((folder / "board" / label.replace("_", "-") / "card.json").read_text())
        (target / "card.json").write_bytes(card_text({**card, "name": name}))
        hashes = {path.relative_to(target).as_posix(): sha256(path) for path in target.rglob("*") if path.is_file()}
        (target / "submission.json").write_text(json.dumps({"schema": 2, "sha256": hashes}))
        print(f"{name}: {label} with scores {shift:.1f} higher", flush=True)


def _shifted(old: Run, folder: Path, name: str, shift: float) -> None:
    """A run of the method `name`: another one with its scores shifted, and hashes that fit."""
    shutil.copytree(old.folder, folder)
    run, result = Run(folder), cast(Any, old.result())
    manifest = {**old.manifest, "agent": name, "label": name}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    lines: list[dict[str, Any]] = []
    previous = chain.origin(manifest)
    for line in old.episodes():
        lines.append({**line, "score": (line["score"] or 0.0) + shift, chain.PREVIOUS: previous})
        previous = chain.link(lines[-1])
    (folder / EPISODES).write_bytes(encode_lines(lines))
    result |= {"score": result["score"] + shift, "chain": previous}
    result["sha256"] = {part: sha256(folder / part) for part in result["sha256"]}
    (folder / RESULT).write_text(json.dumps({**result, "seal": seal(result)}))
    assert run.manifest["label"] == name


def command_of(name: str, folder: Path, out: Path) -> list[str]:
    tail = {
        "status": ["status", folder / "runs"],
        "validate": ["validate", folder / "runs"],
        "report": ["report", folder / "runs", "--out", out / "report"],
        "aggregate": ["aggregate", folder / "runs"],
        "curves": ["figure", "curves", folder / "curves.csv", "--out", out / "curves"],
        "board": ["leaderboard", "build", folder / "board", "--out", out / "site"],
    }[name]
    return [sys.executable, "-m", "dreamer_bench", *map(str, tail)]


def measure(name: str, folder: Path, out: Path) -> dict[str, Any]:
    """One command in a process of its own: exit code, seconds, processor seconds, and memory of its largest process."""
    start = time.perf_counter()
    with subprocess.Popen(command_of(name, folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "command": name,
        "code": process.returncode,
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_megabytes": used.ru_maxrss // 1024,
        "said": said[-300:],
    }


def measured(folder: Path, commands: Sequence[str], out: Path) -> Iterator[dict[str, Any]]:
    for name in commands:
        yield measure(name, folder, out)


def make_curves(folder: Path) -> Path:
    """A score file of 57 Atari games, 3 methods, 5 seeds and 200 points."""
    from suites.atari import GAMES

    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    lines = ["method,task,seed,env_steps,score"]
    for game, method, seed in itertools.product(GAMES, range(3), range(5)):
        level = (1 + method) * np.linspace(0.0, 100.0, 200) + generator.normal(0, 5, 200)
        lines += [f"method_{method},atari_{game},{seed},{1_000_000 * (k + 1)},{value:.3f}" for k, value in enumerate(level)]
    (folder / "curves.csv").write_text("\n".join(lines) + "\n")
    return folder / "curves.csv"


def beside_rliable(runs: int, protocol: Protocol, resamples: int) -> dict[str, Any]:
    """Processor seconds of the four aggregates of the final scores, ours at 50,000 resamples and rliable's at `resamples`.

    rliable's time grows with the resamples, so it is also scaled to 50,000. The difference is that of its points to ours.
    """
    import pandas as pd

    from analysis.statistics import aggregate, rliable_engine

    cells = [(task, seed) for task in protocol.tasks for seed in protocol.seeds][:runs]
    table = pd.DataFrame(
        [
            (name, task, str(seed), float(np.mean(scores(protocol, number, task, seed)[1])) / 1000.0)
            for number, name in enumerate(methods(runs, protocol))
            for task, seed in cells
        ],
        columns=["method", "task", "seed", "score"],
    )
    start = time.process_time()
    ours = aggregate.estimates(table)
    own_seconds = time.process_time() - start
    asked = aggregate.estimates(table, reps=resamples)
    start = time.process_time()
    theirs = rliable_engine.estimates(table, asked)
    rliable_seconds = time.process_time() - start
    scaled = rliable_seconds * aggregate.REPS / resamples
    return {
        "runs": len(table),
        "methods": table["method"].nunique(),
        "ours": round(own_seconds, 2),
        "resamples": aggregate.REPS,
        "rliable": round(rliable_seconds, 2),
        "rliable_resamples": resamples,
        "rliable_scaled": round(scaled, 1),
        "times_faster": round(scaled / own_seconds, 1),
        "largest_difference_of_points": max(abs(one.point - other.point) for one, other in zip(theirs, ours, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("make", "multiply", "measure", "curves", "rliable"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--protocol", default=PROTOCOL)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--resamples", type=int, default=200)
    asked = parser.parse_args()
    if asked.action == "rliable":
        print(json.dumps(beside_rliable(asked.runs, catalog.find(asked.protocol), asked.resamples)), flush=True)
        return
    if asked.action == "multiply":
        multiply(asked.folder, asked.runs, catalog.find(asked.protocol))
        return
    if asked.action == "curves":
        make_curves(asked.folder)
        print(json.dumps(measure("curves", asked.folder, asked.folder / "out")), flush=True)
        return
    if asked.action == "make":
        make(asked.folder, asked.runs, catalog.find(asked.protocol))
        return
    for row in measured(asked.folder, asked.commands, asked.folder / "out"):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
