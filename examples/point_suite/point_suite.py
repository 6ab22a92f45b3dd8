"""A suite in its own package, with a protocol: push a point across a 64x64 image to a target."""

from dataclasses import dataclass
from typing import Annotated

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_options import AtLeast, CheckedOptions
from protocols.spec import Protocol, ScoreRule

TASKS = ("point_reach", "point_reach_sparse")  # they start with the suite's name, which is that of its entry point
ALIASES = {"point_dense": "point_reach"}


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    action_repeat: Annotated[int, AtLeast(1)] = 1
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = 50


def unavailable(task):
    return None  # nothing to install; else one line that says what


def make(task, options):
    return Point(task == "point_reach_sparse", options)


class Point(gymnasium.Env):
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, sparse, options):
        self.sparse, self.options = sparse, options
        self.observation_space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.env_steps, self.position = 0, self.np_random.uniform(-1, 1, 2)
        self.target = self.np_random.uniform(-1, 1, 2)
        return self.observation(), {}

    def step(self, action):
        reward, limit = 0.0, self.options.time_limit_env_steps
        for _ in range(self.options.action_repeat):  # the repeat happens in here, rewards are summed
            self.position = np.clip(self.position + 0.1 * np.clip(action, -1, 1), -1, 1)
            distance = float(np.linalg.norm(self.position - self.target))
            reward += float(distance < 0.2) if self.sparse else max(0.0, 1 - distance)
            self.env_steps += 1
            if limit is not None and self.env_steps >= limit:
                return self.observation(), reward, False, True, {}  # a time limit truncates, it never terminates
        return self.observation(), reward, False, False, {}

    def observation(self):
        image = np.zeros((64, 64, 3), np.uint8)  # a new array every time: observations own their memory
        for channel, place in enumerate((self.position, self.target)):
            row, column = ((place + 1) * 29.5).astype(int)
            image[row : row + 5, column : column + 5, channel] = 255
        return {"image": image}


POINT_1 = Protocol(
    id="point@1",
    title="Reach the target",
    purpose="Shows how a package brings a protocol.",
    source="this example",
    choices=("everything",),
    tasks=TASKS,
    action_repeat=2,
    env_steps=1_000,
    time_limit_env_steps=50,
    seeds=(0, 1, 2),
    evaluate_every_env_steps=500,
    evaluate_episodes=2,
    final_episodes=5,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 50.0),
    normalization="none",
    margin=1.0,
    agent_profile="quick",
    simulators={},
)
