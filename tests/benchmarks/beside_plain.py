"""One Dreamer update at the paper's size beside the plain way of writing it, in interleaved rounds on one machine.

    python -m tests.benchmarks.beside_plain --rounds 5

Each of the two lives in a process of its own, because what one tells the allocator would speed up the other. They take turns,
so that a slow minute of the machine meets both. Time is wall time; page faults and the system's share come with it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

ORDER = ("plain", "ours")


def updater(which: str) -> Callable[[], object]:
    import torch

    if which == "ours":
        from tests.benchmarks.test_update import filled

        return filled("paper", 1)[0].update
    from tests.benchmarks.plain_dreamer import PlainDreamer

    plain = PlainDreamer(6)
    data = torch.rand(50, 50, 3, 64, 64) - 0.5, torch.rand(50, 50, 6) * 2 - 1, torch.rand(50, 50)
    return lambda: plain.update(*data)


def used() -> tuple[float, float, int]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime, usage.ru_minflt


def work(which: str, orders: Connection) -> None:
    """One update per order, until None comes; answers wall seconds, user seconds, system seconds and page faults."""
    update = updater(which)
    update()  # not counted: first touch of memory, choice of kernels
    orders.send(None)
    while orders.recv() is not None:
        before, begin = used(), time.perf_counter()
        update()
        seconds = time.perf_counter() - begin
        orders.send((seconds, *(after - then for after, then in zip(used(), before))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    context = multiprocessing.get_context("spawn")
    ends, workers, found = {}, [], {which: [] for which in ORDER}
    for which in ORDER:
        ends[which], theirs = context.Pipe()
        workers.append(context.Process(target=work, args=(which, theirs), daemon=True))
        workers[-1].start()
        ends[which].recv()  # warm before the next one starts
    for number in range(rounds):
        for which in ORDER:
            ends[which].send(number)
            found[which].append(ends[which].recv())
        times = ", ".join(f"{which} {found[which][-1][0]:.2f} s" for which in ORDER)
        print(f"round {number + 1} of {rounds}: {times}", flush=True)
    for which in ORDER:
        ends[which].send(None)
    medians = {which: [statistics.median(column) for column in zip(*found[which])] for which in ORDER}
    print("| one update, medians | wall, s | user, s | system, s | page faults |\n| --- | --- | --- | --- | --- |")
    for which in ORDER:
        wall, user, system, faults = medians[which]
        print(f"| {which} | {wall:.2f} | {user:.2f} | {system:.2f} | {faults:,.0f} |")
    print(f"ours beside plain: {medians['plain'][0] / medians['ours'][0]:.2f}x")


if __name__ == "__main__":
    main()
