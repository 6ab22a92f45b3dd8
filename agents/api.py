"""The contract between the training loop and everything that learns.

NumPy only, so that a JAX agent can plug in. Must not know torch, a simulator or a protocol.

Time follows the arrival convention (the only indexing in the repository):

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
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces

Carry = Any
"""What an agent remembers between two actions (recurrent state, position in its noise stream). The loop never looks inside."""

REPLAY_RESIDENT_BYTES = 2**28
"""Most bytes of a seed's replay folder that an agent may hold in memory at a time. The check before a run relies on it."""


UPDATE_BYTES_TOGETHER = 2**27
"""Most bytes that an update of all seeds may take on a CPU so that an agent may compute them together; above, it computes one
seed after another. The check before a run relies on it."""


class TimeStep(NamedTuple):
    """What S x E environments returned on arrival.

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
    """How far training has come, per seed. It is the same for all seeds of a cohort.

    env_steps         simulator steps = agent steps x action repeat; resets count 0
    agent_steps       decisions taken
    episodes          completed training episodes, the smallest number over the seeds
    budget_env_steps  env_steps at which the run will end
    """

    env_steps: int
    agent_steps: int
    episodes: int
    budget_env_steps: int


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """What an agent is built for.

    seeds           one learner for each; its seed decides everything random about it
    num_envs        training environments per seed (E)
    replay_folders  one folder per seed for data too large for memory, of which at most REPLAY_RESIDENT_BYTES may be in memory
                    at a time; None keeps everything in memory
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
        Where `step.is_first`, the agent forgets the carry of that environment. Actions of a diverged learner are finite.
        """

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        """Puts rows of the training stream into replay.

        action  the actions that led into `step`; ignored where is_first
        lanes   [S, E] bool: the environments whose rows are new. After an action all of them are. Environments whose
                episode ended are then reset at once, and a second call has only their new rows, with is_first.
        """

    def learn(self, progress: Progress) -> int:
        """Performs the updates that are due and returns the number of gradient steps (per seed)."""

    def metrics(self) -> Mapping[str, np.ndarray]:
        """Means since the last call, each [S]; starts new means."""

    @property
    def diverged(self) -> np.ndarray:
        """[S] bool: learners whose loss was not finite. They stop learning; the other seeds continue unchanged.

        The loop reads it after every `learn` that made updates and ends the run of such a seed.
        """

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        """Writes everything that decides the future, with the training carry, into one existing empty folder per seed."""

    def load(self, folders: Sequence[Path]) -> Carry:
        """Restores what `save` wrote and returns the training carry. Raises ValueError for another architecture."""


class Recipe(Protocol):
    """What the module of an agent provides.

    PROFILES maps a profile's name ("paper", "quick", "discrete", ...) to frozen dataclass options; every recipe has "paper".

    Optional names, and in brackets what the catalog and the costs assume without them:

    SUMMARY: str                                   one line for `list agents` [the name of its package]
    KEEPS_REPLAY: bool                             whether it stores every observation [True]
    PER_CALL: str                                  the option that counts work per training call of `updates` updates [none]
    options.update_bytes(observation_space) -> int memory of an update of one seed on a CPU, in bytes [0]
    options.replay_capacity: int                   most rows that a replay keeps, 0 for all [all]
    options.prefill_env_steps, .pretrain_updates,  when it learns; with all four, `bench`, `plan` and `check-agent` shorten
      .updates, .update_every_env_steps: int       the schedule [they run the agent as it is]
    """

    PROFILES: Mapping[str, Any]

    def refuses(self, options: Any, observation_space: spaces.Dict, action_space: spaces.Space) -> str | None:
        """Why this agent cannot play these spaces, in one line; None if it can."""

    def build(self, options: Any, context: AgentContext) -> Agent: ...


SCHEDULE = ("prefill_env_steps", "pretrain_updates", "updates", "update_every_env_steps")
"""Options that say when an agent learns; see `Recipe`."""


def has_schedule(options: Any) -> bool:
    """Whether options have all of these fields, so that a measurement or a check may shorten the schedule."""
    return set(SCHEDULE) <= {option.name for option in fields(options)}
