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
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from dreamer_bench_base import UserError

Thing = TypeVar("Thing")
Result = TypeVar("Result")

LEAST = 64
"""With fewer things no process is started, because starting one takes as long as reading about ten runs."""


def in_order(
    function: Callable[[Thing], Result], things: Sequence[Thing], *, least: int | None = None, processes: int | None = None
) -> Iterator[Result]:
    """The same as `map(function, things)`, with a process for every core if there are at least `least` things (LEAST).

    The processes are forks of this one, so only results have to be sent (pickled). A UserError or OSError of `function` is
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
    workers: list[Any] = []
    answers: list[Connection] = []
    try:
        for first in range(count):
            reader, writer = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(function, things[first::count], reader, writer), daemon=True)
            worker.start()
            writer.close()
            workers.append(worker)
            answers.append(reader)
        for number in range(len(things)):
            try:
                failed, answer = answers[number % count].recv()
            except EOFError:
                workers[number % count].join()
                code = workers[number % count].exitcode
                raise RuntimeError(f"a process that helped ended early, with code {code}; was the memory short?") from None
            if failed:
                raise answer
            yield answer
    finally:
        for worker, reader in zip(workers, answers, strict=True):
            worker.terminate()
            worker.join()
            reader.close()


def _work(function: Callable[[Any], Any], things: Sequence[Any], reader: Connection, writer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    reader.close()  # so that the pipe breaks when the other end is closed
    gc.freeze()  # what was there before is not searched for garbage again and again, a fifth of the time of reading records
    for thing in things:
        try:
            answer = (False, function(thing))
        except (UserError, OSError) as error:
            answer = (True, error)
        try:
            writer.send(answer)
        except BrokenPipeError:
            return
