"""Fabricates runs folders for tests, through the same functions that the loop writes with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from dreamer_bench_files import sha256
from protocols.cadence import episode_seed
from protocols.records import chain, profiles
from protocols.records.json_files import append_lines
from protocols.records.line_log import LineLog
from protocols.records.store import EPISODES, METRICS, RESULT, SESSIONS, Run, create_run, seal, write_result
from protocols.spec import Protocol, RunSpec, digest

SOURCE = {"package": "dreamer-bench", "version": "0.1.0", "sha256": "1" * 64}
ORIGIN = {"package": "dreamer-bench", "version": "0.1.0", "commit": "0" * 40, "dirty": False, "sha256": "2" * 64}
MODULES = {"agent": "agents.recipes.dreamer", "suite": "suites.dmc", "protocol": "protocols"}
HOST = {"host": "test", "pid": 1, "gpu": None}


def make_run(
    root: Path,
    protocol: Protocol,
    *,
    agent: str,
    task: str,
    seed: int,
    scores: Mapping[int, Sequence[float]],
    final: Sequence[float] = (),
    status: str | None = "complete",
    limit_env_steps: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> Run:
    """One run with these evaluation scores.

    scores    env_steps -> scores of the episodes of that evaluation
    final     scores of the final evaluation at the budget
    status    "complete", "diverged", or None for a run without a result
    manifest  keys over the default manifest, for example commit="..." or packages={...}
    """
    spec = RunSpec(
        protocol=protocol.id,
        digest=digest(protocol),
        agent=agent,
        task=task,
        seed=seed,
        overrides=overrides or {},
        limit_env_steps=limit_env_steps,
    )
    repeat = protocol.action_repeat_of(task)
    budget = protocol.env_steps if limit_env_steps is None else limit_env_steps
    record = {
        "schema": 2,
        "protocol": spec.protocol,
        "digest": spec.digest,
        "protocol_data": asdict(protocol),
        "agent": agent,
        "label": spec.label,
        "overrides": dict(spec.overrides),
        "options": profiles.known().get(agent, {}).get(protocol.agent_profile, {}) | (overrides or {}),
        "task": task,
        "seed": seed,
        "cohort": [seed],
        "action_repeat": repeat,
        "limit_env_steps": limit_env_steps,
        "created": "2026-11-21T09:00:00+00:00",
        "commit": "0" * 40,
        "dirty": False,
        "source": SOURCE,
        "origins": {part: {"module": module, **ORIGIN} for part, module in MODULES.items()},
        "packages": dict(protocol.simulators),
        "python": "3.11.0",
        "platform": "test",
        "hardware": {"cpu": "test", "cores": 2, "memory_bytes": 2**33, "gpu": None},
        "gl_renderer": "test",
        "device": "cpu",
        "command": "test",
    }
    run = create_run(root, {**record, **manifest})
    made = partial(updates, run.manifest["options"])
    every = [(steps, values, False) for steps, values in sorted(scores.items())]
    if final:
        every.append((budget, final, True))
    lines = [
        {
            "env_steps": steps,
            "agent_steps": steps // repeat,
            "gradient_steps": made(steps),
            "checkpoint": index,
            "episode": episode,
            **({"task": protocol.played(task)[episode % len(protocol.played(task))]} if task in protocol.joined else {}),
            "env_seed": own_seed(protocol, seed, index, episode, is_final),
            "score": float(score),
            "length": protocol.time_limit_env_steps // repeat,
            "seconds": 1.0,
            "final": is_final,
        }
        for index, (steps, values, is_final) in enumerate(every)
        for episode, score in enumerate(values)
    ]
    if run.schema >= 2:
        append_lines(
            run.folder / SESSIONS,
            [{name: run.manifest[name] for name in ("created", "commit", "dirty", "source", "device", "command")} | HOST],
        )
    LineLog(run.folder / EPISODES, 0, chain.origin(run.manifest) if run.schema >= 2 else None).write(lines)
    append_lines(
        run.folder / METRICS,
        [
            {
                "env_steps": steps,
                "agent_steps": steps // repeat,
                "gradient_steps": made(steps),
                "seconds": steps / 100.0,
                "env_steps_per_second": 100.0,
                "train_return": None,
                **({"diverged": True} if status == "diverged" and steps == max(scores) else {}),
            }
            for steps in sorted(scores)
        ],
    )
    if status is not None:
        last = max(scores, default=0)
        write_result(
            run,
            status=status,
            env_steps=last,
            agent_steps=last // repeat,
            gradient_steps=made(last),  # type: ignore[arg-type]
            wall_seconds=last / 100.0,
            device_seconds=last / 100.0,
        )
    return run


def reseal(run: Run) -> None:
    """Makes the hashes of an edited run fit, as somebody might who knows how."""
    result = json.loads((run.folder / RESULT).read_text())
    result["sha256"] = {name: sha256(run.folder / name) for name in result["sha256"]}
    result["chain"], _ = chain.end(run.manifest, run.episodes())
    result["seal"] = seal(result)
    (run.folder / RESULT).write_text(json.dumps(result))


def rechain(run: Run) -> None:
    """The same for a run whose lines or manifest were edited."""
    lines = [{name: value for name, value in line.items() if name != chain.PREVIOUS} for line in run.episodes()]
    (run.folder / EPISODES).unlink()
    LineLog(run.folder / EPISODES, 0, chain.origin(run.manifest)).write(lines)
    reseal(run)


def updates(options: Mapping[str, Any], env_steps: int) -> int:
    """Gradient steps of an agent that begins right after its prefill; of one without a schedule, one in ten env_steps."""
    if "update_every_env_steps" not in options:
        return env_steps // 10
    trained = env_steps - options["prefill_env_steps"]
    if trained < 0:
        return 0
    return int(options["pretrain_updates"] + options["updates"] * (trained // options["update_every_env_steps"]))


def own_seed(protocol: Protocol, run_seed: int, checkpoint: int, episode: int, is_final: bool) -> int:
    """The environment's seed of an evaluation episode, as the loop draws it."""
    if is_final:
        return episode_seed(run_seed, "final", episode)
    return episode_seed(run_seed, "evaluate", checkpoint * protocol.evaluate_episodes + episode)
