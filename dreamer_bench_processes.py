"""Applies a function to many things in as many processes as there are CPU cores, with the results in order.

Reading a record is pure Python, so threads would wait for each other. Imports only the standard library and
`dreamer_bench_base`.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from dreamer_bench_base import UserError

Thing = TypeVar("Thing")
Result = TypeVar("Result")

LEAST = 64
"""With fewer things no process is started, because starting one takes as long as reading about ten runs."""


def in_order(
    function: Callable[[Thing], Result], things: Sequence[Thing], *, least: int | None = None, processes: int | None = None
) -> Iterator[Result]:
    """The same as `map(function, things)`, with a process for every core if there are at least `least` things (LEAST).

    The processes are forks of this one, so only results have to be sent (pickled), and each takes the next thing when it has
    finished one. A UserError or OSError of `function` is
    raised here in the order of the things, as in one process; another exception ends its process with a traceback.

    processes  number of processes; by default the number of cores that this process may use
    """
    count = min(len(things), processes or len(os.sched_getaffinity(0)))
    if (
        count < 2
        or len(things) < (LEAST if least is None else least)
        or sys.platform != "linux"
        or multiprocessing.current_process().daemon
    ):
        yield from map(function, things)
        return
    context = multiprocessing.get_context("fork")
    turn = context.Value("Q", count)  # the next thing that nobody has: each process begins with a thing of its own
    workers: dict[Connection, Any] = {}
    answers: dict[int, tuple[bool, Any]] = {}
    try:
        for first in range(count):
            reader, writer = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(function, things, first, turn, reader, writer), daemon=True)
            worker.start()
            writer.close()
            workers[reader] = worker
        at_work = set(workers)
        for number in range(len(things)):
            while number not in answers:
                for ready in cast(list[Connection], wait(at_work)):
                    try:
                        which, failed, answer = ready.recv()
                        answers[which] = failed, answer
                    except EOFError:
                        at_work.remove(ready)
                        workers[ready].join()
                        if (code := workers[ready].exitcode) != 0:
                            raise RuntimeError(
                                f"a process that helped ended early, with code {code}; was the memory short?"
                            ) from None
            failed, answer = answers.pop(number)
            if failed:
                raise answer
            yield answer
    finally:
        for reader, worker in workers.items():
            worker.terminate()
            worker.join()
            reader.close()


def _work(
    function: Callable[[Any], Any], things: Sequence[Any], number: int, turn: Any, reader: Connection, writer: Connection
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    reader.close()  # so that the pipe breaks when the other end is closed
    gc.freeze()  # what was there before is not searched for garbage again and again, a fifth of the time of reading records
    while number < len(things):
        try:
            failed, answer = False, function(things[number])
        except (UserError, OSError) as error:
            failed, answer = True, error
        try:
            writer.send((number, failed, answer))
        except BrokenPipeError:
            return
        with turn.get_lock():
            number = turn.value
            turn.value += 1
