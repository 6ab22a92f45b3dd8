"""Any Gymnasium environment with an image or a vector observation: "gym:CarRacing-v3", "gym:Pendulum-v1", ...

An image is resized to 64x64. All other observations become float32 vectors under the environment's own keys ("vector" if it has
none). Bounded actions are scaled to [-1, 1]; of unbounded actions, only [-1, 1] is used. The environment's own time limit
applies unless an option sets another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast, CheckedOptions

IMAGE_SIZE = 64

TASKS = ("gym:CarRacing-v3", "gym:CartPole-v1", "gym:Pendulum-v1", "gym:Acrobot-v1", "gym:MountainCarContinuous-v0")
"""Examples; every registered id after "gym:" is a task."""

ALIASES: dict[str, str] = {}

OPEN = True


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """How an environment is presented."""

    action_repeat: Annotated[int, AtLeast(1)] = 1
    """Steps of the environment per decision."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = None
    """Time limit in steps of the environment, a truncation; None: its own limit."""
    rendered: bool = False
    """Add the rendered frame as "image", if the environment has no image observation."""


class GymnasiumTask(gymnasium.Env):
    """One Gymnasium environment with our spaces. The original is `inner`."""

    def __init__(self, task: str, options: Options) -> None:
        self.options = options
        self.inner = _make(task.removeprefix("gym:"), options)
        self.metadata = dict(self.inner.metadata)
        observed = self.inner.observation_space
        self._parts = dict(observed.spaces) if isinstance(observed, spaces.Dict) else {"vector": observed}
        self._whole = not isinstance(observed, spaces.Dict)
        _check_parts(task, self._parts)
        images = [key for key, part in self._parts.items() if _is_image(part)]
        if len(images) > 1:
            raise UserError(
                f"task {task!r} observes the images {', '.join(images)}; an agent here sees one; wrap the environment"
            )
        if images and options.rendered:
            raise UserError(f"task {task!r} observes an image already; leave the option rendered out")
        self._image_key = images[0] if images else None
        self._vector_keys = [key for key in self._parts if key != self._image_key]
        shown: dict[str, spaces.Space] = {key: _vector_space(task, self._parts[key]) for key in self._vector_keys}
        if self._image_key is not None or options.rendered:
            channels = 3 if self._image_key is None else _channels(self._parts[self._image_key])
            shown["image"] = spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, channels), np.uint8)
        self.observation_space = spaces.Dict(shown)
        self.action_space, self._to_inner = _actions(task, self.inner.action_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        observation, info = self.inner.reset(seed=seed, options=options)
        return self._observation(observation), {**info, "env_steps": 0}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        translated = self._to_inner(action)
        reward, played, terminated, truncated = 0.0, 0, False, False
        while played < self.options.action_repeat and not (terminated or truncated):
            observation, earned, terminated, truncated, info = self.inner.step(translated)
            reward += float(earned)
            played += 1
        return (
            self._observation(observation),
            reward,
            bool(terminated),
            bool(truncated and not terminated),
            {**info, "env_steps": played},
        )

    def render(self) -> Any:
        return self.inner.render()

    def close(self) -> None:
        self.inner.close()

    def _observation(self, observation: Any) -> dict[str, np.ndarray]:
        parts = {"vector": observation} if self._whole else observation
        shown = {key: np.array(spaces.flatten(self._parts[key], parts[key]), np.float32) for key in self._vector_keys}
        if self._image_key is not None:
            shown["image"] = _resized(np.asarray(parts[self._image_key]))
        elif self.options.rendered:
            shown["image"] = _resized(np.asarray(_rendered(self.inner)))
        return shown


def unavailable(task: str) -> str | None:
    """The missing package of an environment, in Gymnasium's words; None if none is. Raises ValueError for an unknown id."""
    name = task.removeprefix("gym:")
    entry_point = _specification(name).entry_point
    try:
        if isinstance(entry_point, str):
            gymnasium.envs.registration.load_env_creator(entry_point)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        return f"{name} needs a package that is not installed: {' '.join(str(error).split())}"
    return None


def make(task: str, options: Options) -> GymnasiumTask:
    return GymnasiumTask(task, options)


def _specification(name: str) -> Any:
    try:
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError) as error:  # an unknown name, version or module, each with a hint
        raise UserError(f"Gymnasium has no environment {name!r}: {' '.join(str(error).split())}") from error


def _make(name: str, options: Options) -> gymnasium.Env:
    given: dict[str, Any] = {"disable_env_checker": True}
    if options.rendered:
        given["render_mode"] = "rgb_array"
    if options.time_limit_env_steps is not None:
        given["max_episode_steps"] = options.time_limit_env_steps
    try:
        return gymnasium.make(name, **given)
    except (gymnasium.error.Error, ImportError) as error:
        raise UserError(f"Gymnasium cannot make {name!r}: {' '.join(str(error).split())}") from error


def _rendered(environment: gymnasium.Env) -> Any:
    try:
        return environment.render()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"Gymnasium cannot render: {' '.join(str(error).split())}") from error


def _check_parts(task: str, parts: Mapping[str, spaces.Space]) -> None:
    """Raises UserError for observations that would be treated as something that they are not."""
    for key, part in parts.items():
        shape = part.shape or ()
        if isinstance(part, spaces.Box) and part.dtype == np.uint8 and len(shape) == 3 and not _is_image(part):
            raise UserError(
                f"task {task!r} observes {key!r} as uint8 of shape {list(shape)}; an image has 1 or 3 channels, which come "
                "last: wrap the environment"
            )
        if key == "image" and not _is_image(part):
            raise UserError(
                f"task {task!r} observes {part} under the name 'image', which is reserved for uint8 images; rename it"
            )


def _is_image(part: spaces.Space) -> bool:
    shape = part.shape or ()
    return (
        isinstance(part, spaces.Box)
        and part.dtype == np.uint8
        and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)))
    )


def _channels(part: spaces.Space) -> int:
    assert part.shape is not None
    return part.shape[2] if len(part.shape) == 3 else 1


def _resized(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W] or [H, W, C] to [64, 64, C] with Pillow's bilinear filter, which averages when it shrinks."""
    from PIL import Image

    if image.shape[:2] == (IMAGE_SIZE, IMAGE_SIZE):
        return image.reshape(IMAGE_SIZE, IMAGE_SIZE, -1).copy()
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    small = Image.fromarray(plain).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.array(small, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, -1)


def _vector_space(task: str, part: spaces.Space) -> spaces.Box:
    if not part.is_np_flattenable:
        raise UserError(f"task {task!r} observes {part}, which is neither an image nor a vector")
    size = spaces.flatdim(part)
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def _actions(task: str, inner: spaces.Space) -> tuple[spaces.Space, Any]:
    """Our action space, and the function from our actions to the environment's."""
    if isinstance(inner, spaces.Discrete):
        first = int(inner.start)
        return spaces.Discrete(int(inner.n)), lambda action: first + int(action)
    if not isinstance(inner, spaces.Box):
        raise UserError(f"task {task!r} takes actions of {inner}; Discrete and Box are understood")
    bounded = inner.is_bounded()
    scale = (inner.high.astype(np.float64) - inner.low) / 2 if bounded else np.ones(inner.shape)
    offset = (inner.high.astype(np.float64) + inner.low) / 2 if bounded else np.zeros(inner.shape)

    def scaled(action: Any) -> np.ndarray:
        ours = np.clip(np.asarray(action, np.float64), -1, 1).reshape(inner.shape)
        return (scale * ours + offset).astype(inner.dtype)

    return spaces.Box(-1.0, 1.0, (int(np.prod(inner.shape)),), np.float32), scaled
