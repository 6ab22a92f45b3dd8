"""SAC of stable-baselines3 as an agent of this benchmark: a library's own learner behind our contract. Vector observations."""

from dataclasses import dataclass
from typing import Annotated

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import configure

from agents.global_random import seeded
from agents.per_seed import each
from dreamer_bench_options import Above, AtLeast, CheckedOptions

SUMMARY = "SAC of stable-baselines3, from vectors"
KEEPS_REPLAY = False  # its replay is in memory and in its checkpoints, not in the run's replay folder
INITIAL, ACT, LEARN = 0, 1, 2  # purposes of random numbers


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    learning_rate: Annotated[float, Above(0)] = 3e-4
    """Of actor, critic and temperature (the library's default)."""
    batch_size: Annotated[int, AtLeast(1)] = 256
    """Transitions in a batch (the library's default)."""
    buffer_size: Annotated[int, AtLeast(1)] = 1_000_000
    """Transitions kept."""
    prefill_env_steps: Annotated[int, AtLeast(1)] = 100
    """Simulator steps of random actions before the first update (the library's learning_starts)."""


PROFILES = {"paper": Options(), "quick": Options(), "small": Options()}


def refuses(options, observation_space, action_space):
    if any(len(space.shape) != 1 for space in observation_space.values()):
        return "it learns from vectors; this task shows an image"
    return None if isinstance(action_space, spaces.Box) else f"it knows continuous actions, not {action_space}"


def build(options, context):
    return each(lambda one_seed: Sb3Sac(options, one_seed), context)  # S agents that know one seed each


def joined(observation):
    return np.concatenate([value for _, value in sorted(observation.items())], axis=-1).astype(np.float32)


class Spaces(gymnasium.Env):
    """What the library asks of an environment it never steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space


class Sb3Sac:
    def __init__(self, options, context):
        self.options, self.seed, self.num_envs = options, context.seeds[0], context.num_envs
        width = sum(space.shape[0] for space in context.observation_space.values())
        shown = spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self.actions, self.action_repeat, self.updates = context.action_space, context.action_repeat, 0
        with seeded(self.seed, INITIAL):
            kept = {"learning_rate": options.learning_rate, "batch_size": options.batch_size, "buffer_size": 1}
            self.model = SAC("MlpPolicy", Spaces(shown, self.actions), device="cpu", **kept)
        self.model.set_logger(configure(format_strings=[]))
        self.model.replay_buffer = self.replay = ReplayBuffer(
            options.buffer_size, shown, self.actions, "cpu", n_envs=self.num_envs, handle_timeout_termination=False
        )
        self.before = np.zeros((self.num_envs, width), np.float32)

    @property
    def diverged(self):
        return np.array([any(not bool(torch.isfinite(value).all()) for value in self.model.policy.parameters())])

    def initial(self, num_envs, *, stream=0):
        return stream, 0  # which stream of random numbers, and where in it

    def act(self, carry, step, *, explore):
        stream, position = carry
        with seeded(self.seed, ACT, stream, position):
            if explore and self.updates == 0:
                action = np.random.uniform(-1, 1, (step.reward.shape[1], *self.actions.shape)).astype(np.float32)  # noqa: NPY002
            else:
                action, _ = self.model.predict(joined(step.observation)[0], deterministic=not explore)
        return action[None], (stream, position + 1)

    def observe(self, action, step, lanes):
        after, first = joined(step.observation)[0], step.is_first[0]
        if not first.any():  # every environment has just stepped; a reset only says where the next step begins
            # A time limit is no end of the MDP: `done` is is_terminal, and the next observation is the episode's true last.
            self.replay.add(self.before, after, action[0], step.reward[0], step.is_terminal[0], [{}] * self.num_envs)
        self.before = np.where(lanes[0][:, None], after, self.before)

    def learn(self, progress):  # an update for every decision, a function of Progress alone
        due = progress.agent_steps - self.options.prefill_env_steps // self.action_repeat - self.updates
        if due <= 0:
            return 0
        with seeded(self.seed, LEARN, self.updates):
            self.model.train(gradient_steps=due, batch_size=self.options.batch_size)
        self.updates += due
        return due

    def metrics(self):
        return {"temperature": self.model.log_ent_coef.detach().exp().numpy()} if self.updates else {}

    def save(self, folders, carry):
        filled = slice(0, self.replay.size())
        arrays = {name: getattr(self.replay, name)[filled] for name in ("observations", "next_observations", "actions")}
        arrays |= {name: getattr(self.replay, name)[filled] for name in ("rewards", "dones")}
        np.savez(folders[0] / "replay.npz", pos=self.replay.pos, full=self.replay.full, before=self.before, **arrays)
        kept = {"model": self.model.get_parameters(), "temperature": self.model.log_ent_coef.detach()}
        torch.save({**kept, "updates": self.updates, "carry": carry}, folders[0] / "sac.pt")

    def load(self, folders):
        if not (folders[0] / "sac.pt").exists():
            raise ValueError(f"{folders[0]} holds no checkpoint of this agent (sac.pt is missing)")
        kept = torch.load(folders[0] / "sac.pt", weights_only=True)
        self.model.set_parameters(kept["model"], device="cpu")
        with torch.no_grad():
            self.model.log_ent_coef.copy_(kept["temperature"])
        self.updates = self.model._n_updates = kept["updates"]
        arrays = dict(np.load(folders[0] / "replay.npz"))
        self.before, self.replay.pos, self.replay.full = arrays.pop("before"), int(arrays.pop("pos")), bool(arrays.pop("full"))
        for name, values in arrays.items():
            getattr(self.replay, name)[: len(values)] = values
        return kept["carry"]
