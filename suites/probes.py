"""Tiny environments whose best return is known in closed form, and one that counts steps.

An agent that fails a probe has a known fault: no reward model, no credit over time, an ignored action, an ignored termination,
or no value beyond the horizon. Every probe trains in seconds. `time_limit_env_steps` is the length of an episode and always a
truncation. The returns below are for the length and action repeat that the options set.

    probe_one_step   vector  each step pays (1 + a) / 2 at once
    probe_two_step   image   the action of an even step pays (1 + a) / 2 on the step after it
    probe_action     image   each observation shows a side, -1 or +1; each step pays (1 + a * side) / 2
    probe_terminal   vector  a >= 0 pays 1 and continues, a < 0 pays 1.5 and terminates
    probe_beyond     vector  the first action pays 0.4 (1 - a) / 2 spread over `delay` steps and (1 + a) / 2 on the next step
    probe_count      vector  observation and reward encode the step, the action and the episode's seed

Over 300 lines, so that all probes are beside each other: a fault shows in how their results differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_options import AtLeast, CheckedOptions

IMAGE_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """Observation, action and length of a probe."""

    action_repeat: Annotated[int, AtLeast(1)] = 1
    """Simulator steps per decision."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = None
    """Length of an episode; None: the probe's own (8; probe_terminal 16; probe_beyond delay + 1)."""
    discrete: bool = False
    """Discrete(2), read as a = -1 and a = +1, instead of one action in [-1, 1]."""
    pixels: bool | None = None
    """Observe a 64x64x3 image of vertical stripes, or a vector; None: the probe's default."""
    delay: Annotated[int, AtLeast(1)] = 20
    """Simulator steps of probe_beyond that pay the small reward, before the step that pays the large one. Choose it beyond the
    horizon of imagination or planning (15 in the Dreamer paper)."""


class Probe(gymnasium.Env):
    """What all probes share: spaces, action repeat, time limit. A probe defines `begin`, `tick`, `view` and two returns.

    optimal_return  the best expected return of an episode; here that of rewards of at most 1 per simulator step
    random_return   the expected return of uniform random actions; here half of that
    """

    metadata = {"render_modes": [], "deterministic": True}  # noqa: RUF012  (gymnasium's own convention)
    length = 8
    view_size = 1
    pixels = False

    def __init__(self, options: Options) -> None:
        self.options = options
        self.env_steps = 0
        self.decisions = 0
        self.limit = self.length if options.time_limit_env_steps is None else options.time_limit_env_steps
        self._show_pixels = self.pixels if options.pixels is None else options.pixels
        self.action_space = spaces.Discrete(2) if options.discrete else spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = spaces.Dict(
            {"image": spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)}
            if self._show_pixels
            else {"vector": spaces.Box(-np.inf, np.inf, (self.view_size,), np.float32)}
        )

    # What a probe defines.

    def begin(self) -> None:
        """Starts a new episode."""

    def decide(self) -> None:
        """Called after every decision, before the next observation."""

    def tick(self, action: float) -> tuple[float, bool]:
        """One simulator step, with number self.env_steps from 0: reward and termination."""
        raise AssertionError("a probe defines tick")

    def view(self) -> list[float]:
        """The observation: `view_size` numbers, in [-1, 1] if they are rendered as stripes."""
        return [1.0]

    @property
    def optimal_return(self) -> float:
        return float(self.limit)

    @property
    def random_return(self) -> float:
        return self.optimal_return / 2

    # The interface of gymnasium.

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        self.episode_seed = int(self.np_random.integers(2**62)) if seed is None else seed
        self.env_steps = self.decisions = 0
        self.begin()
        return self._observation(), {"env_steps": 0}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        number = float(np.asarray(action).reshape(-1)[0])
        signed = 2 * number - 1 if self.options.discrete else min(max(number, -1.0), 1.0)
        reward, terminated, ticks = 0.0, False, 0
        while ticks < self.options.action_repeat and not terminated and self.env_steps < self.limit:
            earned, terminated = self.tick(signed)
            reward += earned
            self.env_steps += 1
            ticks += 1
        self.decisions += 1
        self.decide()
        truncated = not terminated and self.env_steps >= self.limit
        return self._observation(), reward, terminated, truncated, {"env_steps": ticks}

    def _observation(self) -> dict[str, np.ndarray]:
        values = np.asarray(self.view(), np.float32)
        if not self._show_pixels:
            return {"vector": values}
        stripes = np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
        columns = np.repeat(stripes, -(-IMAGE_SIZE // len(stripes)))[:IMAGE_SIZE]
        return {"image": np.broadcast_to(columns[None, :, None], (IMAGE_SIZE, IMAGE_SIZE, 3)).copy()}


class OneStep(Probe):
    """Each step pays (1 + a) / 2 at once. A reward model and an actor that maximises it are enough."""

    def tick(self, action: float) -> tuple[float, bool]:
        return (1 + action) / 2, False


class TwoStep(Probe):
    """The action of an even step pays one step later; odd actions have no effect. Stripes: parity of the step, last action."""

    pixels = True
    view_size = 2

    def begin(self) -> None:
        self.pending = 0.0

    def tick(self, action: float) -> tuple[float, bool]:
        if self.env_steps % 2 == 0:
            self.pending = action
            return 0.0, False
        earned, self.pending = (1 + self.pending) / 2, 0.0
        return earned, False

    def view(self) -> list[float]:
        return [1.0 if self.env_steps % 2 == 0 else -1.0, self.pending]

    @property
    def optimal_return(self) -> float:
        return float(self.limit // 2)


class FollowSide(Probe):
    """Every observation shows a random side, -1 or +1, as its bright half; each step pays (1 + a * side) / 2."""

    metadata = {"render_modes": [], "deterministic": False}  # noqa: RUF012
    pixels = True
    view_size = 2

    def begin(self) -> None:
        self.decide()

    def decide(self) -> None:
        self.side = float(2 * self.np_random.integers(2) - 1)

    def tick(self, action: float) -> tuple[float, bool]:
        return (1 + action * self.side) / 2, False

    def view(self) -> list[float]:
        return [-self.side, self.side]


class Trap(Probe):
    """Staying (a >= 0) pays 1; leaving (a < 0) pays 1.5 and terminates. An agent without a model of the end leaves at once.

    The best policy stays until the last decision and leaves then. Always staying gets 0.5 less.
    """

    length = 16
    stay, leave = 1.0, 1.5

    def begin(self) -> None:
        self.left = False

    def tick(self, action: float) -> tuple[float, bool]:
        self.left = action < 0
        return (self.leave, True) if self.left else (self.stay, False)

    def view(self) -> list[float]:
        return [0.0 if self.left else 1.0]

    @property
    def _decisions(self) -> int:
        return -(-self.limit // self.options.action_repeat)

    @property
    def optimal_return(self) -> float:
        before_last = (self._decisions - 1) * self.options.action_repeat * self.stay
        return max(self.limit * self.stay, before_last + self.leave)

    @property
    def random_return(self) -> float:
        expected = 0.0
        for decision in reversed(range(self._decisions)):
            ticks = min(self.options.action_repeat, self.limit - decision * self.options.action_repeat)
            expected = 0.5 * self.leave + 0.5 * (ticks * self.stay + expected)
        return expected


class Beyond(Probe):
    """The first action chooses: a small reward on each of `delay` steps, 0.4 in all, or a late reward of 1 on the step after.

    Sums of rewards over `delay` steps or fewer are larger for the small rewards under any weights, because they do not contain
    the late one. So an agent that sums rewards to the horizon picks a = -1 and earns 0.4. With a value function that bootstraps
    it picks a = +1 and earns 1 (this needs 0.4 < discount ** delay, so delay < 92 at 0.99). The small reward comes on every
    step, because it must outweigh the errors of a learned model, which also occur on every step (docs/arms.md).
    """

    view_size = 3
    early = 0.4

    def __init__(self, options: Options) -> None:
        self.length = options.delay + 1
        super().__init__(options)

    def begin(self) -> None:
        self.choice = 0.0

    def tick(self, action: float) -> tuple[float, bool]:
        if self.env_steps == 0:
            self.choice = action
        if self.env_steps < self.options.delay:
            return self.early / self.options.delay * (1 - self.choice) / 2, False
        return ((1 + self.choice) / 2 if self.env_steps == self.options.delay else 0.0), False

    def view(self) -> list[float]:
        """Whether the choice was made, the choice, and the elapsed share of the episode, so that no two steps are equal."""
        return [1.0 if self.env_steps == 0 else -1.0, self.choice, min(self.env_steps / (self.options.delay + 1), 1.0)]

    @property
    def optimal_return(self) -> float:
        return max(self._earned)

    @property
    def random_return(self) -> float:
        return sum(self._earned) / 2

    @property
    def _earned(self) -> tuple[float, float]:
        """Return of each choice, early and late; a time limit may cut off a part of the early rewards, and the late one."""
        return self.early * min(self.limit / self.options.delay, 1.0), float(self.limit > self.options.delay)


class Counted(NamedTuple):
    """The content of an observation of probe_count."""

    env_steps: int
    decisions: int
    action: float
    seed: int


class Count(Probe):
    """Every observation encodes the simulator step, the decision, the last action and the episode's seed (`decode`).

    Simulator step t = 1, 2, ... pays t + a / 2, so a lost or repeated step also changes the return. In an image the same seven
    numbers are two bytes each, side by side in the first row (the action in steps of 1/256).
    """

    metadata = {"render_modes": [], "deterministic": False}  # noqa: RUF012
    view_size = 7
    _SEED_DIGITS, _DIGIT = 4, 2**16

    def begin(self) -> None:
        self.action = 0.0

    def tick(self, action: float) -> tuple[float, bool]:
        self.action = action
        return self.env_steps + 1 + action / 2, False

    def view(self) -> list[float]:
        digits = [self.episode_seed // self._DIGIT**k % self._DIGIT for k in range(self._SEED_DIGITS)]
        return [self.env_steps, self.decisions, self.action, *digits]

    def _observation(self) -> dict[str, np.ndarray]:
        if not self._show_pixels:
            return super()._observation()
        steps, decisions, action, *digits = self.view()
        words = np.asarray([steps, decisions, (action + 1) * 256, *digits]).astype("<u2")
        image = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        image[0, : 2 * len(words), 0] = words.view(np.uint8)
        return {"image": image}

    @property
    def optimal_return(self) -> float:
        return self.random_return + self.limit / 2

    @property
    def random_return(self) -> float:
        return self.limit * (self.limit + 1) / 2


def decode(observation: dict[str, np.ndarray]) -> Counted:
    """Decodes an observation of probe_count, a vector or an image (where the action is rounded to 1/256)."""
    if "vector" in observation:
        numbers = [float(value) for value in observation["vector"]]
        steps, decisions, action, digits = *numbers[:3], numbers[3:]
    else:
        words = observation["image"][0, : 2 * Count.view_size, 0].copy().view("<u2").tolist()
        steps, decisions, action, digits = words[0], words[1], words[2] / 256 - 1, words[3:]
    seed = sum(int(digit) * Count._DIGIT**k for k, digit in enumerate(digits))
    return Counted(env_steps=int(steps), decisions=int(decisions), action=action, seed=seed)


PROBES: dict[str, type[Probe]] = {
    "probe_one_step": OneStep,
    "probe_two_step": TwoStep,
    "probe_action": FollowSide,
    "probe_terminal": Trap,
    "probe_beyond": Beyond,
    "probe_count": Count,
}
TASKS = tuple(PROBES)
ALIASES: dict[str, str] = {}


def unavailable(task: str) -> str | None:
    """None, because probes need nothing."""
    return None


def make(task: str, options: Options) -> Probe:
    return PROBES[task](options)
