"""The contract between the training loop and everything that learns.

NumPy only: a JAX agent plugs in here. Must not know torch, a simulator or a protocol.

Time runs by the arrival convention (the only indexing in the repository):

                t = 0       t = 1      t = 2      t = 3
    action      zeros       a0         a1         a2        action[t] led INTO observation[t]
    observation o0          o1         o2         o3
    reward      0           r1         r2         r3        received on arriving at o[t]
    is_first    1           0          0          0
    is_terminal 0           0          0          1?        the MDP ended; a time limit sets is_last only

Axes: S seeds, E environments per seed. Every array of a TimeStep leads with [S, E].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces

Carry = Any
"""What an agent remembers between two actions (recurrent state, position in its noise stream). Opaque to the loop."""

REPLAY_RESIDENT_BYTES = 2**28
"""How much of what it keeps in a seed's replay folder an agent may hold in memory at a time; a run counts on it (preflight)."""


class TimeStep(NamedTuple):
    """What S x E environments showed on arrival.

    observation  each [S, E, ...]; "image" is uint8 [S, E, 64, 64, C], vectors are float32
    reward       [S, E] float32, summed over the repeated simulator steps; 0 where is_first
    is_first     [S, E] bool, the observation of a reset
    is_last      [S, E] bool, terminal or time limit
    is_terminal  [S, E] bool, the true end of the MDP; a time limit never sets it
    """

    observation: Mapping[str, np.ndarray]
    reward: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray
    is_terminal: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the training stands, per seed; all seeds of a cohort stand at the same place.

    env_steps         simulator steps = agent steps x action repeat; resets count 0
    agent_steps       decisions taken
    episodes          completed training episodes, the smallest number over the seeds
    budget_env_steps  where the run will end
    """

    env_steps: int
    agent_steps: int
    episodes: int
    budget_env_steps: int


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """What an agent is built for.

    seeds           one learner each; a learner's seed decides everything random about it
    num_envs        training environments per seed (E)
    replay_folders  where each seed may keep data too large for memory (one folder a seed), at most REPLAY_RESIDENT_BYTES of it
                    in memory at a time; None keeps it all in memory
    """

    observation_space: spaces.Dict
    action_space: spaces.Space
    seeds: tuple[int, ...]
    num_envs: int
    action_repeat: int
    budget_env_steps: int
    device: str = "cpu"
    replay_folders: tuple[Path, ...] | None = None


class Agent(Protocol):
    """S independent learners in one program."""

    def initial(self, num_envs: int, *, stream: int = 0) -> Carry:
        """The carry before an episode. `stream` names the acting noise: 0 is training, k > 0 the k-th evaluation."""

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        """Actions [S, E, A] float32 in [-1, 1], or [S, E] int64 for a Discrete space.

        Touches no hidden state: the same carry and step give the same actions and the same next carry.
        Where `step.is_first` the carry of that environment is forgotten. Actions of a diverged learner are finite.
        """

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        """Takes rows of the training stream into replay.

        action  the actions that led into `step`; ignored where is_first
        lanes   [S, E] bool: the environments this call speaks of. Every environment arrives in each call that
                follows an action; those whose episode ended are reset at once and come again, alone, with is_first.
        """

    def learn(self, progress: Progress) -> int:
        """Performs the updates that are due, and says how many gradient steps that were (per seed)."""

    def metrics(self) -> Mapping[str, np.ndarray]:
        """Means since the last call, each [S]; drains."""

    @property
    def diverged(self) -> np.ndarray:
        """[S] bool: learners whose loss was not finite. They learn no more; the other seeds continue undisturbed.

        Read after every `learn` that made updates: the run of such a seed ends there.
        """

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        """Writes everything that decides the future, one existing empty folder per seed, and the training carry with it."""

    def load(self, folders: Sequence[Path]) -> Carry:
        """Restores what `save` wrote and returns the training carry. Refuses another architecture with a ValueError."""


class Recipe(Protocol):
    """What a module that the catalog names provides: one row of the results table.

    PROFILES maps a profile's name ("paper", "quick", "discrete", ...) to frozen dataclass options; every recipe has "paper".

    What may be left out, and what the catalog and the costs then take:

    SUMMARY: str                                   what `list agents` says of it; the name of its package
    KEEPS_REPLAY: bool                             whether it stores every observation it is shown; True
    options.update_bytes(observation_space) -> int memory of one update on a CPU; 0
    options.replay_capacity: int                   rows a replay keeps at most, 0 for all; all
    options.prefill_env_steps, .pretrain_updates,  when it learns: with all four, `bench`, `plan` and `check-agent` make
      .updates, .update_every_env_steps: int       it short; without them the agent is run as it is
    """

    PROFILES: Mapping[str, Any]

    def refuses(self, options: Any, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
        """Why this agent cannot play these spaces, or None."""

    def build(self, options: Any, context: AgentContext) -> Agent: ...
