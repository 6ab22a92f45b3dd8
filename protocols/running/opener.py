"""Opens the environments of a cohort, in this process or in workers."""

from __future__ import annotations

import os
from functools import partial

from agents.environments import Environments
from protocols.running.cohort import CohortRequest
from suites import catalog as suite_catalog
from suites.lanes import Lanes


class Opener:
    """Opens the environments of one cohort. The first ones give the spaces before the loop takes them over."""

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
    """Worker processes, if there are CPU cores besides the learner's: at most one per lane."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0))
    return min(lanes, cores - 1) if cores >= 4 and lanes > 1 else 0
