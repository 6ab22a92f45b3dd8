"""Trains cohorts from the state of their records to their end: in this process, or wherever an executor runs them.

`CohortRequest` and `CohortOutcome` can be pickled and `run_cohort` needs no terminal, so an executor is a function
(requests, display, stop, address) that calls `run_cohort` for each request somewhere.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from agents import catalog as agent_catalog
from agents.api import AgentContext
from agents.device import describe_device
from agents.environments import Environments
from dreamer_bench_base import UserError
from protocols import catalog as protocol_catalog
from protocols.cadence import cadence_of
from protocols.records import checkpoint, code_identity, provenance
from protocols.records.drift import simulator_drift
from protocols.records.json_files import append_lines
from protocols.records.lock import locked
from protocols.records.schema import DeviceCheck, Origins
from protocols.records.store import MANIFEST, REPLAY, SESSIONS, Run, create_run
from protocols.running.cohort import CohortOutcome, CohortRequest
from protocols.running.display import Display
from protocols.running.film import Film
from protocols.running.job import Job, Moment
from protocols.running.loop import Interrupted, train
from protocols.running.opener import Opener
from protocols.running.same_run import check_same_run
from protocols.running.stop import Stop
from suites import catalog as suite_catalog

CHECKED_DECISIONS = 1_000
"""Budget of the agent that is built for the self-check, so that its replay on the device stays small."""

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def run_cohort(
    request: CohortRequest,
    *,
    watch: Callable[[Moment], None] = lambda moment: None,
    say: Callable[[str], None] = lambda line: None,
    stop: Stop | None = None,
) -> CohortOutcome:
    """Trains one cohort from the state of its records.

    Raises ValueError, in one line, if it cannot start or resume: another process works on it, its records or checkpoints are
    damaged or cannot be read, or the disk is full. The records stay, and the command can be run again.
    """
    stop = stop or Stop()
    try:
        return _run_cohort(request, watch, say, stop)
    except OSError as error:
        if error.errno not in DISK_FULL and error.filename is None:
            raise
        if error.errno not in DISK_FULL:
            raise UserError(
                f"{error.filename} cannot be used ({error.strerror}); the records are kept: fix this, "
                f"then run this again: {request.command}"
            ) from error
        free = shutil.disk_usage(request.grid.root).free
        raise UserError(
            f"the disk is full ({error.strerror}, {free // 10**6} MB free at {request.grid.root}); the "
            f"records are kept: make room, then run this again: {request.command}"
        ) from error


def _run_cohort(
    request: CohortRequest, watch: Callable[[Moment], None], say: Callable[[str], None], stop: Stop
) -> CohortOutcome:
    grid, protocol, entry = request.grid, request.protocol, agent_catalog.find(request.agent)
    options = request.options()
    specs = [grid.spec(request.agent, request.task, seed) for seed in request.seeds]
    folders = [grid.folder(spec) for spec in specs]
    cadence = cadence_of(protocol, request.task, grid.budget_env_steps)
    with ExitStack() as stack:
        opener = Opener(request)
        stack.callback(opener.close)
        environments = opener.open(protocol.num_envs)
        reason = entry.refuses(options, environments.observation_space, environments.action_space)
        if reason is not None:
            raise UserError(f"agent {request.agent!r} cannot play {request.task}: {reason}")
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(folders))
        code, gpu = code_identity.code(), describe_device(request.device)
        origins: Origins = {
            "agent": code_identity.origin(entry.recipe),
            "suite": code_identity.origin(suite_catalog.suite_of(request.task).module),
            "protocol": code_identity.origin(protocol_catalog.module_of(protocol)),
        }
        device_check = _checked_device(request, options, environments)
        for spec, folder in zip(specs, folders, strict=True):
            if (folder / MANIFEST).exists():
                check_same_run(Run(folder), options, request, origins)
            else:
                create_run(
                    grid.root,
                    provenance.manifest(
                        spec,
                        protocol,
                        options=asdict(options),
                        cohort=request.seeds,
                        device=request.device,
                        gpu=gpu,
                        gl_renderer=suite_catalog.gl_renderer() if "image" in environments.observation_space.spaces else None,
                        command=request.command,
                        code=code,
                        origins=origins,
                        asked={"tasks": list(grid.tasks), "seeds": list(grid.seeds)},
                        device_check=device_check,
                    ),
                )
        runs = tuple(Run(folder) for folder in folders)
        for package, (expected, found) in simulator_drift(runs[0].manifest).items():
            say(
                f"{request.name}: {package} {found or 'of an unknown version'}, where {protocol.id} names {expected}: "
                "the records are kept and marked, `validate` refuses them"
            )
        if all(run.result() is not None for run in runs):
            checkpoint.tidy(folders)
            return CohortOutcome(request=request, status="complete")
        if not checkpoint.begun(folders):  # left by a process that was killed before its first checkpoint
            checkpoint.prune(folders, keep=0)
            for folder in folders:
                shutil.rmtree(folder / REPLAY, ignore_errors=True)
        for folder in folders:
            (folder / REPLAY).mkdir(exist_ok=True)
        agent = entry.build(
            options,
            AgentContext(
                observation_space=environments.observation_space,
                action_space=environments.action_space,
                seeds=request.seeds,
                num_envs=protocol.num_envs,
                action_repeat=cadence.action_repeat,
                budget_env_steps=grid.budget_env_steps,
                device=request.device,
                replay_folders=tuple(folder / REPLAY for folder in folders),
            ),
        )
        watchers = [watch, *_watchers(request, runs, stack)]
        session = provenance.session(request.device, gpu, request.command, code, device_check)
        for run in runs:
            if run.result() is None:
                append_lines(run.folder / SESSIONS, [session])
        job = Job(
            protocol=protocol,
            cadence=cadence,
            budget_env_steps=grid.budget_env_steps,
            seeds=request.seeds,
            runs=runs,
            agent=agent,
            open_environments=opener.open,
            watch=lambda moment: _all(watchers, moment),
            say=say,
            stop_requested=stop.requested,
            film=request.film,
        )
        try:
            train(job)
        except Interrupted:
            return CohortOutcome(request=request, status="interrupted")
        del agent, job
        checkpoint.tidy(folders)
    return CohortOutcome(request=request, status="complete")


def _checked_device(request: CohortRequest, options: Any, environments: Environments) -> DeviceCheck | None:
    """Result of the self-check of a separate agent on this GPU; None on a CPU, and for an agent without one.

    Raises UserError, before anything is recorded, if the fast ways give other results than the plain way.
    """
    if not request.device.startswith("cuda"):
        return None
    decision = request.protocol.num_envs * request.protocol.action_repeat_of(request.task)
    agent = agent_catalog.find(request.agent).build(
        options,
        AgentContext(
            observation_space=environments.observation_space,
            action_space=environments.action_space,
            seeds=request.seeds,
            num_envs=request.protocol.num_envs,
            action_repeat=request.protocol.action_repeat_of(request.task),
            budget_env_steps=CHECKED_DECISIONS * decision,
            device=request.device,
        ),
    )
    check = getattr(agent, "self_check", None)
    return None if check is None else check()


Room = Callable[[int, bool], None]
"""(number of programs at a time, whether on this machine) -> None; raises ValueError if disk or memory is too small."""


def inline(
    requests: Sequence[CohortRequest],
    display: Display,
    stop: Stop,
    address: str | None,
    room: Room = lambda at_once, here: None,
) -> None:
    """Runs one program after the other in this process, until one was asked to stop."""
    if address is not None:
        raise UserError("--address names a Ray cluster; give --executor ray with it")
    room(1, True)
    for index, request in enumerate(requests):
        if stop.requested():
            return
        run_cohort(request, watch=display.watcher(index), say=display.say, stop=stop)


def _watchers(request: CohortRequest, runs: Sequence[Run], stack: ExitStack) -> list[Callable[[Moment], None]]:
    found: list[Callable[[Moment], None]] = []
    if request.film:
        found.append(Film([run.folder for run in runs]))
    if request.tensorboard:
        from protocols.running.tensorboard import EventFiles  # an extra

        events = EventFiles([run.folder for run in runs])
        stack.callback(events.close)
        found.append(events)
    if request.wandb:
        from protocols.running.weights_and_biases import WandbRuns  # an extra

        logged = WandbRuns(runs)
        stack.callback(logged.close)
        found.append(logged)
    return found


def _all(watchers: Sequence[Callable[[Moment], None]], moment: Moment) -> None:
    for watcher in watchers:
        watcher(moment)
