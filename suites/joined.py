"""Several tasks as one environment, which does not name the task: "one agent, all tasks" (PlaNet's paper, appendix C).

    catalog.make("joined:dmc_cartpole_swingup*8+dmc_walker_walk*2", observation="state")

The name lists `task*repeat`, joined by `+`, in the order of play: episode k plays task k mod n, with its own action repeat and
length. The seed alone decides an episode, including its task: seed mod n. An action has as many numbers as the widest task
needs. A task uses the first ones and ignores the rest; replay keeps the rest as they were chosen. One env step of this
environment is one action repeat of the task, and `action_repeat` and the time limit are in these units.
Source: Hafner et al. 2019, appendix C and google-research/planet; docs/algorithms/planet.md §7.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast, CheckedOptions, FreeText

PREFIX = "joined:"

TASKS = ("joined:dmc_cartpole_swingup*8+dmc_reacher_easy*4",)
"""An example; all tasks of the catalog with continuous actions can be joined."""

ALIASES: dict[str, str] = {}

OPEN = True


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """How the tasks are joined, and what the agent observes."""

    tasks: Annotated[str, FreeText()] = ""
    """The tasks as "task*repeat+task*repeat", if the name of the environment does not list them."""
    action_repeat: Annotated[int, AtLeast(1)] = 1
    """Factor on the action repeat of every task."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = None
    """Time limit in action repeats of the task, a truncation; None: the length of each task."""
    observation: Literal["pixels", "state"] = "pixels"
    """pixels: "image" alone; state: the union of all vectors by name, each as wide as the widest, filled with zeros."""
    look: Literal["reference", "fast"] | None = None
    """Look of rendered tasks that have this option (DeepMind Control); None: their default."""

    def unavailable(self, task: str) -> str | None:
        from suites import catalog

        for part in parts_of(task, self):
            reason = getattr(_options_of(part, self), "unavailable", lambda name: catalog.unavailable(name))(part.task)
            if reason is not None:
                return f"{part.task}: {reason}"
        return None


class Part(NamedTuple):
    task: str
    repeat: int


def parts_of(task: str, options: Options) -> tuple[Part, ...]:
    """The tasks in the order of play. Raises UserError if the list cannot be read or is empty."""
    from suites import catalog

    text = options.tasks or task.removeprefix(PREFIX)
    found = []
    for entry in text.split("+"):
        name, star, repeat = entry.partition("*")
        if star and not (repeat.isascii() and repeat.isdigit() and int(repeat) >= 1):
            raise UserError(f"joined tasks are written task*repeat+task*repeat, not {entry!r}; give a whole number after *")
        if name.startswith(PREFIX):
            raise UserError(f"{entry!r} joins tasks that are joined already; list their tasks instead")
        found.append(Part(catalog.resolve(name), int(repeat) if star else 1))
    if len(set(found)) < len(found):
        raise UserError(f"{text!r} names a task twice; name each task once")
    return tuple(found)


def _options_of(part: Part, options: Options) -> Any:
    from suites import catalog

    kind = catalog.options_type(part.task)
    known = {field.name for field in dataclasses.fields(kind)}
    limit = options.time_limit_env_steps
    given = {
        "action_repeat": part.repeat * options.action_repeat,
        "time_limit_env_steps": None if limit is None else limit * part.repeat,
        "observation": options.observation,
        "pixels": options.observation == "pixels",
        "look": options.look,
    }
    return kind(**{name: value for name, value in given.items() if name in known and value is not None})


class JoinedTasks(gymnasium.Env):
    """Plays the tasks in turn; `tasks` are their names, `playing` is the index of the current one."""

    def __init__(self, task: str, options: Options) -> None:
        from suites import catalog

        self.options, self.parts = options, parts_of(task, options)
        self.tasks = tuple(part.task for part in self.parts)
        self.inner = [
            catalog.make(part.task, **{f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen)})
            for part in self.parts
            for chosen in [_options_of(part, options)]
        ]
        self.playing, self.env_steps = len(self.parts) - 1, 0
        self.action_space = _widest_action(self.tasks, [inner.action_space for inner in self.inner])
        self.observation_space = _union(self.tasks, [inner.observation_space for inner in self.inner], options.observation)
        self.metadata = {"render_modes": ["rgb_array"]}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        """Starts a new episode: of task seed mod n, or of the next task without a seed."""
        super().reset(seed=seed)
        self.playing = (self.playing + 1 if seed is None else seed) % len(self.parts)
        observation, info = self.inner[self.playing].reset(seed=seed, options=options)
        self.env_steps = 0
        return self._observation(observation), {**info, "env_steps": 0, "task": self.tasks[self.playing]}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        inner, part = self.inner[self.playing], self.parts[self.playing]
        assert isinstance(inner.action_space, spaces.Box)
        observation, reward, terminated, truncated, info = inner.step(action[: inner.action_space.shape[0]])
        played = -(-int(info["env_steps"]) // part.repeat)
        self.env_steps += played
        return (
            self._observation(observation),
            float(reward),
            bool(terminated),
            bool(truncated),
            {**info, "env_steps": played, "task": part.task},
        )

    def render(self) -> Any:
        return self.inner[self.playing].render()

    def close(self) -> None:
        for inner in self.inner:
            inner.close()

    def _observation(self, observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shown = {}
        for key, space in self.observation_space.spaces.items():  # type: ignore[attr-defined]
            if key == "image":
                shown[key] = observation[key]
                continue
            shown[key] = np.zeros(space.shape, space.dtype)
            if key in observation:
                shown[key][: len(observation[key])] = observation[key]
        return shown


def unavailable(task: str) -> str | None:
    """The reason of the first part that is unavailable; None if all are. A name without a list is checked when it is made."""
    return Options().unavailable(task) if "*" in task or "+" in task else None


def make(task: str, options: Options) -> JoinedTasks:
    return JoinedTasks(task, options)


def _widest_action(tasks: tuple[str, ...], found: list[spaces.Space]) -> spaces.Box:
    """The joint action space, as wide as the widest task: the lowest low and the highest high of every number."""
    for task, space in zip(tasks, found):
        if not isinstance(space, spaces.Box):
            raise UserError(f"joined tasks have continuous actions, but {task!r} takes {space}; leave it out")
    return spaces.Box(-1.0, 1.0, (max(space.shape[0] for space in found),), np.float32)  # type: ignore[index]


def _union(tasks: tuple[str, ...], found: list[spaces.Space], observation: str) -> spaces.Dict:
    shown: dict[str, spaces.Space] = {}
    for task, space in zip(tasks, found):
        assert isinstance(space, spaces.Dict)
        image = space.spaces.get("image")
        if observation == "pixels":
            if image is None or image.shape != shown.get("image", image).shape:
                raise UserError(f"joined tasks show images of one kind, but {task!r} shows {image}; try observation=state")
            shown["image"] = image
            continue
        for key, part in space.spaces.items():
            if key != "image":
                width = max(part.shape[0], *(shown[key].shape or ()) if key in shown else (0,))  # type: ignore[index]
                shown[key] = spaces.Box(-np.inf, np.inf, (width,), np.float32)
    if not shown:
        raise UserError(f"none of the joined tasks {', '.join(tasks)} shows a vector; use observation=pixels")
    return spaces.Dict(shown)
