"""Checks that an agent follows the contract of `agents.api`, for our agents and those of other packages. NumPy only; knows no
suite.

All checks watch the agent from outside: two agents get the same stream of observations, and their actions are compared one by
one where they must agree. The caller provides environments as `make(task, **options)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np

from agents.catalog import AgentEntry
from agents.conformance.claims import CLAIMS
from agents.conformance.laboratory import SEEDS, Laboratory
from agents.conformance.side_by_side import together
from agents.conformance.watched import Watched

Make = Callable[..., gymnasium.Env]

KINDS = (
    {"pixels": False, "discrete": False},
    {"pixels": True, "discrete": False},
    {"pixels": False, "discrete": True},
    {"pixels": True, "discrete": True},
)
"""Options of the probe for the checks: every kind of observation and action that a suite can have."""

PROBE = "probe_action"
TRAINED_PROBES = ("probe_one_step", "probe_two_step", "probe_action", "probe_terminal")
ENOUGH_OF_THE_OPTIMUM = 0.9
SHORT_SCHEDULE = {"prefill_env_steps": 24, "pretrain_updates": 1, "updates": 1, "update_every_env_steps": 8}
"""Schedule for agents whose options have these fields; other agents run as they are."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim about an agent, whether it holds, and what was observed."""

    claim: str
    passed: bool
    detail: str = ""


def check_agent(entry: AgentEntry, *, make: Make, probes: bool = False) -> list[Finding]:
    """All claims about an agent, passed or not.

    make    `suites.catalog.make`, which makes environments by name
    probes  also train it on four probes with its "quick" profile (minutes), and require 90% of the known optimum
    """
    return list(findings(entry, make=make, probes=probes))


def findings(entry: AgentEntry, *, make: Make, probes: bool = False) -> Iterator[Finding]:
    """The same findings one by one, as soon as each is known. Raises AgentError for an exception of the agent."""
    with Watched(entry) as watched:
        yield from _findings(entry, make, probes, watched)


def _findings(entry: AgentEntry, make: Make, probes: bool, watched: Watched) -> Iterator[Finding]:
    paper = entry.options("paper")
    frozen = dataclasses.is_dataclass(paper) and getattr(type(paper), "__dataclass_params__").frozen  # noqa: B009
    yield _finding("its options are a frozen dataclass", "" if frozen else f"the profile 'paper' is {type(paper).__name__}")
    if not frozen:
        return
    options = _short(_quick(entry))
    accepted = []
    for kind in KINDS:
        environment = make(PROBE, **kind)
        reason = entry.refuses(options, environment.observation_space, environment.action_space)  # type: ignore[arg-type]
        if reason is None:
            accepted.append(kind)
        else:
            fault = "" if isinstance(reason, str) and reason and "\n" not in reason else f"refuses() returned {reason!r}"
            yield _finding(f"{_name(kind)}: refused with a reason in one line", fault, seen=str(reason))
        environment.close()
    yield _finding("it plays at least one kind of task", "" if accepted else "it refuses every kind of space")
    for kind in accepted:
        lab = Laboratory(entry, options, lambda kind=kind: make(PROBE, **kind))  # type: ignore[misc]
        for claim, check in CLAIMS.items():
            watched.claim = f"{_name(kind)}: {claim}"
            yield _finding(f"{_name(kind)}: {claim}", check(lab))
        watched.claim = f"{_name(kind)}: it learns"
        taken = lab.gradient_steps()
        learned = f"{taken} gradient steps were taken" if taken else "no gradient step was taken, so learning was not checked"
        yield _finding(f"{_name(kind)}: it was checked while learning", "", seen=learned)
    if probes:
        for name in TRAINED_PROBES:
            watched.claim = f"{name}: reaches {ENOUGH_OF_THE_OPTIMUM:.0%} of the optimum"
            yield _trained(entry, name, make)


def _trained(entry: AgentEntry, name: str, make: Make, decisions: int = 3_000, episodes: int = 8) -> Finding:
    """Trains one seed on a probe and plays it without exploration."""
    environment = make(name)
    optimum, options = environment.unwrapped.optimal_return, _quick(entry)  # type: ignore[attr-defined]
    reason = entry.refuses(options, environment.observation_space, environment.action_space)  # type: ignore[arg-type]
    environment.close()
    if reason is not None:
        return _finding(f"{name}: refused", "", seen=reason)
    lab = Laboratory(entry, options, lambda: make(name))
    follower = lab.follower(seeds=SEEDS[:1])
    together(lab.stream(seeds=SEEDS[:1]), [follower], decisions)
    stream, carry = lab.stream(seeds=SEEDS[:1], num_envs=episodes, purpose=1), follower.agent.initial(episodes, stream=1)
    going, total = np.ones(stream.shape, bool), 0.0
    while going.any():
        action, carry = follower.agent.act(carry, stream.step, explore=False)
        step = stream.advance(action)
        total += float(step.reward[going].sum())
        going &= ~step.is_last
        stream.restart(step)
    reached = f"{total / episodes:.2f} of {optimum:.2f} after {decisions:,} decisions"
    enough = total / episodes >= ENOUGH_OF_THE_OPTIMUM * optimum
    return Finding(claim=f"{name}: reaches {ENOUGH_OF_THE_OPTIMUM:.0%} of the optimum", passed=enough, detail=reached)


def _quick(entry: AgentEntry) -> Any:
    """The "quick" options if the agent has them, else the paper's."""
    try:
        return entry.options("quick")
    except ValueError:
        return entry.options("paper")


def _short(options: Any) -> Any:
    known = {field.name for field in dataclasses.fields(options)}  # an agent may have some of them only, as examples/sb3_sac
    return replace(options, **{name: value for name, value in SHORT_SCHEDULE.items() if name in known})


def _name(kind: dict[str, bool]) -> str:
    return f"{'pixels' if kind['pixels'] else 'vectors'}, {'discrete' if kind['discrete'] else 'continuous'} actions"


def _finding(claim: str, fault: str, seen: str = "") -> Finding:
    return Finding(claim=claim, passed=not fault, detail=fault or seen)
