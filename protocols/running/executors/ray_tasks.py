"""One Ray task per program: on this machine, or on a cluster whose nodes share the runs folder (extra `cluster`).

A task only calls `launch.run_cohort`, so its records are those of the inline executor. When a worker or a node dies, Ray starts
the task again, and the records and checkpoints in the shared folder say where to resume. The driver gets its progress messages
through a small actor on its own node; a program can continue without this actor.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dreamer_bench_base import UserError
from protocols.records.lock import is_locked
from protocols.running.cohort import CohortOutcome, CohortRequest
from protocols.running.display import Display
from protocols.running.job import Moment
from protocols.running.launch import Room, run_cohort
from protocols.running.stop import Stop

MAX_RETRIES = 100
"""Most lost workers or nodes per program. A program that resumes from its checkpoint loses little each time."""
POLL_SECONDS, CONNECT_SECONDS = 0.5, 10.0
LOCK_SECONDS = 120.0
"""How long a restarted program waits until its lost predecessor has really ended."""


def execute(
    requests: Sequence[CohortRequest],
    display: Display,
    stop: Stop,
    address: str | None,
    room: Room = lambda at_once, here: None,
) -> None:
    """Trains every cohort as a Ray task. Returns when all have ended, or have written checkpoints after a request to stop.

    address  address of a running cluster; None starts Ray on this machine
    room     called with the number of programs that run at a time, because their replays share one runs folder
    Raises ValueError for the first program that could not be trained, after the others have ended.
    """
    ray = _ray()
    was_running = ray.is_initialized()
    if not was_running:
        _connect(ray, address)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room(at_once(requests, nodes), address is None and not was_running)
        fault = _no_node(requests, nodes)
        if fault is not None and address is None and not was_running:
            raise UserError(fault)
        if fault is not None:
            display.say(f"{fault}; waiting until there is one")
        _Driver(ray, requests, display, stop).run()
    finally:
        if not was_running:
            ray.shutdown()


def resources(request: CohortRequest, *, gpus_there: bool) -> dict[str, float]:
    """The resources of a task on its node. "auto" takes a share of a GPU if the cluster has any; "cuda" waits for one."""
    wants_gpu = request.device.startswith("cuda") or (request.device == "auto" and gpus_there)
    return {"num_cpus": request.cpus, "num_gpus": request.gpus if wants_gpu else 0.0}


def at_once(requests: Sequence[CohortRequest], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many of these programs, which all need the same resources, the nodes run at a time. At least 1: nodes may join."""
    gpus_there = any(node.get("GPU", 0) > 0 for node in nodes)
    needs = resources(requests[0], gpus_there=gpus_there)
    kinds = [(kind, need) for kind, need in (("CPU", needs["num_cpus"]), ("GPU", needs["num_gpus"])) if need > 0]
    if not kinds:
        return len(requests)
    places = sum(min(int(node.get(kind, 0) // need) for kind, need in kinds) for node in nodes)
    return min(max(places, 1), len(requests))


def _no_node(requests: Sequence[CohortRequest], nodes: Sequence[Mapping[str, float]]) -> str | None:
    """A line about a program that fits on no node, even an empty one; None if all fit."""
    gpus_there = any(node.get("GPU", 0) > 0 for node in nodes)
    for request in requests:
        needs = resources(request, gpus_there=gpus_there)
        if not any(node.get("CPU", 0) >= needs["num_cpus"] and node.get("GPU", 0) >= needs["num_gpus"] for node in nodes):
            room = f"{needs['num_cpus']:g} CPUs and {needs['num_gpus']:g} GPUs"
            return f"no node has {room} for {request.name} (--device {request.device})"
    return None


class _Driver:
    """Starts the tasks, shows their progress, collects their outcomes."""

    def __init__(self, ray: Any, requests: Sequence[CohortRequest], display: Display, stop: Stop) -> None:
        self.ray, self.display, self.stop = ray, display, stop
        self.watchers = [display.watcher(index) for index in range(len(requests))]
        node = ray.get_runtime_context().get_node_id()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        self.board = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here).remote()
        gpus = ray.cluster_resources().get("GPU", 0) > 0
        self.tasks = {
            ray.remote(_train)
            .options(
                name=request.name,
                **resources(request, gpus_there=gpus),
                max_retries=MAX_RETRIES,
                retry_exceptions=False,
            )
            .remote(_absolute(request), index, self.board): request
            for index, request in enumerate(requests)
        }

    def run(self) -> None:
        """Runs until every task has ended."""
        pending, failure, asked = list(self.tasks), None, False
        while pending:
            ended, pending = self.ray.wait(pending, num_returns=1, timeout=POLL_SECONDS)
            self._show()
            for task in ended:
                fault = self._fault(task)
                if fault is not None:
                    self.display.say(f"{self.tasks[task].name}: {fault}")
                    failure = failure or fault
            if self.stop.requested() and not asked:
                self.board.stop.remote()
                asked = True
        self._show()
        if failure is not None:
            raise UserError(str(failure))

    def _show(self) -> None:
        moments, lines = self.ray.get(self.board.drain.remote())
        for index, moment in moments:
            self.watchers[index](moment)
        for line in lines:
            self.display.say(line)

    def _fault(self, task: Any) -> Exception | None:
        """The user's error that ended a task; raises any other exception."""
        exceptions = self.ray.exceptions
        try:
            self.ray.get(task)
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, ValueError):
                return error.cause
            raise
        except (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError) as error:
            again = self.tasks[task].command
            return ValueError(f"lost more than {MAX_RETRIES} times ({type(error).__name__}); to resume: {again}")
        return None


class _Board:
    """Messages from programs to the driver, and whether programs should stop. A Ray actor."""

    def __init__(self) -> None:
        self.moments: list[tuple[int, Moment]] = []
        self.lines: list[str] = []
        self.stopping = False

    def tell(self, index: int, moment: Moment) -> None:
        self.moments = [kept for kept in self.moments if kept[0] != index or kept[1].lines] + [(index, moment)]

    def say(self, line: str) -> None:
        self.lines.append(line)

    def drain(self) -> tuple[list[tuple[int, Moment]], list[str]]:
        found = self.moments, self.lines
        self.moments, self.lines = [], []
        return found

    def stop(self) -> None:
        self.stopping = True

    def asked_to_stop(self) -> bool:
        return self.stopping


class _AskedOverThere(Stop):
    """Asks the driver's board twice a second, in a thread, because Ray lends out the cores of a task that waits itself.

    If the board is gone, the program stops, because nobody waits for it.
    """

    def __init__(self, board: Any) -> None:
        super().__init__()
        self.board, self.answer = board, False
        self.answered, self.ended = threading.Event(), threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def requested(self) -> bool:
        self.answered.wait()
        return self.answer

    def _ask(self) -> None:
        import ray

        while not (self.answer or self.ended.is_set()):
            try:
                self.answer = ray.get(self.board.asked_to_stop.remote())
            except ray.exceptions.RayError:
                self.answer = True
            self.answered.set()
            self.ended.wait(POLL_SECONDS)


def _train(request: CohortRequest, index: int, board: Any) -> CohortOutcome:
    """The task: trains one cohort on its node."""
    from agents.device import resolve_device

    stop = _AskedOverThere(board)
    try:
        if stop.requested():
            return CohortOutcome(request=request, status="interrupted")
        _wait_for_predecessor(request)
        return run_cohort(
            replace(request, device=resolve_device(request.device)),
            watch=lambda moment: board.tell.remote(index, replace(moment, films=())),
            say=lambda line: board.say.remote(line),
            stop=stop,
        )
    finally:
        stop.ended.set()  # Ray keeps the process for the next task


def _wait_for_predecessor(request: CohortRequest) -> None:
    """Waits until the locks are free. The process on a lost node may live a little longer and still hold them."""
    folders = [request.grid.folder(request.grid.spec(request.agent, request.task, seed)) for seed in request.seeds]
    deadline = time.monotonic() + LOCK_SECONDS
    while any(is_locked(folder) for folder in folders) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _absolute(request: CohortRequest) -> CohortRequest:
    """The request with absolute paths, because workers have another working directory."""
    return replace(request, grid=replace(request.grid, root=request.grid.root.absolute()))


def _connect(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _check_address(address)
    options: dict[str, Any] = {} if address is not None else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **options)
    except (ConnectionError, TimeoutError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"no Ray cluster answers at {address or 'this machine'} ({reason}); try `ray start --head`") from None


def _check_address(address: str | None) -> None:
    """Tries to connect to the port, because Ray would try for minutes."""
    if address in (None, "auto", "local"):
        return
    assert address is not None
    host, colon, port = address.rpartition(":")
    if "/" in address or not colon or not port.isdigit():
        raise UserError(f"--address expects auto or host:port of a cluster this machine belongs to, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(f"no Ray cluster answers at {address} ({error.strerror or error}); try `ray start --head`") from None


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise UserError("--executor ray needs the extra `cluster`: pip install 'dreamer-bench[cluster]'") from None
    return ray
