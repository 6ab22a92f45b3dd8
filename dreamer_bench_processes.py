"""Applies a function to many things in as many processes as there are CPU cores, with the results in order.

Reading a record is pure Python, so threads would wait for each other. Imports only the standard library and
`dreamer_bench_base`.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar, cast

from dreamer_bench_base import UserError

Thing = TypeVar("Thing")
Result = TypeVar("Result")

LEAST = 64
"""With fewer things no process is started, because starting one takes as long as reading about ten runs."""
MOST_AHEAD = 8
"""Most things that a process has at a time, so that it need not wait for this one; one where few things are the whole work."""


def in_order(
    function: Callable[[Thing], Result], things: Sequence[Thing], *, least: int | None = None, processes: int | None = None
) -> Iterator[Result]:
    """The same as `map(function, things)`, with a process for every core if there are at least `least` things (LEAST).

    The processes are forks of this one, so only results have to be sent (pickled), and each gets the next thing when it has
    finished one. A UserError, OSError or MemoryError of `function` is raised here in the order of the things, as in one
    process, and so is a RuntimeError for a thing whose process died; another exception ends its process with a traceback.

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
    helpers: dict[Connection, _Helper] = {}
    answers: dict[int, tuple[bool, Any]] = {}
    waiting = iter(range(len(things)))
    ahead = min(MOST_AHEAD, max(1, len(things) // (4 * count)))
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(function, things, here, there), daemon=True)
            process.start()
            there.close()
            helpers[here] = _Helper(process, deque())
        for _ in range(ahead):
            for here, helper in helpers.items():
                _hand_out(here, helper, waiting)
        at_work = set(helpers)
        for number in range(len(things)):
            while number not in answers:
                for here in cast(list[Connection], wait(at_work)):
                    helper = helpers[here]
                    try:
                        answer = here.recv()
                    except (EOFError, OSError):  # killed, perhaps in the middle of an answer
                        at_work.remove(here)
                        answers |= dict.fromkeys(helper.has, (True, helper.death()))
                        helper.has.clear()
                        continue
                    answers[helper.has.popleft()] = answer
                    _hand_out(here, helper, waiting)
                    if not helper.has:
                        at_work.remove(here)
            failed, result = answers.pop(number)
            if failed:
                raise result
            yield result
    finally:
        for here, helper in helpers.items():
            helper.process.terminate()
            helper.process.join()
            here.close()


class _Helper(NamedTuple):
    """A process, and the numbers of the things that it has, in order."""

    process: Any
    has: deque[int]

    def death(self) -> RuntimeError:
        self.process.join()
        return RuntimeError(f"a process that helped ended early, with code {self.process.exitcode}; was the memory short?")


def _hand_out(here: Connection, helper: _Helper, waiting: Iterator[int]) -> None:
    """Sends a helper the number of the next thing, if one is left. A helper that died is noticed when its answer is read."""
    for number in waiting:
        helper.has.append(number)
        with contextlib.suppress(OSError):
            here.send(number)
        return


def _work(function: Callable[[Any], Any], things: Sequence[Any], here: Connection, there: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    here.close()  # so that the pipe breaks when the parent is gone
    gc.freeze()  # what was there before is not searched for garbage again and again, a fifth of the time of reading records
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            number = there.recv()
            try:
                answer = (False, function(things[number]))
            except (UserError, OSError, MemoryError) as error:
                answer = (True, error)
            there.send(answer)
