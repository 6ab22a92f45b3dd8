"""Kills a run, mostly with SIGKILL, at random moments, calls it again until it is done; several runs, until enough kills.

Enough are KILLS kills and a quarter as many attempts that went on from beyond the beginning: how many random moments come
after the second checkpoint depends on the machine.

As a program: python kill_runs.py FOLDER CASE KILLS SEED [calls]. Beside FOLDER/straight, the undisturbed run, stand
FOLDER/killed-1 and so on; it prints how many kills and runs that were, and how many attempts went on from beyond the
beginning. Everything is imported once and every attempt is a fork, so that a kill costs no imports. With `calls`, every kill
comes at a random system call that changes a file, in place of a random moment; that needs strace, and the right to trace.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from probe_runs import DMC, PROBE, register, request

from protocols import catalog
from protocols.running.launch import run_cohort

DREAMER = {
    "stoch": 4,
    "deter": 8,
    "model_hidden": 8,
    "depth": 2,
    "hidden": 8,
    "horizon": 3,
    "batch_sequences": 2,
    "batch_length": 4,
    "prefill_env_steps": 100,
    "pretrain_updates": 2,
    "update_every_env_steps": 20,
    "updates": 1,
}

CASES = {
    "tally on a probe": {"protocol": replace(PROBE, env_steps=1600, evaluate_every_env_steps=100), "agent": "tally"},
    "dreamer on dmc": {
        "protocol": replace(DMC, env_steps=400, evaluate_every_env_steps=100, evaluate_episodes=1, time_limit_env_steps=60),
        "agent": "dreamer",
        "seeds": (0,),
        "overrides": DREAMER,
    },
    # Sticky actions and no-ops, as in the 55 games: an emulator that nobody could restore, only play again from its seed.
    "dreamer on atari": {
        "protocol": replace(
            PROBE,
            id="tiny-atari@1",
            tasks=("atari_breakout",),
            suite_options=catalog.find("atari-200m@1").suite_options,
            action_repeat=4,
            num_envs=1,
            env_steps=1200,
            time_limit_env_steps=400,
            evaluate_every_env_steps=300,
            evaluate_episodes=1,
            final_episodes=0,
            agent_profile="discrete",
        ),
        "agent": "dreamer",
        "seeds": (0,),
        "overrides": DREAMER,
    },
}
"""Cohorts by name, as arguments of `probe_runs.request`."""


SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT)
"""SIGHUP (a closed terminal) and SIGQUIT end a process at once, too."""

CHANGES = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,rmdir,ftruncate,truncate,fallocate"
)
"""System calls that change files, and the openings of files. Between two of them the disk does not change."""


def attempt(folder: Path, case: str, *, stopped: bool = False) -> int:
    """Trains the cohort from where it stands in a process of its own; its id.

    stopped  it waits for SIGCONT before it begins
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if stopped:
                os.kill(os.getpid(), signal.SIGSTOP)
            run_cohort(request(folder, **CASES[case]))
            code = 0
        finally:
            os._exit(code)
    return pid


def begun(folder: Path) -> int:
    """How many processes came as far as training. Looks into no other folder, because a run that ends removes its replay."""
    return sum(len(path.read_bytes().splitlines()) for path in folder.glob("*/*/*/seed-*/sessions.jsonl"))


def ended(pid: int, *, now: bool = False) -> int | None:
    """The exit status of a process; None where it goes on."""
    done, status = os.waitpid(pid, os.WNOHANG if now else 0)
    return status if done else None


def wait_until_begun(folder: Path, before: int, pid: int) -> int | None:
    """Until this attempt trains; its exit status where it ended before that."""
    status = None
    while begun(folder) == before and status is None:
        time.sleep(0.003)
        status = ended(pid, now=True)
    return status


def at_moments(root: Path, case: str, draw: random.Random) -> Callable[[Path, float], int]:
    """An undisturbed run; then (folder, patience) -> exit status of an attempt that is killed at a random moment."""
    pid = attempt(root / "straight", case)
    wait_until_begun(root / "straight", 0, pid)
    started = time.monotonic()
    assert ended(pid) == 0
    training_seconds = time.monotonic() - started

    def killed(folder: Path, patience: float) -> int:
        before, pid, status = begun(folder), attempt(folder, case), None
        if draw.random() < 0.8:  # the others are killed while they start
            status = wait_until_begun(folder, before, pid)
        if status is None:
            time.sleep(draw.uniform(0, patience) * training_seconds)
            status = ended(pid, now=True)
        if status is None:
            os.kill(pid, draw.choice(SIGNALS))
            status = ended(pid)
        assert status is not None
        return status

    return killed


def at_calls(root: Path, case: str, draw: random.Random) -> Callable[[Path, float], int]:
    """The same, but the attempt is killed at the beginning of a random call of CHANGES, which is the end of the one before."""

    def traced(folder: Path, *options: str) -> int:
        pid = attempt(folder, case, stopped=True)
        os.waitpid(pid, os.WUNTRACED)
        with subprocess.Popen(["strace", "-qq", "-p", str(pid), "-e", f"trace={CHANGES}", *options]):
            while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
                time.sleep(0.003)
            os.kill(pid, signal.SIGCONT)
            status = ended(pid)
        assert status is not None
        return status

    log = root / "calls"
    assert traced(root / "straight", "-o", str(log)) == 0
    calls = len(log.read_text().splitlines())
    print(calls, "calls in the undisturbed run", file=sys.stderr)

    def killed(folder: Path, patience: float) -> int:
        number = draw.randint(1, max(1, round(min(patience, 1) * calls)))
        return traced(folder, "-o", os.devnull, "-e", f"inject={CHANGES}:signal=SIGKILL:when={number}")

    return killed


def main(root: Path, case: str, wanted: int, draw: random.Random, prepare: Any) -> None:
    register()
    root.mkdir(parents=True, exist_ok=True)
    attempt_killed = prepare(root, case, draw)
    kills, runs, gone_on, done = 0, 0, 0, True
    while kills < wanted or gone_on < wanted // 4 or not done:
        if done:
            runs, done, patience = runs + 1, False, 0.3
        folder = root / f"killed-{runs}"
        gone_on += any(path.name not in ("checkpoint-1", "checkpoint-1.tmp") for path in folder.rglob("checkpoint-*"))
        status = attempt_killed(folder, patience)
        patience *= 1.1  # on a machine that became busy, every attempt would else be killed before it gets anywhere
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            assert os.WEXITSTATUS(status) == 0
            done = True
    print(kills, runs, gone_on)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2],
        int(sys.argv[3]),
        random.Random(int(sys.argv[4])),
        at_calls if sys.argv[5:] == ["calls"] else at_moments,
    )
