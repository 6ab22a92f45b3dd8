"""Runs a measurement in a process of its own. Ctrl-C ends that process in silence, also while it imports."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_a_process(context: BaseContext, function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)`, computed in another process.

    SIGINT is blocked while that process (and the server that forks it) starts, so both never see a Ctrl-C and print no
    traceback of a half-done import; this process kills them instead. Raises BrokenProcessPool if the process was killed from
    outside.
    """
    resource_tracker.ensure_running()  # its start unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pool = ProcessPoolExecutor(1, mp_context=context)
    try:
        answer = pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        return answer.result()
    except KeyboardInterrupt:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown()
