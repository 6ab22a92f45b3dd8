"""An agent in its own package: a linear policy that keeps a random change if the return rose. NumPy only."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from gymnasium import spaces

from agents.per_seed import each
from dreamer_bench_options import Above, CheckedOptions


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    step_size: Annotated[float, Above(0)] = 0.5
    """Standard deviation of a change to the policy's weights."""


SUMMARY = "climbs hills: keeps a random change of a linear policy where its episode was better"
PROFILES = {"paper": Options(), "quick": Options(), "discrete": Options()}
KEEPS_REPLAY = False


def refuses(options, observation_space, action_space):
    known = isinstance(action_space, spaces.Discrete) or (isinstance(action_space, spaces.Box) and len(action_space.shape) == 1)
    return None if known else f"it knows Discrete actions and Boxes of one axis, not {action_space}"


def build(options, context):
    return each(lambda one_seed: HillClimber(options, one_seed), context)  # S agents that know one seed each


class HillClimber:
    diverged = np.zeros(1, dtype=bool)

    def __init__(self, options, context):
        self.step_size, self.space, self.seed = options.step_size, context.action_space, context.seeds[0]
        outputs = int(self.space.n) if isinstance(self.space, spaces.Discrete) else self.space.shape[0]
        drawn = {key: space.sample()[None, None] for key, space in context.observation_space.items()}
        self.best = np.zeros((outputs, self.features(drawn).shape[-1]))
        self.episodes, self.best_return, self.earned = 0, -np.inf, np.zeros((1, context.num_envs))
        self.candidate = self.change()

    def features(self, observation):  # [1, E, ...] -> [1, E, F]: images in 8x8 blocks, vectors as they are
        rows = [
            value.reshape(*value.shape[:2], 8, 8, 8, -1).mean((3, 5)).reshape(*value.shape[:2], -1) / 255 - 0.5
            if key == "image"
            else value
            for key, value in sorted(observation.items())
        ]
        return np.concatenate([*rows, np.ones((*rows[0].shape[:2], 1))], axis=-1)

    def change(self):  # a function of (seed, episode) alone, so that nothing random needs saving
        return self.best + self.step_size * np.random.default_rng((self.seed, self.episodes)).normal(size=self.best.shape)

    def initial(self, num_envs, *, stream=0):
        return None  # it remembers nothing between two actions

    def act(self, carry, step, *, explore):
        scores = self.features(step.observation) @ (self.candidate if explore else self.best).T
        return (scores.argmax(-1) if isinstance(self.space, spaces.Discrete) else np.tanh(scores).astype(np.float32)), carry

    def observe(self, action, step, lanes):
        self.earned += np.where(lanes & ~step.is_first, step.reward, 0)

    def learn(self, progress):  # one update whenever every seed has finished another episode
        if progress.episodes <= self.episodes:
            return 0
        if self.earned.mean() > self.best_return:
            self.best, self.best_return = self.candidate, float(self.earned.mean())
        self.episodes = progress.episodes
        self.candidate, self.earned = self.change(), np.zeros_like(self.earned)
        return 1

    def metrics(self):
        return {"best_return": np.array([self.best_return])} if self.episodes else {}

    def save(self, folders, carry):
        kept = ("best", "candidate", "earned", "best_return", "episodes")
        np.savez(folders[0] / "hill_climber.npz", **{name: getattr(self, name) for name in kept})

    def load(self, folders):
        if not (path := folders[0] / "hill_climber.npz").exists():
            raise ValueError(f"{folders[0]} holds no hill climber ({path.name} is missing)")
        kept = dict(np.load(path))
        self.best, self.candidate, self.earned = kept["best"], kept["candidate"], kept["earned"]
        self.best_return, self.episodes = float(kept["best_return"]), int(kept["episodes"])
