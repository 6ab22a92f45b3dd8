"""An agent in a package of its own: a linear policy that keeps a random change when it earned more. NumPy only."""

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from agents.per_seed import each


@dataclass(frozen=True, kw_only=True)
class Options:
    step_size: float = 0.5
    """Standard deviation of a change to the policy's weights."""


PROFILES = {"paper": Options(), "quick": Options(), "discrete": Options()}
KEEPS_REPLAY = False


def refuses(options, observation_space, action_space):
    if isinstance(action_space, spaces.Discrete) or (isinstance(action_space, spaces.Box) and len(action_space.shape) == 1):
        return None
    return f"it knows Discrete actions and Boxes of one axis, not {action_space}"


def build(options, context):
    return each(lambda one_seed: HillClimber(options, one_seed), context)  # S agents that know one seed each


class HillClimber:
    def __init__(self, options, context):
        self.options, self.space, self.seed = options, context.action_space, context.seeds[0]
        self.outputs = int(self.space.n) if isinstance(self.space, spaces.Discrete) else self.space.shape[0]
        drawn = {key: space.sample()[None, None] for key, space in context.observation_space.items()}
        self.best = np.zeros((self.outputs, self.features(drawn).shape[-1]))
        self.episodes, self.best_return = 0, -np.inf
        self.candidate, self.earned = self.change(), np.zeros((1, context.num_envs))

    def features(self, observation):  # [1, E, ...] -> [1, E, F]: images in 8x8 blocks, vectors as they are
        rows = [value.reshape(*value.shape[:2], 8, 8, 8, -1).mean((3, 5)).reshape(*value.shape[:2], -1) / 255 - 0.5
                if key == "image" else value for key, value in sorted(observation.items())]
        return np.concatenate([*rows, np.ones((*rows[0].shape[:2], 1))], axis=-1)

    def change(self):  # a function of (seed, episode) alone, so that nothing random needs saving
        generator = np.random.default_rng((self.seed, self.episodes))
        return self.best + self.options.step_size * generator.normal(size=self.best.shape)

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

    diverged = np.zeros(1, dtype=bool)

    def save(self, folders, carry):
        np.savez(folders[0] / "hill_climber.npz", best=self.best, candidate=self.candidate, earned=self.earned,
                 scalars=np.array([self.best_return, self.episodes]))

    def load(self, folders):
        path = folders[0] / "hill_climber.npz"
        if not path.exists():
            raise ValueError(f"{folders[0]} holds no hill climber ({path.name} is missing)")
        kept = np.load(path)
        self.best, self.candidate, self.earned = kept["best"], kept["candidate"], kept["earned"]
        self.best_return, self.episodes = float(kept["scalars"][0]), int(kept["scalars"][1])
