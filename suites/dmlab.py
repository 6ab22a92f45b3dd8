"""DeepMind Lab: `rooms_collect_good_objects_train` of the Dreamer paper's Figure 9, and any other level.

Only this file knows deepmind_lab, which is not on the package registry and must be built from its sources. Without it the tasks
are listed as unavailable. The adapter follows the documented interface and is tested with a stand-in; it has never run with
the simulator itself.

There are nine actions, as in Espeholt et al. 2018 (IMPALA) and in the Dreamer code; action repeat 4, images 64x64 in colour.
The frame after the end of an episode is black, as in that code.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from typing import Annotated, Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_options import AtLeast, CheckedOptions

IMAGE_SIZE = 64
LEVEL_FOLDER = "contributed/dmlab30/"

TASKS = ("dmlab_rooms_collect_good_objects_train",)
"""The paper's task; any level path after "dmlab:" is also a task, for example "dmlab:tests/demo_map"."""

ALIASES = dict.fromkeys(("rooms_collect_good_objects_train", "dmlab_rooms_collect_good_objects", "dmlab_collect"), TASKS[0])

OPEN = True

TURN = 20
ACTIONS = (
    # turn, tilt, strafe, move, fire, jump, crouch
    (0, 0, 0, 1, 0, 0, 0),  # forward
    (0, 0, 0, -1, 0, 0, 0),  # backward
    (0, 0, -1, 0, 0, 0, 0),  # strafe left
    (0, 0, 1, 0, 0, 0, 0),  # strafe right
    (-TURN, 0, 0, 0, 0, 0, 0),  # turn left
    (TURN, 0, 0, 0, 0, 0, 0),  # turn right
    (-TURN, 0, 0, 1, 0, 0, 0),  # forward and left
    (TURN, 0, 0, 1, 0, 0, 0),  # forward and right
    (0, 0, 0, 0, 1, 0, 0),  # fire
)


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """How a level is played."""

    action_repeat: Annotated[int, AtLeast(1)] = 4
    """Simulator frames per decision."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = None
    """Time limit in simulator frames, a truncation; None: the level's own clock (60 s for the paper's level)."""
    renderer: Literal["software", "hardware"] = "software"
    """Renderer of the frames."""


class LabLevel(gymnasium.Env):
    """One level with nine actions.

    The simulator says that an episode is over, but not why. Levels end by their clock, so every end counts as a truncation. For
    a level that ends at a goal this would be wrong.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own convention)

    def __init__(self, task: str, options: Options) -> None:
        import deepmind_lab

        level = task.removeprefix("dmlab:") if task.startswith("dmlab:") else LEVEL_FOLDER + task.removeprefix("dmlab_")
        self.options = options
        self._lab = deepmind_lab.Lab(
            level,
            ["RGB_INTERLEAVED"],
            renderer=options.renderer,
            config={"width": str(IMAGE_SIZE), "height": str(IMAGE_SIZE), "logLevel": "WARN"},
        )
        self.observation_space = spaces.Dict({"image": spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)})
        self.action_space = spaces.Discrete(len(ACTIONS))
        self.env_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None or seed >= 2**31 else seed  # the simulator takes 31 bits
        self._lab.reset(seed=drawn)
        self.env_steps = 0
        return self._observation(), {"env_steps": 0}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        frames = self.options.action_repeat
        if self.options.time_limit_env_steps is not None:
            frames = min(frames, self.options.time_limit_env_steps - self.env_steps)
        reward = float(self._lab.step(np.array(ACTIONS[int(action)], np.intc), num_steps=frames))
        self.env_steps += frames
        over = not self._lab.is_running() or self.env_steps == self.options.time_limit_env_steps
        return self._observation(), reward, False, over, {"env_steps": frames}

    def close(self) -> None:
        self._lab.close()

    def _observation(self) -> dict[str, np.ndarray]:
        if not self._lab.is_running():
            return {"image": np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)}
        return {"image": np.array(self._lab.observations()["RGB_INTERLEAVED"], np.uint8)}


def unavailable(task: str) -> str | None:
    if util.find_spec("deepmind_lab") is None:
        return "deepmind_lab is not installed and not on the package registry: build it from github.com/google-deepmind/lab"
    return None


def make(task: str, options: Options) -> LabLevel:
    return LabLevel(task, options)
