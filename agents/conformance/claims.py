"""The claims that every agent must fulfil. Each check returns what is wrong, or ""."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agents.conformance.laboratory import DECISIONS, SEEDS, Laboratory, misfit
from agents.conformance.side_by_side import together


def _actions_fit(lab: Laboratory) -> str:
    for num_envs in (1, 3):
        stream, agent = lab.stream(num_envs=num_envs), lab.build(num_envs=num_envs)
        carry = agent.initial(num_envs)
        for explore in (True, False):
            action, carry = agent.act(carry, stream.step, explore=explore)
            fault = misfit(action, stream.shape, stream.action_space)
            if fault:
                return f"{fault} (num_envs={num_envs}, explore={explore})"
    return ""


def _acting_is_pure(lab: Laboratory) -> str:
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


def _evaluation_leaves_no_trace(lab: Laboratory) -> str:
    stream, followers = lab.stream(), [lab.follower(), lab.follower()]
    fault = together(stream, followers, DECISIONS // 2)
    carry, evaluation = followers[1].agent.initial(2, stream=1), lab.stream(num_envs=2, purpose=1)
    for _ in range(5):
        action, carry = followers[1].agent.act(carry, evaluation.step, explore=False)
        evaluation.advance(action)
    return fault or together(stream, followers, DECISIONS // 2)


def _a_new_episode_forgets(lab: Laboratory) -> str:
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


def _same_seed_same_run(lab: Laboratory) -> str:
    return together(lab.stream(), [lab.follower(), lab.follower()], DECISIONS)


def _seeds_matter(lab: Laboratory) -> str:
    stream, follower = lab.stream(), lab.follower()
    seen: list[np.ndarray] = []
    together(stream, [follower], DECISIONS, seen=seen)
    alike = all(np.array_equal(action[0], action[1]) for action in seen)
    return f"seeds {SEEDS[0]} and {SEEDS[1]} acted alike for {DECISIONS} decisions on the same observations" if alike else ""


def _seeds_keep_apart(lab: Laboratory) -> str:
    """A seed acts the same alone and together with others, except for rounding from another order of additions."""
    alone = lab.follower(seeds=SEEDS[:1])
    return together(lab.stream(), [lab.follower(), alone], DECISIONS // 2, tolerance=1e-3)


def _metrics_are_per_seed(lab: Laboratory) -> str:
    follower = lab.follower()
    fault = together(lab.stream(), [follower], DECISIONS)
    for name, value in follower.agent.metrics().items():
        if np.shape(value) != (len(SEEDS),):
            return f"metric {name!r} has shape {np.shape(value)}, expected ({len(SEEDS)},): one value a seed"
    diverged = np.asarray(follower.agent.diverged)
    if diverged.shape != (len(SEEDS),) or diverged.dtype != bool:
        return f"diverged is {diverged.dtype} of shape {diverged.shape}, expected bool of ({len(SEEDS)},)"
    return fault or ("it says it diverged" if diverged.any() else "")


def _goes_on_after_loading(lab: Laboratory) -> str:
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
        return misfit(action, (1, 1), stream.action_space) and "one seed of a cohort, loaded alone, does not act"


def _refuses_what_it_did_not_save(lab: Laboratory) -> str:
    with tempfile.TemporaryDirectory(prefix="check-agent-") as name:
        folders = _folders(Path(name))
        try:
            lab.build().load(folders)
        except ValueError as error:
            return "" if "\n" not in str(error) else "the reason has more than one line"
        except OSError as error:
            return f"loading an empty folder raised {type(error).__name__}, expected a ValueError that says what is missing"
    return "loading an empty folder raised nothing, expected a ValueError"


CLAIMS: dict[str, Callable[[Laboratory], str]] = {
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


def _folders(root: Path) -> list[Path]:
    folders = [root / f"seed-{seed}" for seed in SEEDS]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders
