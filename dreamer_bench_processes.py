"""One function over many things in as many processes as there are cores, with the results in order.

Reading a record is Python from end to end, so threads would wait for each other. Imports the standard library and
`dreamer_bench_base` only.
"""

from __future__ import annotations

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
"""Fewer things are not worth a process: starting one takes as long as reading some ten runs."""


def in_order(
    function: Callable[[Thing], Result], things: Sequence[Thing], *, least: int | None = None, processes: int | None = None
) -> Iterator[Result]:
    """The same as `map(function, things)`, by a process for every core where there are at least `least` things (LEAST).

    The processes are copies of this one, so only results have to be sent (pickled). A UserError or OSError of `function` is
    raised here when its turn comes, as in one process; another exception ends its process with a traceback.

    processes  how many; as many as the cores that this process may use by default
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that asked; it ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    reader.close()  # so that the pipe breaks when the other end is gone, however it went
    for thing in things:
        try:
            answer = (False, function(thing))
        except (UserError, OSError) as error:
            answer = (True, error)
        try:
            writer.send(answer)
        except BrokenPipeError:
            return
