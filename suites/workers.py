"""Lanes in worker processes that write into shared memory.

gymnasium's AsyncVectorEnv is not suitable: a resumed run steps single lanes (it replays open episodes of unequal length), there
are often more lanes than CPU cores, and its errors are tracebacks of another process.

A worker ends with its pipe: when the parent ends, even by SIGKILL, the pipe closes and the worker exits. A worker ignores
Ctrl-C and SIGTERM, so that the parent can still write a checkpoint.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import tempfile
import weakref
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from suites.in_process import InProcess, Rows

LEAVE_SECONDS = 10.0


class WorkerFault(RuntimeError):
    """An environment failed or a worker process died during a step; the message is one line."""

    exit_code = 5


class Workers:
    """Worker processes that share the lanes; worker w of W has lanes w, w + W, w + 2W, ..."""

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
            # Not daemonic, because daemons get SIGTERM at exit, which a worker ignores. The closed pipe ends it.
            process = context.Process(target=_serve, args=(theirs, make, lanes), name=f"lanes-{lanes[0]}", daemon=False)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        answers = [self._hear(worker) for worker in range(workers)]
        self.observation_space, self.action_space = answers[0]
        self.shared_bytes = size = _shared_bytes(count, self.observation_space, self.action_space)
        # A file without a name, so that a killed run leaves nothing in /dev/shm.
        with tempfile.TemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
            file.truncate(size)
            self.rows = Rows(count, self.observation_space, self.action_space, _carve(mmap.mmap(file.fileno(), size)))
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
        """The next answer of a worker. Raises WorkerFault if it failed or died."""
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
        if process.is_alive():  # stuck in a simulator
            process.kill()
            process.join()


def _carve(memory: mmap.mmap) -> Callable[[tuple[int, ...], Any], np.ndarray]:
    """An allocator of consecutive 64-byte-aligned pieces of one block."""
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

    Rows(count, observation_space, action_space, measure)
    return total


class _Report:
    """Sends an error inside it to the parent as one line instead of a traceback. A closed pipe is no error."""

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
    """The main function of a worker: makes the environments, sends the spaces, maps the shared rows, and serves requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with _Report(pipe):
        here = InProcess(make, lanes)
        try:
            pipe.send(("spaces", (here.observation_space, here.action_space)))
            count, size = pipe.recv()
            handle = reduction.recv_handle(pipe)
            here.rows = Rows(count, here.observation_space, here.action_space, _carve(mmap.mmap(handle, size)))
            os.close(handle)
            pipe.send(("ready", None))
            while True:
                here.ask(*pipe.recv())
                here.wait()
                pipe.send(("shown", None))
        finally:
            here.close()
