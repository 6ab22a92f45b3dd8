"""Checks that a suite follows the contract. `check_suite` plays a few short episodes and lists the violations.

    problems = check_suite("mysuite_mytask", steps=20)
    assert problems == []

The contract: Observations are a Dict with "image" uint8 [64, 64, C] and/or float32 vectors. Actions are a Box [-1, 1] float32
or Discrete. One `step` is one decision with the action repeat inside. Termination and truncation are separate, and a time limit
is a truncation. `reset(seed=...)` and the actions decide the whole episode. Observations own their memory.
An environment without randomness sets `metadata["deterministic"] = True`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from suites import catalog

SEEDS = (3, 4)
LONG_LOOK = 40
KEPT = 5
CUT = 4


def check_suite(task: str | Callable[[], gymnasium.Env], *, steps: int = 12, **options: Any) -> list[str]:
    """All violations of the contract, one line each; an empty list is a pass.

    task     a name of the catalog, or a function that makes a new environment
    steps    decisions per episode, in about six episodes; more if two seeds give the same observations for that long
    options  options of `catalog.make` if the task is a name; then the time limit is tested, too
    """

    def make() -> gymnasium.Env:
        return catalog.make(task, **options) if isinstance(task, str) else task()

    first = make()
    try:
        problems = _spaces(first)
        if problems:
            return problems
        reference, found = _episode(first, SEEDS[0], steps)
        problems += found
        other, found = _episode(first, SEEDS[1], steps)
        problems += found
        again, _ = _episode(first, SEEDS[0], steps)
        if again != reference:
            problems.append(f"reset(seed={SEEDS[0]}) after other episodes gives another episode than the first time")
        deterministic = bool((first.unwrapped.metadata or {}).get("deterministic"))
        if not deterministic and other == reference and _same_for_long(first, steps):
            problems.append(
                f'seeds {SEEDS[0]} and {SEEDS[1]} give the same episode; use the seed, or say metadata["deterministic"] = True'
            )
    finally:
        first.close()
        first.close()  # closing twice is allowed
    second = make()
    try:
        second.reset(seed=SEEDS[1])
        second.step(_actions(second.action_space, SEEDS[1], 1)[0])
        fresh, _ = _episode(second, SEEDS[0], steps)  # from the middle of another episode
        if fresh != reference:
            problems.append(f"reset(seed={SEEDS[0]}) gives another episode in a second environment")
    finally:
        second.close()
    if isinstance(task, str):
        problems += _time_limit(task, options)
        problems += _refusal(task)
    return list(dict.fromkeys(problems))


def episode_digest(environment: gymnasium.Env, seed: int, steps: int) -> str:
    """SHA-256 of all that an episode returns under actions that the seed decides. It must be equal in two processes."""
    return _episode(environment, seed, steps)[0]


def _same_for_long(environment: gymnasium.Env, steps: int) -> bool:
    """Whether two seeds look alike for many steps. Some games begin with seconds that depend on neither seed nor action."""
    one, other = (_episode(environment, seed, LONG_LOOK * steps)[0] for seed in SEEDS)
    return one == other


def _spaces(environment: gymnasium.Env) -> list[str]:
    problems = []
    space, action = environment.observation_space, environment.action_space
    if not isinstance(space, spaces.Dict) or not space.spaces:
        return [f"observation_space is a non-empty Dict, not {space}"]
    for key, part in space.spaces.items():
        if not isinstance(part, spaces.Box):
            problems.append(f"observation {key!r} is a Box, not {part}")
        elif key == "image":
            if part.dtype != np.uint8 or len(part.shape) != 3 or part.shape[:2] != (64, 64):
                problems.append(f"observation 'image' is uint8 [64, 64, C], not {part.dtype} {list(part.shape)}")
        elif part.dtype != np.float32 or len(part.shape) != 1:
            problems.append(f"observation {key!r} is a float32 vector, not {part.dtype} {list(part.shape)}")
    if isinstance(action, spaces.Box):
        if action.dtype != np.float32 or len(action.shape) != 1 or not (np.all(action.low == -1) and np.all(action.high == 1)):
            problems.append(f"action_space is a float32 vector in [-1, 1], not {action}")
    elif not isinstance(action, spaces.Discrete) or action.start != 0:
        problems.append(f"action_space is a Box or a Discrete that starts at 0, not {action}")
    return problems


def _actions(space: spaces.Space, seed: int, count: int) -> list[Any]:
    generator = np.random.default_rng(seed)
    if isinstance(space, spaces.Discrete):
        return [np.int64(generator.integers(space.n)) for _ in range(count)]
    return [generator.uniform(-1, 1, space.shape).astype(np.float32) for _ in range(count)]


def _episode(environment: gymnasium.Env, seed: int, steps: int) -> tuple[str, list[str]]:
    """Plays one episode of at most `steps` decisions. Returns its digest and the violations.

    The actions are those of seed SEEDS[0] for every seed of the episode, so that only the environment can differ.
    """
    problems: list[str] = []
    seen = hashlib.sha256()

    kept: list[Mapping[str, np.ndarray]] = []
    copies: list[Mapping[str, np.ndarray]] = []

    def take(observation: Mapping[str, np.ndarray]) -> None:
        wrong = _observation(environment.observation_space, observation)
        problems.extend(wrong)
        if len(kept) < KEPT and not wrong:
            kept.append(observation)
            copies.append({key: value.copy() for key, value in observation.items()})
        for key in sorted(observation):
            seen.update(key.encode() + np.ascontiguousarray(observation[key]).tobytes())

    given = _actions(environment.action_space, SEEDS[0], steps)
    observation, info = environment.reset(seed=seed)
    if not isinstance(info, dict):
        problems.append(f"reset returns (observation, info dict), not a {type(info).__name__}")
    take(observation)
    for action in given:
        before = np.array(action)
        observation, reward, terminated, truncated, info = environment.step(action)
        take(observation)
        if not np.array_equal(before, action):
            problems.append("step writes into the action it was given")
        if not isinstance(reward, (int, float, np.floating, np.integer)) or not np.isfinite(reward):
            problems.append(f"reward is a finite number, not {reward!r}")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, (bool, np.bool_)):
                problems.append(f"{name} is a bool, not {flag!r}")
        seen.update(repr((float(reward), bool(terminated), bool(truncated))).encode())
        if terminated or truncated:
            break
    return seen.hexdigest(), problems + _memory(kept, copies)


def _observation(space: spaces.Space, observation: Mapping[str, np.ndarray]) -> list[str]:
    assert isinstance(space, spaces.Dict)
    if set(observation) != set(space.spaces):
        return [f"observation has the keys {sorted(observation)}, its space {sorted(space.spaces)}"]
    problems = []
    for key, part in space.spaces.items():
        value = observation[key]
        if not isinstance(value, np.ndarray) or value.dtype != part.dtype or value.shape != part.shape:
            problems.append(
                f"observation {key!r} is {part.dtype} {part.shape}, not "
                f"{getattr(value, 'dtype', type(value).__name__)} {getattr(value, 'shape', '')}"
            )
        elif not part.contains(value):
            problems.append(f"observation {key!r} lies outside its space or is not finite")
    return problems


def _memory(kept: list[Mapping[str, np.ndarray]], copies: list[Mapping[str, np.ndarray]]) -> list[str]:
    """Kept observations must not change later, share memory with later ones, or be read-only."""
    for index, (now, then) in enumerate(zip(kept, copies)):
        for key in then:
            if not np.array_equal(now[key], then[key]):
                return [f"observation {key!r} of step {index} changed later: it does not own its memory"]
            if any(np.shares_memory(now[key], later[key]) for later in kept[index + 1 :]):
                return [f"observation {key!r} of step {index} shares memory with a later one"]
            if not now[key].flags.writeable:
                return [f"observation {key!r} is read-only: it does not own its memory"]
    return []


def _time_limit(task: str, options: Mapping[str, Any]) -> list[str]:
    """A time limit of four decisions truncates the fourth. A termination there must also happen without the limit."""
    repeat = int(options.get("action_repeat", catalog.options_type(task)().action_repeat))
    limit = CUT * repeat
    ended, terminated, truncated = _end(task, {**options, "time_limit_env_steps": limit})
    if terminated and (truncated or ended == CUT):
        natural, without_cut, _ = _end(task, {**options, "time_limit_env_steps": 2 * limit})
        return [] if without_cut and natural == ended and not truncated else ["a time limit is a truncation, not a termination"]
    if truncated and ended < CUT:
        return [f"time_limit_env_steps={limit} at action_repeat={repeat} truncated decision {ended}, not {CUT}"]
    return [] if terminated or truncated else [f"time_limit_env_steps={limit} was passed without truncation"]


def _end(task: str, options: Mapping[str, Any]) -> tuple[int, bool, bool]:
    """The number of the decision that ended an episode, or of the last one played, and its two flags."""
    environment = catalog.make(task, **options)
    try:
        environment.reset(seed=SEEDS[0])
        for decision, action in enumerate(_actions(environment.action_space, SEEDS[0], CUT), start=1):
            _, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                return decision, bool(terminated), bool(truncated)
        return CUT, False, False
    finally:
        environment.close()


def _refusal(task: str) -> list[str]:
    try:
        catalog.make(task, no_such_option=1).close()
    except ValueError:
        return []
    return ["an unknown option is accepted"]
