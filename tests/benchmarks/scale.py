"""Runs by the hundred and thousand, and what reading them costs: every line written by the functions that the loop writes with.

    python -m tests.benchmarks.scale make FOLDER --runs 1000           FOLDER/runs, FOLDER/board and how large they are
    python -m tests.benchmarks.scale measure FOLDER --commands status  seconds, processor seconds and memory of each command

A method brings the whole grid of its protocol, so N runs are N / (tasks x seeds) methods. Scores are noise around a curve of
each method and task; nothing of them is a result. `measure` starts each command as a user does, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protocols import catalog
from protocols.cadence import cadence_of
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


def command_of(name: str, folder: Path, out: Path) -> list[str]:
    tail = {
        "status": ["status", folder / "runs"],
        "validate": ["validate", folder / "runs"],
        "report": ["report", folder / "runs", "--out", out / "report"],
        "aggregate": ["aggregate", folder / "runs"],
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("make", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--protocol", default=PROTOCOL)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    asked = parser.parse_args()
    if asked.action == "make":
        make(asked.folder, asked.runs, catalog.find(asked.protocol))
        return
    for row in measured(asked.folder, asked.commands, asked.folder / "out"):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
