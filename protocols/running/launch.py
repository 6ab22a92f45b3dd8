"""Takes cohorts from where their records stand to their end: in this process, or wherever an executor carries them.

`CohortRequest` and `CohortOutcome` can be pickled and `run_cohort` needs no terminal, so an executor is a function
(requests, display, stop, address) that calls `run_cohort` for each request somewhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any, Literal, cast

from agents import catalog as agent_catalog
from agents.api import AgentContext
from agents.device import describe_device
from agents.environments import Environments
from dreamer_bench_base import UserError
from protocols import catalog as protocol_catalog
from protocols.cadence import cadence_of
from protocols.records import checkpoint, code_identity, machine, provenance
from protocols.records.drift import simulator_drift
from protocols.records.json_files import append_lines
from protocols.records.lock import locked
from protocols.records.schema import DeviceCheck, Origin, Origins
from protocols.records.store import MANIFEST, REPLAY, SESSIONS, Run, create_run
from protocols.running.display import Display
from protocols.running.film import Film
from protocols.running.grid import Grid
from protocols.running.loop import Interrupted, Job, Moment, train
from protocols.spec import Protocol, canonical_json
from suites import catalog as suite_catalog
from suites.workers import Lanes

CHECKED_DECISIONS = 1_000
"""Budget of the agent that is built to be checked: its replay on the device stays small."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
STOPPING = b"\nStopping after the current update. Press Ctrl-C again to stop now.\n"


@dataclass(frozen=True, kw_only=True)
class CohortRequest:
    """Everything one program needs to train its seeds, on this machine or another.

    workers      processes that step environments; 0: none, None: chosen from the number of processors
    film         keep a video of the last evaluation
    tensorboard  write event files beside the records
    wandb        log to Weights & Biases beside the records
    command      the command line that resumes it
    cpus, gpus   what one Ray task takes of a node; gpus may be a fraction, so that several programs share a device
    """

    grid: Grid
    agent: str
    task: str
    seeds: tuple[int, ...]
    device: str = "cpu"
    workers: int | None = None
    film: bool = True
    tensorboard: bool = False
    wandb: bool = False
    command: str = ""
    cpus: float = 1.0
    gpus: float = 1.0

    @property
    def protocol(self) -> Protocol:
        return self.grid.protocol

    @property
    def name(self) -> str:
        label = self.grid.spec(self.agent, self.task, self.seeds[0]).label
        return f"{label} {self.task} seeds {', '.join(map(str, self.seeds))}"

    def options(self) -> Any:
        chosen = agent_catalog.find(self.agent).options(self.protocol.agent_profile)
        return replace(chosen, **self.grid.overrides)


@dataclass(frozen=True, kw_only=True)
class CohortOutcome:
    """How a program ended. `interrupted` means: asked to stop, checkpoint written."""

    request: CohortRequest
    status: Literal["complete", "interrupted"]


@dataclass(kw_only=True)
class Stop:
    """Whether somebody asked to stop, and by which signal."""

    signum: int | None = None
    _before: dict[int, Any] = field(default_factory=dict)

    def requested(self) -> bool:
        return self.signum is not None

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Takes the first SIGTERM or Ctrl-C as a request; the second one acts as it always does. Main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            self._restore()

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()
        with suppress(OSError):  # a closed terminal must not keep the checkpoint from being written
            os.write(2, STOPPING)  # not print: the handler may have interrupted one

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def run_cohort(
    request: CohortRequest,
    *,
    watch: Callable[[Moment], None] = lambda moment: None,
    say: Callable[[str], None] = lambda line: None,
    stop: Stop | None = None,
) -> CohortOutcome:
    """Trains one cohort from where its records stand.

    Raises ValueError, in one line, when it may not start or be resumed: another process works on it, its records or checkpoints
    are damaged or cannot be read, the disk is full. What is recorded stays, and the run can be called again.
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
        opener = _Opener(request)
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
                _check_same(Run(folder), options, request, origins)
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
        if not checkpoint.begun(folders):  # what a process left that was killed before its first checkpoint
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
        for run in runs:
            if run.result() is None:
                append_lines(run.folder / SESSIONS, [provenance.session(request.device, gpu, request.command, code)])
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
    """What an agent of its own says of its fast ways on this GPU; None on a CPU, and for an agent that has none.

    Raises UserError, before anything is recorded, where they do not compute what the plain way does.
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
"""Told how many programs will run at a time, and whether on this machine; ValueError where disk or memory will not do."""


def inline(
    requests: Sequence[CohortRequest],
    display: Display,
    stop: Stop,
    address: str | None,
    room: Room = lambda at_once, here: None,
) -> None:
    """One program after the other, in this process. Stops after the one that was asked to stop."""
    if address is not None:
        raise UserError("--address names a Ray cluster; give --executor ray with it")
    room(1, True)
    for index, request in enumerate(requests):
        if stop.requested():
            return
        run_cohort(request, watch=display.watcher(index), say=display.say, stop=stop)


class _Opener:
    """Opens the environments of one cohort; the first ones are asked for their spaces before the loop takes them over."""

    def __init__(self, request: CohortRequest) -> None:
        self.request = request
        self.waiting: list[Environments] = []
        self.opened: list[Environments] = []

    def open(self, num_envs: int) -> Environments:
        """`num_envs` environments for every seed."""
        ready = [each for each in self.waiting if each.shape[1] == num_envs]
        if ready:
            self.waiting.remove(ready[0])
            return ready[0]
        request, count = self.request, len(self.request.seeds) * num_envs
        make = partial(suite_catalog.make, request.task, **request.protocol.options_of(request.task))
        lanes = Lanes(make, count, workers=default_workers(request.workers, count))
        environments = Environments(lanes, len(request.seeds), num_envs)
        if not self.opened:
            self.waiting.append(environments)
        self.opened.append(environments)
        return environments

    def close(self) -> None:
        for each in self.opened:
            each.close()


def default_workers(asked: int | None, lanes: int) -> int:
    """Worker processes where there are processors to spare: beside the learner, at most one a lane."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0))
    return min(lanes, cores - 1) if cores >= 4 and lanes > 1 else 0


def _check_same(run: Run, options: Any, request: CohortRequest, origins: Origins) -> None:
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
