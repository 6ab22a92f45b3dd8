"""How fast one program of an agent is on this device, part by part: the agent's side of `dreamer-bench bench`.

It needs spaces and options, not environments: the agent gets random observations, so that its cost does not include the
simulator's. A GPU works ahead of Python, so every timing waits for it at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from agents import catalog
from agents.api import AgentContext
from agents.drawn import Drawn
from agents.learning.model_based import ModelBasedAgent
from agents.roofline import Clock, product_flop_per_second, work_of

WAYS = {
    "eager": {"compile": False, "capture": False},
    "compiled": {"compile": True, "capture": False},
    "captured": {"compile": False, "capture": True},
    "compiled and captured": {"compile": True, "capture": True},
}
"""Way to run an update -> the options that select it. Capturing needs a GPU."""

MOST_CALLS = 200


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Median seconds of one call, for the whole program of S seeds.

    usual                the way that the options select by default on this device
    updates              way -> one update of every group, with batch and noise; a way that could not run is missing
    failures             way -> why it could not run
    first_calls          way -> seconds of the first update: compiling, capturing, warming up
    act, evaluate        one decision in every environment of every seed, with and without exploration
    stages               part of an eager update -> seconds
    work                 part of an eager update -> (FLOP, bytes), as `agents.roofline` counts them
    product_flop_per_second  rate of one large matrix product in the same process; None if no update was timed
    calls                way -> number of updates in the median, without the first
    device_memory_bytes  most memory used on the GPU; None on a CPU
    """

    usual: str = "eager"
    updates: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    first_calls: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    act: float
    evaluate: float
    stages: dict[str, float] = field(default_factory=dict)
    work: dict[str, tuple[float, float]] = field(default_factory=dict)
    product_flop_per_second: float | None = None
    device_memory_bytes: int | None = None


def machine(device: str) -> dict[str, Any]:
    """torch, its libraries, and the device, for the record."""
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
    if device.startswith("cuda"):
        found |= {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
            "gpu_memory_bytes": torch.cuda.get_device_properties(device).total_memory,
        }
    return found


def default_ways(device: str) -> tuple[str, ...]:
    """The ways to measure by default: all on a GPU; only eager on a CPU, where compiling takes minutes."""
    return tuple(WAYS) if device.startswith("cuda") else ("eager",)


def measure_speed(name: str, options: Any, context: AgentContext, *, seconds: float, ways: Sequence[str]) -> Speed:
    """Times one program. Every timing lasts `seconds`, or two calls if they take longer.

    For an agent that is not a `ModelBasedAgent`, it times decisions only.
    """
    device = context.device
    build = partial(catalog.find(name).build, context=context)
    plain: Any = build(options)
    updates: dict[str, float] = {}
    failures: dict[str, str] = {}
    first_calls: dict[str, float] = {}
    calls: dict[str, int] = {}
    stages: dict[str, float] = {}
    work: dict[str, tuple[float, float]] = {}
    product: float | None = None
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    decisions: tuple[float, float] | None = None
    for way in ways if isinstance(plain, ModelBasedAgent) else ():
        if WAYS[way]["capture"] and not device.startswith("cuda"):
            failures[way] = "a CUDA graph needs a GPU"
            continue
        agent: Any = build(replace(options, **WAYS[way]))
        feed(agent)
        try:
            first_calls[way], times = timed(agent.update, device, seconds)
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
            failures[way] = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:160]}"
            continue
        updates[way], calls[way] = median(times), len(times)
        if way == "eager":
            stages = stages_of(agent, seconds)
            product, work = product_flop_per_second(device, seconds), work_of_update(agent)
        if decisions is None or WAYS[way]["capture"]:
            decisions = _decisions(agent, context, seconds)
        del agent
    if decisions is None:
        decisions = _decisions(plain, context, seconds)
    del plain
    memory = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
    usual = "captured" if device.startswith("cuda") else "eager"
    return Speed(
        usual=usual,
        updates=updates,
        failures=failures,
        first_calls=first_calls,
        calls=calls,
        act=decisions[0],
        evaluate=decisions[1],
        stages=stages,
        work=work,
        product_flop_per_second=product,
        device_memory_bytes=memory,
    )


def timed(call: Callable[[], Any], device: str, seconds: float) -> tuple[float, list[float]]:
    """(seconds of the first call, seconds of each later call until the time is up: at least one)."""

    def once() -> float:
        started = time.perf_counter()
        call()
        wait(device)
        return time.perf_counter() - started

    wait(device)
    first = once()
    found: list[float] = []
    while not found or (first + sum(found) < seconds and len(found) < MOST_CALLS):
        found.append(once())
    return first, found


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def feed(agent: ModelBasedAgent) -> None:
    """Fills the replay with two random episodes per environment, so that updates are possible; `learn` makes none."""
    Drawn(agent.context).feed(agent.observe, 2 * agent.schedule.batch_length, episodes=2)
    agent.next_update_env_steps = agent.context.budget_env_steps


def stages_of(agent: ModelBasedAgent, seconds: float) -> dict[str, float]:
    """Seconds of each part of an eager update; the world model gets the learner's time minus that of the other parts."""
    device = agent.context.device
    spent: dict[str, list[float]] = {}

    @contextmanager
    def clock(part: str) -> Iterator[None]:
        wait(device)
        started = time.perf_counter()
        yield
        wait(device)
        spent.setdefault(part, []).append(time.perf_counter() - started)

    before, agent.learner.clock = agent.learner.clock, clock
    _, times = timed(agent.update, device, seconds)
    agent.learner.clock = before
    found = {name: sum(parts) / (1 + len(times)) for name, parts in spent.items()}
    found["world model"] = found.pop("learner") - found.get("behaviour", 0.0) - found["optimisers"]
    return found


def work_of_update(agent: ModelBasedAgent) -> dict[str, tuple[float, float]]:
    """(FLOP, bytes) of each part of one update."""

    def update(clock: Clock) -> None:
        before, agent.learner.clock = agent.learner.clock, clock
        agent.update()
        agent.learner.clock = before

    found = work_of(update)
    whole, others = found.pop("learner"), [found.get("behaviour", (0.0, 0.0)), found["optimisers"]]
    found["world model"] = (whole[0] - sum(flop for flop, _ in others), whole[1] - sum(moved for _, moved in others))
    return found


def _decisions(agent: Any, context: AgentContext, seconds: float) -> tuple[float, float]:
    """One decision with exploration, and one without."""
    step, found = Drawn(context).step(), []
    for explore in (True, False):
        carry = agent.initial(context.num_envs)
        # A decision ends on the CPU, so there is nothing to wait for.
        _, times = timed(partial(agent.act, carry, step, explore=explore), context.device, seconds)
        found.append(median(times))
    return found[0], found[1]


def _driver() -> str | None:
    """The version of the GPU's kernel driver, as the driver reports it."""
    path = Path("/proc/driver/nvidia/version")
    if not path.exists():
        return None
    return next((word for word in path.read_text().split() if word[0].isdigit() and "." in word), None)
