"""Does an agent keep the contract of `agents.api`? For us and for packages of others. NumPy only; knows no suite.

Everything is checked by watching: two agents are driven side by side through the same stream of observations, and whatever
they are meant to agree on is compared action by action. Environments come from the caller as `make(task, **options)`.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.api import Agent, AgentContext
from agents.catalog import AgentEntry
from agents.conformance.side_by_side import Follower, Stream, together
from agents.conformance.watched import Watched

Make = Callable[..., gymnasium.Env]

KINDS = ({"pixels": False, "discrete": False}, {"pixels": True, "discrete": False}, {"pixels": False, "discrete": True},
         {"pixels": True, "discrete": True})  # fmt: skip
"""Options of the probe that the claims are checked on: every kind of observation and action a suite may have."""
PROBE = "probe_action"
TRAINED_PROBES = ("probe_one_step", "probe_two_step", "probe_action", "probe_terminal")
ENOUGH_OF_THE_OPTIMUM = 0.9
SEEDS = (3, 4)
DECISIONS = 48
"""Played for each claim: six episodes of the probe; the shortened schedule learns in them."""
SHORT_SCHEDULE = {"prefill_env_steps": 24, "pretrain_updates": 1, "updates": 1, "update_every_env_steps": 8}
"""For options that have these fields; other agents are taken as they are."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim about an agent, whether it held, and what was seen."""

    claim: str
    passed: bool
    detail: str = ""


def check_agent(entry: AgentEntry, *, make: Make, probes: bool = False) -> list[Finding]:
    """Every claim about an agent, passed or not.

    make    `suites.catalog.make`: environments by name
    probes  also train it on four probes with its "quick" profile (minutes), and ask for 90% of the known optimum
    """
    return list(findings(entry, make=make, probes=probes))


def findings(entry: AgentEntry, *, make: Make, probes: bool = False) -> Iterator[Finding]:
    """The same, each as soon as it is known. Raises AgentError for an exception of the agent."""
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
        lab = _Laboratory(entry, options, lambda kind=kind: make(PROBE, **kind))  # type: ignore[misc]
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


# ---------------------------------------------------------------- claims: each returns what is wrong, or ""


def _actions_fit(lab: _Laboratory) -> str:
    for num_envs in (1, 3):
        stream, agent = lab.stream(num_envs=num_envs), lab.build(num_envs=num_envs)
        carry = agent.initial(num_envs)
        for explore in (True, False):
            action, carry = agent.act(carry, stream.step, explore=explore)
            fault = _misfit(action, stream.shape, stream.action_space)
            if fault:
                return f"{fault} (num_envs={num_envs}, explore={explore})"
    return ""


def _acting_is_pure(lab: _Laboratory) -> str:
    stream, follower = lab.stream(), lab.follower()
    together(stream, [follower], DECISIONS)
    agent, carry, step = follower.agent, follower.carry, stream.step
    for explore in (True, False):
        (first, after_first), (second, after_second) = (agent.act(carry, step, explore=explore) for _ in range(2))
        if not np.array_equal(first, second):
            return f"the same carry and observation gave other actions the second time (explore={explore})"
        follow = [agent.act(after, step, explore=explore)[0] for after in (after_first, after_second)]
        if not np.array_equal(follow[0], follow[1]):
            return f"the same carry and observation gave another next carry the second time (explore={explore})"
    return ""


def _evaluation_leaves_no_trace(lab: _Laboratory) -> str:
    stream, followers = lab.stream(), [lab.follower(), lab.follower()]
    fault = together(stream, followers, DECISIONS // 2)
    carry, evaluation = followers[1].agent.initial(2, stream=1), lab.stream(num_envs=2, purpose=1)
    for _ in range(5):
        action, carry = followers[1].agent.act(carry, evaluation.step, explore=False)
        evaluation.advance(action)
    return fault or together(stream, followers, DECISIONS // 2)


def _a_new_episode_forgets(lab: _Laboratory) -> str:
    agent = lab.follower().agent
    carries = []
    for purpose in (1, 2):
        other, carry = lab.stream(purpose=purpose), agent.initial(1, stream=1)
        for _ in range(4):
            _, carry = agent.act(carry, other.step, explore=False)
            other.advance(np.full_like(other.no_action(), purpose % 2))
        carries.append(carry)
    first = lab.stream(purpose=3).step
    actions = [agent.act(carry, first, explore=False)[0] for carry in carries]
    return "" if np.array_equal(actions[0], actions[1]) else "after is_first an action still depends on what was seen before"


def _same_seed_same_run(lab: _Laboratory) -> str:
    return together(lab.stream(), [lab.follower(), lab.follower()], DECISIONS)


def _seeds_matter(lab: _Laboratory) -> str:
    stream, follower = lab.stream(), lab.follower()
    seen: list[np.ndarray] = []
    together(stream, [follower], DECISIONS, seen=seen)
    alike = all(np.array_equal(action[0], action[1]) for action in seen)
    return f"seeds {SEEDS[0]} and {SEEDS[1]} acted alike for {DECISIONS} decisions on the same observations" if alike else ""


def _seeds_keep_apart(lab: _Laboratory) -> str:
    """Alone or in company, a seed does the same, up to the order in which floating-point numbers are added."""
    alone = lab.follower(seeds=SEEDS[:1])
    return together(lab.stream(), [lab.follower(), alone], DECISIONS // 2, tolerance=1e-3)


def _metrics_are_per_seed(lab: _Laboratory) -> str:
    follower = lab.follower()
    fault = together(lab.stream(), [follower], DECISIONS)
    for name, value in follower.agent.metrics().items():
        if np.shape(value) != (len(SEEDS),):
            return f"metric {name!r} has shape {np.shape(value)}, expected ({len(SEEDS)},): one value a seed"
    diverged = np.asarray(follower.agent.diverged)
    if diverged.shape != (len(SEEDS),) or diverged.dtype != bool:
        return f"diverged is {diverged.dtype} of shape {diverged.shape}, expected bool of ({len(SEEDS)},)"
    return fault or ("it says it diverged" if diverged.any() else "")


def _goes_on_after_loading(lab: _Laboratory) -> str:
    with tempfile.TemporaryDirectory(prefix="check-agent-") as name:
        root = Path(name)
        replays, copies, saved = (_folders(root / kind) for kind in ("replay", "copy", "saved"))
        stream, follower = lab.stream(), lab.follower(replays=replays)
        fault = together(stream, [follower], DECISIONS)
        follower.agent.save(saved, follower.carry)
        for replay, copy in zip(replays, copies):
            shutil.copytree(replay, copy, dirs_exist_ok=True)
        loaded = lab.follower(replays=copies)
        loaded.carry = loaded.agent.load(saved)
        fault = fault or together(stream, [follower, loaded], DECISIONS)
        if fault:
            return f"after saving and loading it does not continue as before: {fault}"
        single = lab.build(seeds=SEEDS[1:])
        single.load(saved[1:])
        action, _ = single.act(single.initial(1, stream=1), lab.stream(seeds=SEEDS[1:]).step, explore=False)
        return _misfit(action, (1, 1), stream.action_space) and "one seed of a cohort, loaded alone, does not act"


def _refuses_what_it_did_not_save(lab: _Laboratory) -> str:
    with tempfile.TemporaryDirectory(prefix="check-agent-") as name:
        folders = _folders(Path(name))
        try:
            lab.build().load(folders)
        except ValueError as error:
            return "" if "\n" not in str(error) else "the reason has more than one line"
        except OSError as error:
            return f"loading an empty folder raised {type(error).__name__}, expected a ValueError that says what is missing"
    return "loading an empty folder raised nothing, expected a ValueError"


CLAIMS: dict[str, Callable[[_Laboratory], str]] = {
    "actions have the right shape, type and range": _actions_fit,
    "acting has no side effect": _acting_is_pure,
    "evaluation leaves no trace in training": _evaluation_leaves_no_trace,
    "is_first makes it forget": _a_new_episode_forgets,
    "the same seed gives the same run": _same_seed_same_run,
    "another seed gives another run": _seeds_matter,
    "a seed does the same alone and in company": _seeds_keep_apart,
    "metrics and divergence are told per seed": _metrics_are_per_seed,
    "it continues after loading, and one seed loads alone": _goes_on_after_loading,
    "an empty folder is refused": _refuses_what_it_did_not_save,
}


# ---------------------------------------------------------------- the bench they are watched on


@dataclass(frozen=True)
class _Laboratory:
    """Builds what a claim needs: streams of one kind of task, and fresh agents for it."""

    entry: AgentEntry
    options: Any
    make: Callable[[], gymnasium.Env]

    def stream(self, *, seeds: Sequence[int] = SEEDS, num_envs: int = 1, purpose: int = 0) -> Stream:
        return Stream(self.make, len(seeds), num_envs, purpose)

    def build(self, *, seeds: Sequence[int] = SEEDS, num_envs: int = 1, replays: Sequence[Path] | None = None) -> Agent:
        environment = self.make()
        context = AgentContext(
            observation_space=environment.observation_space, action_space=environment.action_space,  # type: ignore[arg-type]
            seeds=tuple(seeds), num_envs=num_envs, action_repeat=1, budget_env_steps=10_000,
            replay_folders=None if replays is None else tuple(replays))  # fmt: skip
        environment.close()
        return self.entry.build(self.options, context)

    def gradient_steps(self) -> int:
        """How much an agent learns while a claim is checked."""
        follower = self.follower()
        together(self.stream(), [follower], DECISIONS)
        return follower.gradient_steps

    def follower(self, *, seeds: Sequence[int] = SEEDS, replays: Sequence[Path] | None = None) -> Follower:
        agent = self.build(seeds=seeds, replays=replays)
        return Follower(agent=agent, carry=agent.initial(1), seeds=len(seeds))


def _misfit(action: Any, shape: tuple[int, int], space: spaces.Space) -> str:
    if not isinstance(action, np.ndarray):
        return f"actions are a {type(action).__name__}, expected a NumPy array"
    if isinstance(space, spaces.Discrete):
        if action.shape != shape or action.dtype != np.int64:
            return f"actions are {action.dtype} {action.shape}, expected int64 {shape}"
        return "" if ((action >= 0) & (action < space.n)).all() else f"an action lies outside 0 to {space.n - 1}"
    expected = (*shape, *(space.shape or ()))
    if action.shape != expected or action.dtype != np.float32:
        return f"actions are {action.dtype} {action.shape}, expected float32 {expected}"
    return "" if (np.abs(action) <= 1).all() else "an action lies outside [-1, 1]"


def _trained(entry: AgentEntry, name: str, make: Make, decisions: int = 3_000, episodes: int = 8) -> Finding:
    """Trains one seed on a probe and plays it without exploration."""
    environment = make(name)
    optimum, options = environment.unwrapped.optimal_return, _quick(entry)  # type: ignore[attr-defined]
    reason = entry.refuses(options, environment.observation_space, environment.action_space)  # type: ignore[arg-type]
    environment.close()
    if reason is not None:
        return _finding(f"{name}: refused", "", seen=reason)
    lab = _Laboratory(entry, options, lambda: make(name))
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
    """The small options where the agent has them, else the paper's."""
    try:
        return entry.options("quick")
    except ValueError:
        return entry.options("paper")


def _short(options: Any) -> Any:
    known = {field.name for field in dataclasses.fields(options)}
    return replace(options, **{name: value for name, value in SHORT_SCHEDULE.items() if name in known})


def _folders(root: Path) -> list[Path]:
    folders = [root / f"seed-{seed}" for seed in SEEDS]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def _name(kind: dict[str, bool]) -> str:
    return f"{'pixels' if kind['pixels'] else 'vectors'}, {'discrete' if kind['discrete'] else 'continuous'} actions"


def _finding(claim: str, fault: str, seen: str = "") -> Finding:
    return Finding(claim=claim, passed=not fault, detail=fault or seen)
