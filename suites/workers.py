"""Many environments at once: in this process, or in worker processes that write into shared memory.

Both ways run the same code over the same rows, so their results are equal to the bit. gymnasium's AsyncVectorEnv was the
first choice and does not fit: a resumed run steps single lanes (it replays open episodes of unequal length), there are
often more lanes than processors, and its faults are tracebacks of another process.

A worker lives as long as its pipe: when the parent ends, even by SIGKILL, the pipe closes and the worker leaves. Signals
are the parent's affair; a worker ignores Ctrl-C and SIGTERM so that the parent can still write a checkpoint.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import reduction
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from suites import catalog

LEAVE_SECONDS = 10.0


class Stepped(NamedTuple):
    """What N lanes showed; the arrays belong to the caller.

    observation  each [N, ...]
    reward       [N] float64, summed over the action repeat; 0 where a lane was not stepped
    terminated   [N] bool, the task ended
    truncated    [N] bool, the time limit was reached
    """

    observation: dict[str, np.ndarray]
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class WorkerFault(RuntimeError):
    """An environment failed, or a worker process died, while lanes were stepped; the message is one line."""

    exit_code = 5


class Lanes:
    """`count` environments of one task, stepped together. Nothing is reset by itself.

    task     a name of the catalog (then `options` are those of `catalog.make`), or a function that makes an environment;
             with workers it must be picklable
    count    number of lanes N
    workers  0: in this process; otherwise that many processes share the lanes (at most one per lane)
    """

    def __init__(self, task: str | Callable[[], gymnasium.Env], count: int, *, workers: int = 0, **options: Any) -> None:
        if count < 1:
            raise UserError(f"lanes: at least one environment is needed, not {count}")
        if workers < 0:
            raise UserError(f"lanes: workers is 0 (this process) or a number of processes, not {workers}")
        if callable(task) and options:
            raise UserError(f"lanes: options {sorted(options)} go with a task's name; a function makes its environment whole")
        make = task if callable(task) else partial(catalog.make, task, **options)
        self.count = count
        self._team: _Here | _Team = _Team(make, count, min(workers, count)) if workers else _Here(make, range(count))
        self.observation_space, self.action_space = self._team.observation_space, self._team.action_space
        self._asked: list[int] | None = None

    @property
    def environments(self) -> list[gymnasium.Env]:
        """The environments themselves, where they live in this process; empty with workers."""
        return list(self._team.environments.values())

    def reset(self, seeds: Mapping[int, int] | Sequence[int]) -> dict[str, np.ndarray]:
        """Starts new episodes: lane -> seed, or one seed a lane. Returns all lanes' present observations, each [N, ...]."""
        given = dict(seeds) if isinstance(seeds, Mapping) else dict(enumerate(seeds))
        enough = bool(given) if isinstance(seeds, Mapping) else len(given) == self.count
        if not enough or not set(given) <= set(range(self.count)):
            raise UserError(f"lanes: reset takes one seed for each of {self.count} lanes, or lane -> seed, not {seeds!r}")
        self._idle()
        self._team.ask("reset", {lane: int(seed) for lane, seed in given.items()})
        self._team.wait()
        return {key: rows.copy() for key, rows in self._team.rows.observation.items()}

    def step(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> Stepped:
        """One decision in every lane, or in those of the mask [N]; `actions` is [N, A] float32 or [N] integers."""
        self.send(actions, lanes)
        return self.receive()

    def send(self, actions: np.ndarray, lanes: np.ndarray | None = None) -> None:
        """Starts `step`; with workers it runs while this process does something else, until `receive`."""
        self._idle()
        rows = self._team.rows
        if np.shape(actions) != rows.action.shape:
            raise UserError(f"lanes: actions have the shape {rows.action.shape}, not {np.shape(actions)}")
        rows.action[:] = actions
        self._asked = list(range(self.count)) if lanes is None else np.flatnonzero(lanes).tolist()
        self._team.ask("step", dict.fromkeys(self._asked, 0))

    def receive(self) -> Stepped:
        """What the lanes of the last `send` showed."""
        if self._asked is None:
            raise RuntimeError("lanes: receive follows send")
        asked, self._asked = self._asked, None
        self._team.wait()
        rows = self._team.rows
        chosen = np.zeros(self.count, bool)
        chosen[asked] = True
        return Stepped(
            {key: value.copy() for key, value in rows.observation.items()},
            np.where(chosen, rows.reward, 0.0),
            chosen & rows.terminated,
            chosen & rows.truncated,
        )

    def close(self) -> None:
        """Closes every environment and ends the workers; closing twice is allowed."""
        self._team.close()

    def _idle(self) -> None:
        if self._asked is not None:
            raise RuntimeError("lanes: send was called and its receive is still due")


class _Rows:
    """One row a lane of everything that passes between lanes and their caller, in plain or in shared memory."""

    def __init__(
        self,
        count: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space,
        allocate: Callable[[tuple[int, ...], Any], np.ndarray],
    ) -> None:
        self.observation = {
            key: allocate((count, *part.shape), part.dtype)  # type: ignore[misc]
            for key, part in observation_space.spaces.items()
        }
        self.action = allocate((count, *action_space.shape), action_space.dtype)  # type: ignore[misc]
        self.reward = allocate((count,), np.float64)
        self.terminated = allocate((count,), bool)
        self.truncated = allocate((count,), bool)


class _Here:
    """Lanes whose environments live in this process: all of them without workers, some of them inside a worker."""

    def __init__(self, make: Callable[[], gymnasium.Env], lanes: Sequence[int]) -> None:
        self.environments = {lane: make() for lane in lanes}
        first = self.environments[lanes[0]]
        if not isinstance(first.observation_space, spaces.Dict):
            raise UserError(f"lanes: observations are a Dict space, not {first.observation_space}; see suites.conformance")
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.rows = _Rows(len(lanes), self.observation_space, self.action_space, np.zeros)
        self._asked: tuple[str, dict[int, int]] = ("step", {})

    def ask(self, verb: str, lanes: dict[int, int]) -> None:
        """verb "reset" with lane -> seed, or "step" with lane -> 0; the work is done in `wait`."""
        self._asked = (verb, lanes)

    def wait(self) -> None:
        verb, lanes = self._asked
        for lane, seed in lanes.items():
            (self._reset if verb == "reset" else self._step)(lane, seed)

    def _reset(self, lane: int, seed: int) -> None:
        observation, _ = self.environments[lane].reset(seed=seed)
        self._show(lane, observation)

    def _step(self, lane: int, _: int) -> None:
        action = np.array(self.rows.action[lane])
        observation, reward, terminated, truncated, _info = self.environments[lane].step(action if action.ndim else action[()])
        self.rows.reward[lane], self.rows.terminated[lane], self.rows.truncated[lane] = reward, terminated, truncated
        self._show(lane, observation)

    def _show(self, lane: int, observation: Mapping[str, np.ndarray]) -> None:
        for key, rows in self.rows.observation.items():
            rows[lane] = observation[key]

    def close(self) -> None:
        for environment in self.environments.values():
            environment.close()
        self.environments = {}


class _Team:
    """Worker processes that share the lanes; worker w of W holds lanes w, w + W, w + 2W, ..."""

    def __init__(self, make: Callable[[], gymnasium.Env], count: int, workers: int) -> None:
        self.environments: dict[int, gymnasium.Env] = {}
        self._lanes = [list(range(worker, count, workers)) for worker in range(workers)]
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        self._asked: list[int] = []
        self._dismiss = weakref.finalize(self, _dismiss, self._pipes, self._processes)
        context = multiprocessing.get_context("spawn")  # a fork would share the parent's GL and torch threads
        for lanes in self._lanes:
            ours, theirs = context.Pipe()
            # Not daemonic: those get SIGTERM at exit, which a worker ignores; the closing of its pipe is what ends it.
            process = context.Process(target=_serve, args=(theirs, make, lanes), name=f"lanes-{lanes[0]}", daemon=False)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        answers = [self._hear(worker) for worker in range(workers)]
        self.observation_space, self.action_space = answers[0]
        self.shared_bytes = size = _shared_bytes(count, self.observation_space, self.action_space)
        # A file without a name: a killed run leaves nothing behind in /dev/shm.
        with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
            file.truncate(size)
            self.rows = _Rows(count, self.observation_space, self.action_space, _carve(mmap.mmap(file.fileno(), size)))
            for pipe, process in zip(self._pipes, self._processes):
                pipe.send((count, size))
                reduction.send_handle(pipe, file.fileno(), process.pid)
            for worker in range(workers):
                self._hear(worker)

    def ask(self, verb: str, lanes: dict[int, int]) -> None:
        self._asked = []
        for worker, mine in enumerate(self._lanes):
            part = {lane: lanes[lane] for lane in mine if lane in lanes}
            if part:
                try:
                    self._pipes[worker].send((verb, part))
                except (BrokenPipeError, OSError) as error:
                    raise self._death(worker) from error
                self._asked.append(worker)

    def wait(self) -> None:
        asked, self._asked = self._asked, []
        for worker in asked:
            self._hear(worker)

    def _hear(self, worker: int) -> Any:
        """The next answer of a worker; its fault, or its death, is raised here."""
        try:
            kind, answer = self._pipes[worker].recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._death(worker) from error
        if kind == "refused":
            self.close()
            raise UserError(answer)
        if kind == "fault":
            self.close()
            raise WorkerFault(f"worker {worker} of {len(self._lanes)} (lanes {self._lanes[worker]}): {answer}")
        return answer

    def _death(self, worker: int) -> WorkerFault:
        process = self._processes[worker]
        process.join(LEAVE_SECONDS)
        code = process.exitcode
        self.close()
        return WorkerFault(
            f"worker {worker} of {len(self._lanes)} (lanes {self._lanes[worker]}) ended with exit code {code}"
            f"{' (killed; was memory short?)' if code == -signal.SIGKILL else ''}; the run can be resumed"
        )

    def close(self) -> None:
        self._dismiss()


def _dismiss(pipes: list[Connection], processes: list[Any]) -> None:
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(LEAVE_SECONDS)
        if process.is_alive():  # stuck inside a simulator
            process.kill()
            process.join()


def _carve(memory: mmap.mmap) -> Callable[[tuple[int, ...], Any], np.ndarray]:
    """An allocator that hands out consecutive 64-byte-aligned pieces of one block."""
    used = 0

    def allocate(shape: tuple[int, ...], kind: Any) -> np.ndarray:
        nonlocal used
        piece = np.ndarray(shape, kind, buffer=memory, offset=used)
        used += -(-piece.nbytes // 64) * 64
        return piece

    return allocate


def _shared_bytes(count: int, observation_space: spaces.Dict, action_space: spaces.Space) -> int:
    total = 0

    def measure(shape: tuple[int, ...], kind: Any) -> np.ndarray:
        nonlocal total
        piece = np.empty(shape, kind)
        total += -(-piece.nbytes // 64) * 64
        return piece

    _Rows(count, observation_space, action_space, measure)
    return total


class _Report:
    """Sends what went wrong inside to the parent, as one line, in place of a traceback; a closed pipe is a quiet leave."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, Exception) and not isinstance(error, (EOFError, BrokenPipeError, ConnectionResetError)):
            line = " ".join(str(error).split())
            answer = ("refused", line) if isinstance(error, ValueError) else ("fault", f"{type(error).__name__}: {line}")
            self.pipe.send(answer)
        return isinstance(error, Exception)


def _serve(pipe: Connection, make: Callable[[], gymnasium.Env], lanes: list[int]) -> None:
    """A worker's life: make the environments, tell the spaces, map the shared rows, then obey until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with _Report(pipe):
        here = _Here(make, lanes)
        try:
            pipe.send(("spaces", (here.observation_space, here.action_space)))
            count, size = pipe.recv()
            handle = reduction.recv_handle(pipe)
            here.rows = _Rows(count, here.observation_space, here.action_space, _carve(mmap.mmap(handle, size)))
            os.close(handle)
            pipe.send(("ready", None))
            while True:
                here.ask(*pipe.recv())
                here.wait()
                pipe.send(("shown", None))
        finally:
            here.close()
